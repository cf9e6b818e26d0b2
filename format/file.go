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
	mapped []byte // nil in a file that is read
	size   int64
	guard  leak.Guard
}

// Open opens the file at path and checks its header and its seal, as NewReader
// does. It opens regular files only.
func Open(path string) (*File, error) { return open(path, false) }

// OpenMapped is Open with the file mapped into memory: the data of a tensor
// are a view of it, which ends with Close. A file that is dropped without Close
// stays mapped, because views of it may be in use. On a file that another program cuts
// short meanwhile such a view kills the process: Open is for everything but
// files that nobody writes. Where the system cannot map files the error is
// errors.ErrUnsupported.
func OpenMapped(path string) (*File, error) { return open(path, true) }

// NewFile is Open of a file that is open already, such as one opened through
// an os.Root. Errors name it as f.Name does. Close closes f; after an error f
// is left to the caller.
func NewFile(f *os.File) (*File, error) { return newFile(f, false) }

func open(path string, mapped bool) (*File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // to open a pipe would wait for its writer
		return nil, notRegular(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	out, err := newFile(f, mapped)
	if err != nil {
		f.Close() // the error above is the one to tell
		return nil, err
	}
	return out, nil
}

func newFile(f *os.File, mapped bool) (*File, error) {
	out := &File{file: f}
	var err error
	if out.Reader, err = out.reader(mapped); err != nil {
		return nil, inFile(f.Name(), err) // nothing is mapped yet: that comes last
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

// inFile says in which file an error happened; path may be empty.
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
