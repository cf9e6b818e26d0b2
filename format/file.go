package format

import (
	"fmt"
	"os"
)

// File is a Reader of a file on disk. Its errors name the file.
type File struct {
	*Reader
	file *os.File
}

// Open opens the file at path and checks its header, as NewReader does. It
// opens regular files only.
func Open(path string) (*File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // to open a pipe would wait for its writer
		return nil, &FormatError{File: path, Offset: -1, Reason: "it is not a regular file: name the safetensors file itself"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := readerOf(f)
	if err != nil {
		f.Close() // the error above is the one to tell
		return nil, inFile(path, err)
	}
	return &File{Reader: r, file: f}, nil
}

func readerOf(f *os.File) (*Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return NewReader(f, info.Size())
}

// Tensor reads the tensor of the given name, as Reader.Tensor does.
func (f *File) Tensor(name string) (Tensor, error) {
	t, err := f.Reader.Tensor(name)
	return t, inFile(f.file.Name(), err)
}

// Close closes the file. Tensors that were read stay valid.
func (f *File) Close() error { return f.file.Close() }

// inFile says in which file an error happened.
func inFile(path string, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *FormatError:
		e.File = path
		return e
	case *UnsupportedError:
		e.File = path
		return e
	}
	return fmt.Errorf("%s: %w", path, err)
}
