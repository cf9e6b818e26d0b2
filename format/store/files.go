package store

import (
	"io"
	"io/fs"
	"os"
)

// files are the operations of which saving is made. A crash can come between
// any two of them, and each can fail: tests put a file system in their place
// that does both.
type files interface {
	create(path string, mode fs.FileMode) (file, error) // new, never what is there; mode 0 is what the umask leaves
	open(path string) (readable, error)
	rename(from, to string) error
	remove(path string) error
	syncFolder(path string) error // makes names survive a power cut
	lstat(path string) (fs.FileInfo, error)
	readDir(path string) ([]fs.DirEntry, error)
	free(path string) (bytes int64, known bool)
}

// file is a file that is being written.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// readable is a file that is being read.
type readable interface {
	io.ReaderAt
	io.Closer
	size() (int64, error)
}

// disk is the operating system's file system.
type disk struct{}

func (disk) create(path string, mode fs.FileMode) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if mode != 0 {
		if err := f.Chmod(mode); err != nil {
			f.Close()
			os.Remove(path)
			return nil, err
		}
	}
	return &newFile{File: f}, nil
}

// newFile is a file that goes to the disk while it is written: fsync then waits
// for its end only.
type newFile struct {
	*os.File
	written, started int64 // bytes
}

const (
	writePiece    = 256 << 10 // bytes of one write: larger ones made the system look for large pages, for up to seconds
	writebackStep = 8 << 20   // bytes after which the disk is set to work
)

func (f *newFile) Write(b []byte) (n int, err error) {
	for len(b) > 0 && err == nil {
		var m int
		m, err = f.File.Write(b[:min(len(b), writePiece)])
		n, b = n+m, b[m:]
		f.written += int64(m)
		if f.written-f.started >= writebackStep {
			startWriteback(f.File, f.started, f.written-f.started)
			f.started = f.written
		}
	}
	return n, err
}

type diskFile struct{ *os.File }

func (f diskFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (disk) open(path string) (readable, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) rename(from, to string) error               { return os.Rename(from, to) }
func (disk) remove(path string) error                   { return os.Remove(path) }
func (disk) lstat(path string) (fs.FileInfo, error)     { return os.Lstat(path) }
func (disk) readDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (disk) syncFolder(path string) error               { return syncFolder(path) }
func (disk) free(path string) (int64, bool)             { return freeSpace(path) }
