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

// openShards opens the files that hold the weights: model.safetensors where it
// is there, as transformers does, otherwise those of the index. It returns
// them also with an error, to be closed.
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

// Opened is a folder of whatever network.
type Opened struct {
	Files   []*format.File    // of its weights
	Model   *model.Checkpoint // without its weights; nil where Refused says why
	Notes   []string          // as in a Report
	Refused error             // why Read would refuse the folder
}

// Open opens the files of weights of a folder, whatever network they are of. The
// caller closes them.
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

// HasWeights reports whether a folder has weights that Read looks at.
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
		f.Close() // the error above is the one to tell
		return shard{}, err
	}
	return shard{name: name, File: file}, nil
}

// openIndexed opens the shards that the index names. Like transformers it takes
// all tensors that they hold, whatever the index says of each: writers list the
// head beside the embedding, of which the files keep one.
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
