package huggingface

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

// shard is an open file of weights.
type shard struct {
	name string // in the folder
	*format.File
}

// openShards opens the files of weights: model.safetensors if it exists, as
// transformers does, and otherwise those of the index. It returns the open
// files also with an error, so that the caller can close them.
func (d *folder) openShards() ([]shard, error) {
	switch {
	case d.has(WeightsName):
		s, err := d.openShard(WeightsName)
		if err != nil {
			return nil, err
		}
		return []shard{s}, nil
	case d.has(indexName):
		return d.openIndexed()
	}
	return nil, d.noWeights()
}

// Opened is an open folder of any network.
type Opened struct {
	Files   []*format.File    // of the weights
	Model   *model.Checkpoint // without weights; nil if Refused is set
	Notes   []string          // as in a Report
	Refused error             // why Read would reject the folder
}

// Open opens the files of weights in a folder of any network. The caller must
// close them.
func Open(path string) (*Opened, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	defer d.close()
	shards, err := d.openShards()
	if err != nil {
		return nil, errors.Join(err, closeAll(shards))
	}
	o := &Opened{}
	for _, s := range shards {
		o.Files = append(o.Files, s.File)
	}
	c, about, notes, err := d.about()
	if err != nil {
		o.Refused = err
		return o, nil
	}
	_, _, done, err := d.plan(about, shards)
	if err != nil {
		o.Refused = err
		return o, nil
	}
	o.Model, o.Notes = c, append(notes, done.Notes...)
	return o, nil
}

// Close closes the files.
func (o *Opened) Close() error {
	var err error
	for _, f := range o.Files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// HasWeights reports whether a folder has files of weights that Read would
// open.
func HasWeights(path string) bool {
	for _, name := range []string{WeightsName, indexName} {
		if _, err := os.Lstat(filepath.Join(path, name)); err == nil {
			return true
		}
	}
	return false
}

func (d *folder) openShard(name string) (shard, error) {
	f, err := d.open(name)
	if err != nil {
		return shard{}, err
	}
	file, err := format.NewFile(f)
	if err != nil {
		f.Close() // report the error above
		return shard{}, err
	}
	return shard{name: name, File: file}, nil
}

// openIndexed opens the shards in the index. Like transformers it uses all
// their tensors, whatever the index lists for each: writers list head and
// embedding where the files have only one of them.
func (d *folder) openIndexed() ([]shard, error) {
	text, err := d.read(indexName, maxIndex)
	if err != nil {
		return nil, err
	}
	if d.index, err = parseIndex(text); err != nil {
		return nil, d.errorf(indexName, "%w", err)
	}
	var shards []shard
	for _, name := range d.index.files {
		s, err := d.openShard(name)
		if err != nil {
			return shards, err
		}
		shards = append(shards, s)
	}
	return shards, nil
}

func closeAll(shards []shard) error {
	var err error
	for _, s := range shards {
		err = errors.Join(err, s.Close())
	}
	return err
}
