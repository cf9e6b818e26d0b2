package store

import (
	"io"
	"io/fs"
	"os"
)

// files is the set of operations that saving uses. Tests replace it with a
// file system that fails or crashes at any of them.
type files interface {
	create(path string, mode fs.FileMode) (file, error) // always new; mode 0 leaves permissions to the umask
	open(path string) (readable, error)
	rename(from, to string) error
	remove(path string) error
	syncFolder(path string) error // makes renames survive a power cut
	lstat(path string) (fs.FileInfo, error)
	readDir(path string) ([]fs.DirEntry, error)
	free(path string) (bytes int64, known bool)
}

// file is a file open for writing.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// readable is a file open for reading.
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

// newFile starts writing to the disk early, so that fsync waits only for the
// last part.
type newFile struct {
	*os.File
	written, started int64 // bytes
}

const (
	writePiece    = 256 << 10 // bytes per write: larger ones made the kernel search for large pages, for up to seconds
	writebackStep = 8 << 20   // bytes between two starts of writeback
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
