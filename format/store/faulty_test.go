package store

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// faulty is a file system in memory that fails where it is told to, and that
// knows what of it would be left after a power cut.
type faulty struct {
	names   map[string]*node // as the running system sees them
	durable map[string]*node // as the last sync of the folder left them
	pending []change         // to the names since then, in order

	op    int         // operations so far
	at    int         // the operation that fails, -1 for none
	fault fault       // how
	trace []operation // what was done
}

type operation struct{ what, path string }

// node is the content of a file: as written, and as synced.
type node struct {
	data, synced []byte
}

// change is a change to the names of the folder: gone is removed, then name
// stands for n.
type change struct {
	gone, name string
	n          *node
}

// fault is what befalls an operation.
type fault struct {
	err      error // returned; nil: the power goes
	effect   bool  // after the operation had its effect
	torn     bool  // a write: after half of its bytes
	dropPage bool  // a sync: what was not synced is lost, though it can still be read
}

// crash is what a power cut panics with.
type crash struct{}

func newFaulty() *faulty {
	return &faulty{names: map[string]*node{}, durable: map[string]*node{}, at: -1}
}

// step counts an operation. It returns its error, and whether it takes effect.
func (d *faulty) step(what, path string) (effect bool, err error) {
	d.trace = append(d.trace, operation{what, filepath.Base(path)})
	d.op++
	if d.op-1 != d.at {
		return true, nil
	}
	if d.fault.err == nil && !d.fault.effect && !d.fault.torn {
		panic(crash{})
	}
	return d.fault.effect, d.fault.err
}

// done ends an operation that had its effect.
func (d *faulty) done() {
	if d.op-1 == d.at && d.fault.err == nil {
		panic(crash{})
	}
}

func (d *faulty) change(c change) {
	delete(d.names, c.gone)
	if c.name != "" {
		d.names[c.name] = c.n
	}
	d.pending = append(d.pending, c)
}

type faultyFile struct {
	d    *faulty
	n    *node
	path string
}

func (d *faulty) create(path string, _ fs.FileMode) (file, error) {
	effect, err := d.step("create", path)
	if _, there := d.names[path]; there && err == nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrExist}
	}
	n := &node{}
	if effect {
		d.change(change{name: path, n: n})
		d.done()
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &faultyFile{d, n, path}, nil
}

func (f *faultyFile) Write(b []byte) (int, error) {
	effect, err := f.d.step("write", f.path)
	n := len(b)
	if !effect {
		n = 0
	}
	if f.d.op-1 == f.d.at && f.d.fault.torn {
		n = len(b) / 2
	}
	f.n.data = append(f.n.data, b[:n]...)
	if n > 0 || effect {
		f.d.done()
	}
	if err != nil {
		err = &fs.PathError{Op: "write", Path: f.path, Err: err}
	}
	return n, err
}

func (f *faultyFile) Sync() error {
	effect, err := f.d.step("fsync", f.path)
	if effect {
		f.n.synced = bytes.Clone(f.n.data)
		f.d.done()
	}
	if f.d.op-1 == f.d.at && f.d.fault.dropPage {
		f.n.synced = make([]byte, len(f.n.data)) // the pages are marked clean and never written
	}
	return err
}

func (f *faultyFile) Close() error {
	effect, err := f.d.step("close", f.path)
	if effect {
		f.d.done()
	}
	return err
}

type faultyReader struct{ *bytes.Reader }

func (r faultyReader) Close() error         { return nil }
func (r faultyReader) size() (int64, error) { return r.Reader.Size(), nil }

