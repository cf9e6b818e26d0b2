package huggingface

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format"
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

// Open opens the files of weights of a folder, whatever network they are of, and
// says why Read would refuse them, if it would. The caller closes the files, also
// after an error.
func Open(path string) (files []*format.File, refused, err error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, nil, err
	}
	defer d.close()
	shards, err := d.openShards()
	for _, s := range shards {
		files = append(files, s.File)
	}
	if err != nil {
		return files, nil, err
	}
	c, untied, _, refused := d.about()
	if refused == nil {
		_, _, _, refused = d.plan(config{c.Config, untied}, shards)
	}
	return files, refused, nil
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
