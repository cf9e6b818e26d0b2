package huggingface

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format"
)

// WeightsName is the name of the file of the weights.
const WeightsName = "model.safetensors"

// The names of the other files.
const (
	configName          = "config.json"
	indexName           = "model.safetensors.index.json"
	generationName      = "generation_config.json"
	tokenizerName       = "tokenizer.json"
	tokenizerConfigName = "tokenizer_config.json"
	specialMapName      = "special_tokens_map.json"
)

// The most bytes of a file that is read as a whole. GPT-2's own have 665 bytes
// and 1.4 MB; an index has about 100 bytes a weight, and a tokenizer_config.json
// as many for each added token.
const (
	maxConfig    = 1 << 20
	maxIndex     = 16 << 20
	maxTokenizer = 64 << 20

	maxTokenizerConfig = 16 << 20
)

// IsFolder reports whether path is a folder with a config.json.
func IsFolder(path string) bool {
	info, err := os.Lstat(filepath.Join(path, configName)) // a link is Read's to refuse
	return err == nil && !info.IsDir()
}

// folder opens files of one folder and of no other.
type folder struct {
	path  string
	root  *os.Root
	index index // empty for weights in one file
}

func openFolder(path string) (*folder, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s: it is not a folder: name the folder that has the %s", path, configName)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, cause(err))
	}
	return &folder{path: path, root: root}, nil
}

func (d *folder) close() error { return d.root.Close() }

// has reports whether the folder has anything of this name.
func (d *folder) has(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// errorf returns an error that begins with the path of a file.
func (d *folder) errorf(name, text string, args ...any) error {
	return fmt.Errorf("%s: %w", filepath.Join(d.path, name), fmt.Errorf(text, args...))
}

// open opens a regular file of the folder. To open a pipe would wait for its
// writer, and a link could lead to any file of this machine, so that both are
// refused by what they are before they are opened. The links of a snapshot in
// Hugging Face's cache are followed: see blob.
func (d *folder) open(name string) (*os.File, error) {
	info, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, d.errorf(name, "the folder has no such file")
	case err != nil:
		return nil, d.errorf(name, "%w", cause(err))
	case info.Mode()&fs.ModeSymlink != 0:
		return d.blob(name)
	case !info.Mode().IsRegular():
		return nil, d.errorf(name, "it is not a regular file (%v)", info.Mode().Type())
	}
	f, err := openSame(d.root, name, info)
	if err != nil {
		return nil, d.errorf(name, "%w", cause(err))
	}
	return f, nil
}

// openSame opens the file that info is of.
func openSame(root *os.Root, name string, info fs.FileInfo) (*os.File, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = errors.New("it was replaced while it was opened: read the folder again")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// read returns the content of a file of at most so many bytes. Its size is
// compared before memory is taken.
func (d *folder) read(name string, most int64) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, d.errorf(name, "%w", cause(err))
	}
	if info.Size() > most {
		return nil, d.errorf(name, "it has %d bytes, at most %d are read: that is not a %s of a GPT-2", info.Size(), most, name)
	}
	text := make([]byte, info.Size())
	if _, err := io.ReadFull(f, text); err != nil {
		return nil, d.errorf(name, "%w", cause(err))
	}
	if format.IsLFSPointer(text) {
		return nil, d.errorf(name, format.LFSPointer)
	}
	return text, nil
}

// cause leaves operation and path out of a file system's error: the path is
// named already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