func (d *faulty) open(path string) (readable, error) {
	n, there := d.names[path]
	if !there {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return faultyReader{bytes.NewReader(n.data)}, nil
}

func (d *faulty) rename(from, to string) error {
	effect, err := d.step("rename", to)
	n, there := d.names[from]
	if !there {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if effect {
		d.change(change{gone: from, name: to, n: n})
		d.done()
	}
	return err
}

func (d *faulty) remove(path string) error {
	effect, err := d.step("remove", path)
	if _, there := d.names[path]; !there {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	if effect {
		d.change(change{gone: path})
		d.done()
	}
	return err
}

func (d *faulty) syncFolder(path string) error {
	effect, err := d.step("fsync folder", path)
	if effect {
		d.durable, d.pending = maps.Clone(d.names), nil
		d.done()
	}
	return err
}

type faultyInfo struct {
	name string
	size int64
}

func (i faultyInfo) Name() string               { return i.name }
func (i faultyInfo) Size() int64                { return i.size }
func (i faultyInfo) Mode() fs.FileMode          { return 0o666 }
func (i faultyInfo) Type() fs.FileMode          { return 0 }
func (i faultyInfo) ModTime() time.Time         { return time.Time{} }
func (i faultyInfo) IsDir() bool                { return false }
func (i faultyInfo) Sys() any                   { return nil }
func (i faultyInfo) Info() (fs.FileInfo, error) { return i, nil }

func (d *faulty) lstat(path string) (fs.FileInfo, error) {
	if _, err := d.step("lstat", path); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	n, there := d.names[path]
	if !there {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: fs.ErrNotExist}
	}
	return faultyInfo{filepath.Base(path), int64(len(n.data))}, nil
}

func (d *faulty) readDir(path string) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	for _, p := range slices.Sorted(maps.Keys(d.names)) {
		if filepath.Dir(p) == path {
			out = append(out, faultyInfo{filepath.Base(p), 0})
		}
	}
	return out, nil
}

func (d *faulty) free(string) (int64, bool) { return 1 << 40, true }

// clone is the same file system with no fault to come.
func (d *faulty) clone() *faulty {
	c := newFaulty()
	copies := map[*node]*node{}
	of := func(n *node) *node {
		if n != nil && copies[n] == nil {
			copies[n] = &node{bytes.Clone(n.data), bytes.Clone(n.synced)}
		}
		return copies[n]
	}
	for name, n := range d.names {
		c.names[name] = of(n)
	}
	for name, n := range d.durable {
		c.durable[name] = of(n)
	}
	for _, p := range d.pending {
		p.n = of(p.n)
		c.pending = append(c.pending, p)
	}
	return c
}

// afterPowerCut calls see with every state that a power cut now may leave: any
// of the changes to names since the last sync of the folder, in order, each
// with what was not synced of the files lost, kept, torn at a sector, or zero.
func (d *faulty) afterPowerCut(see func(what string, left *faulty)) {
	if len(d.pending) > 10 {
		panic(fmt.Sprintf("%d changes pending: too many to try all", len(d.pending)))
	}
	for subset := range 1 << len(d.pending) {
		for _, content := range []string{"lost", "kept", "torn", "zero"} {
			left := newFaulty()
			names := maps.Clone(d.durable)
			for i, c := range d.pending {
				if subset>>i&1 == 1 {
					delete(names, c.gone)
					if c.name != "" {
						names[c.name] = c.n
					}
				}
			}
			for name, n := range names {
				data := survives(n, content)
				left.names[name] = &node{data, bytes.Clone(data)}
			}
			left.durable = maps.Clone(left.names)
			see(fmt.Sprintf("names %b of %d, contents %s", subset, len(d.pending), content), left)
		}
	}
}

// survives returns a file's content after a power cut.
func survives(n *node, content string) []byte {
	if bytes.Equal(n.data, n.synced) || content == "lost" {
		return bytes.Clone(n.synced)
	}
	out := bytes.Clone(n.data)
	from := len(n.synced)
	if bytes.HasPrefix(n.data, n.synced) {
		switch content {
		case "torn":
			out = out[:from+(len(out)-from)/2/512*512]
		case "zero": // the length reached the disk, the bytes did not
			clear(out[from:])
		}
		return out
	}
	return bytes.Clone(n.synced) // pages that a failed fsync dropped
}

// The errors that operations fail with.
var faults = []fault{
	{},                                  // the power goes before it
	{effect: true},                      // and after it
	{torn: true},                        // in the middle of a write
	{err: syscall.EIO},                  // it fails
	{err: syscall.ENOSPC},               // the disk is full
	{err: syscall.EIO, effect: true},    // it fails, and yet had its effect
	{err: syscall.EIO, dropPage: true},  // it fails, and what was written is gone
	{err: syscall.ENOSPC, torn: true},   // the disk is full after half of it
	{err: io.ErrShortWrite, torn: true}, // half of it is written
	{err: syscall.EDQUOT, torn: true},   // likewise by quota
	{err: syscall.EINTR}, {err: syscall.EROFS}, {err: syscall.EACCES},
}
