package huggingface

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
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

// openIndexed opens the shards of the index and checks that they hold the
// tensors that it says, and no others.
func (d *folder) openIndexed() ([]shard, error) {
	text, err := d.read(indexName, maxIndex)
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(text)
	if err != nil {
		return nil, d.errorf(indexName, "%w", err)
	}
	var shards []shard
	for _, name := range x.files {
		s, err := d.openShard(name)
		if err != nil {
			return shards, err
		}
		shards = append(shards, s)
	}
	return shards, d.checkIndex(x, shards)
}

func (d *folder) checkIndex(x index, shards []shard) error {
	found := map[string]bool{}
	for _, s := range shards {
		for _, t := range s.Tensors() {
			switch file, ok := x.place[t.Name]; {
			case !ok:
				return d.errorf(s.name, "tensor %s: the index does not have it", quote.String(t.Name))
			case file != s.name:
				return d.errorf(s.name, "tensor %s: the index has it in %s", quote.String(t.Name), quote.String(file))
			}
			found[t.Name] = true
		}
	}
	var missing []string
	for name := range x.place {
		if !found[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		first := slices.Min(missing) // one message for one folder
		return d.errorf(x.place[first], "tensor %s: the index has it here, the file does not", quote.String(first))
	}
	return nil
}

func closeAll(shards []shard) error {
	var err error
	for _, s := range shards {
		err = errors.Join(err, s.Close())
	}
	return err
}
