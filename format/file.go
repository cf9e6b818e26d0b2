package format

import (
	"errors"
	"fmt"
	"os"

	"github.com/attnx/attnx/internal/leak"
)

// File is a Reader of a file on disk. Its errors name the file.
type File struct {
	*Reader
	file   *os.File
	mapped []byte // nil unless the file is mapped
	size   int64
	guard  leak.Guard
}

// Open opens the file at path and checks its header and its seal, as NewReader
// does. It opens regular files only.
func Open(path string) (*File, error) { return open(path, false) }

// OpenMapped is Open with the file mapped into memory. Tensor data are views
// of the mapping and become invalid on Close. A file dropped without Close
// stays mapped, because views may still be in use. If another program
// truncates the file, reading a view kills the process: use OpenMapped only on
// files that nobody writes. On a system that cannot map files the error is
// errors.ErrUnsupported.
func OpenMapped(path string) (*File, error) { return open(path, true) }

// NewFile is Open for an open file, such as one from an os.Root. Errors use
// the name that f.Name returns. Close closes f. On an error the caller still
// owns f.
func NewFile(f *os.File) (*File, error) { return newFile(f, false) }

func open(path string, mapped bool) (*File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // opening a pipe would block until it has a writer
		return nil, notRegular(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	out, err := newFile(f, mapped)
	if err != nil {
		f.Close() // report the error above
		return nil, err
	}
	return out, nil
}

func newFile(f *os.File, mapped bool) (*File, error) {
	out := &File{file: f}
	var err error
	if out.Reader, err = out.reader(mapped); err != nil {
		return nil, inFile(f.Name(), err) // nothing is mapped yet
	}
	if mapped {
		out.guard = leak.Watch(out, "the mapped file "+f.Name(), nil)
	}
	return out, nil
}

func notRegular(path string) error {
	return &FormatError{File: path, Offset: -1, Reason: "it is not a regular file: name the safetensors file itself"}
}

func (f *File) reader(mapped bool) (*Reader, error) {
	info, err := f.file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(f.file.Name())
	}
	f.size = info.Size()
	r, err := NewReader(f.file, f.size)
	if err != nil {
		return nil, err
	}
	if r.name = f.file.Name(); !mapped {
		return r, nil
	}
	if f.mapped, err = mapFile(f.file, info.Size()); err != nil {
		return nil, err
	}
	r.memory = f.mapped
	return r, nil
}

// Size returns the bytes of the file when it was opened.
func (f *File) Size() int64 { return f.size }

// Close closes the file. Tensors that were read stay valid, unless the file is
// mapped.
func (f *File) Close() error {
	f.guard.Closed()
	return errors.Join(unmapFile(f.mapped), f.file.Close())
}

// inFile adds the path of the file to an error; path may be empty.
func inFile(path string, err error) error {
	if path == "" {
		return err
	}
	switch e := err.(type) {
	case nil:
		return nil
	case *FormatError:
		e.File = path
		return e
	case *UnsupportedError:
		e.File = path
		return e
	case *SealError:
		e.File = path
		return e
	}
	return fmt.Errorf("%s: %w", path, err)
}
