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

// GenerationName is the name of the file with the settings of a generation.
const GenerationName = "generation_config.json"

// Names of the other files.
const (
	configName          = "config.json"
	indexName           = "model.safetensors.index.json"
	tokenizerName       = "tokenizer.json"
	tokenizerConfigName = "tokenizer_config.json"
	chatTemplateName    = "chat_template.jinja"
	specialMapName      = "special_tokens_map.json"
)

// Maximum sizes of files that are read whole. GPT-2's own have 665 bytes and
// 1.4 MB. An index has about 100 bytes for each weight, and a
// tokenizer_config.json about as many for each added token.
const (
	maxConfig    = 1 << 20
	maxIndex     = 16 << 20
	maxTokenizer = 64 << 20

	maxTokenizerConfig = 16 << 20
)

// IsFolder reports whether path is a folder with a config.json.
func IsFolder(path string) bool {
	info, err := os.Lstat(filepath.Join(path, configName)) // Read rejects a link with a better message
	return err == nil && !info.IsDir()
}

// folder opens files of one folder only.
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

// has reports whether the folder contains the name.
func (d *folder) has(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// errorf returns an error that starts with the path of a file.
func (d *folder) errorf(name, text string, args ...any) error {
	return fmt.Errorf("%s: %w", filepath.Join(d.path, name), fmt.Errorf(text, args...))
}

// open opens a regular file of the folder. Opening a pipe would block, and a
// link could lead to any file of this machine, so open rejects both before
// opening. It follows links of snapshots in Hugging Face's cache: see blob.
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

// openSame opens the file that info describes.
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

// read returns the content of a file of at most most bytes. It checks the size
// before it allocates memory.
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
		return nil, d.errorf(name, "it has %d bytes, at most %d are read: that is not the %s of a model", info.Size(), most, name)
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

// cause drops operation and path from a file system error: the message has the
// path already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
