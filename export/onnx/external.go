package onnx

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// The smallest tensor that Externalize moves, and the alignment of each: a
// page, so that a runtime can map the file into memory.
const (
	externalSize  = 1024
	externalAlign = 4096
)

// Externalize moves elements of initializers to another file. It returns a
// model that refers to this file by the given name, and a function that writes
// the file. It does not change m.
func Externalize(m *Model, location string) (*Model, func(io.Writer) error) {
	var moved [][]byte
	at := int64(0)
	out := Refer(m, func(t *Tensor) *External {
		if len(t.Raw) < externalSize {
			return nil
		}
		e := &External{Location: location, Offset: at, Length: int64(len(t.Raw))}
		moved = append(moved, t.Raw)
		at = aligned(at + e.Length)
		return e
	})
	return out, func(w io.Writer) error {
		var zeros [externalAlign]byte
		for i, data := range moved {
			if _, err := w.Write(data); err != nil {
				return err
			}
			n := int64(len(data))
			if i == len(moved)-1 {
				break
			}
			if _, err := w.Write(zeros[:aligned(n)-n]); err != nil {
				return err
			}
		}
		return nil
	}
}

// Refer returns a model whose initializers are at the places that place
// returns; nil keeps one in the model. It does not change m.
func Refer(m *Model, place func(*Tensor) *External) *Model {
	out, graph := *m, *m.Graph
	out.Graph = &graph
	graph.Initializers = nil
	for _, t := range m.Graph.Initializers {
		if x := place(t); x != nil {
			moved := *t
			moved.Raw, moved.External = nil, x
			t = &moved
		}
		graph.Initializers = append(graph.Initializers, t)
	}
	return &out
}

func aligned(n int64) int64 { return (n + externalAlign - 1) / externalAlign * externalAlign }

// HasExternal reports whether any initializer is in another file.
func (m *Model) HasExternal() bool {
	for _, t := range m.Graph.Initializers {
		if t.External != nil {
			return true
		}
	}
	return false
}

// Load returns the elements of the tensor; dir is the folder of the model's
// file. It reads external data only from a regular file inside dir.
func (t *Tensor) Load(dir string) ([]byte, error) {
	if t.External == nil {
		return t.Raw, nil
	}
	f, err := t.open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, _ := t.bytes()
	if n != int64(int(n)) {
		return nil, t.externalError(fmt.Sprintf("%d bytes are more than this machine can address", n))
	}
	data := make([]byte, n) // open has checked that the file has so many bytes
	if _, err := f.ReadAt(data, t.External.Offset); err != nil && n > 0 {
		return nil, t.externalError(reason(err))
	}
	return data, nil
}

// Hash returns the SHA-256 of the elements. It reads external data as Load does, but
// a part at a time.
func (t *Tensor) Hash(dir string) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	switch {
	case t.External != nil:
		f, err := t.open(dir)
		if err != nil {
			return sum, err
		}
		defer f.Close()
		n, _ := t.bytes()
		if _, err := io.Copy(h, io.NewSectionReader(f, t.External.Offset, n)); err != nil {
			return sum, t.externalError(reason(err))
		}
	case t.DataType == String:
		for _, s := range t.Strings {
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s))))
			h.Write(s)
		}
	default:
		h.Write(t.Raw)
	}
	h.Sum(sum[:0])
	return sum, nil
}

func (t *Tensor) externalError(reason string) error {
	location := t.External.Location
	err := &FormatError{Offset: -1, Where: fmt.Sprintf("tensor %.80q", t.Name), Reason: fmt.Sprintf("external data %.80q: %s", location, reason)}
	if plainLocation(location) {
		err.External = location
	}
	return err
}

// checkExternal checks that the external elements exist; with an empty dir it
// checks only the path.
func (t *Tensor) checkExternal(dir string) error {
	if dir == "" {
		return t.checkLocation()
	}
	f, err := t.open(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

// CheckExternal checks that the external elements are in a regular file inside
// dir.
func (t *Tensor) CheckExternal(dir string) error { return t.checkExternal(dir) }

// checkLocation rejects a path that is not plain and relative on every system.
func (t *Tensor) checkLocation() error {
	switch {
	case !plainLocation(t.External.Location):
		return t.externalError("the path leaves the model's folder or is not a plain relative one: put the data into the model's folder and save the model again")
	case t.External.Offset < 0:
		return t.externalError(fmt.Sprintf("offset %d%s", t.External.Offset, saveAgain))
	}
	return nil
}

func plainLocation(l string) bool {
	l = path.Clean(l) // "./weights.bin" is in the folder too
	return !strings.ContainsAny(l, "\\:\x00") && filepath.IsLocal(l) && fs.ValidPath(l) && l != "."
}

// open opens the file with the tensor's elements and checks its size. It
// rejects a path that leaves dir, by its text or by a symbolic link.
func (t *Tensor) open(dir string) (*os.File, error) {
	if err := t.checkLocation(); err != nil {
		return nil, err
	}
	x := t.External
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	location := path.Clean(x.Location)
	for part := location; part != "."; part = path.Dir(part) {
		info, err := root.Lstat(part)
		if err != nil {
			return nil, t.externalError(reason(err) + whole)
		}
		if info.Mode()&fs.ModeSymlink != 0 || part == location && !info.Mode().IsRegular() {
			return nil, t.externalError("it is a symbolic link or not a regular file, or lies behind a link" + whole)
		}
	}
	f, err := root.Open(location)
	if err != nil {
		return nil, t.externalError(reason(err))
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, t.externalError(reason(err))
	}
	n, ok := t.bytes()
	if !ok || n > info.Size() || x.Offset > info.Size()-n {
		f.Close()
		return nil, t.externalError(fmt.Sprintf("%d bytes from %d are not in a file of %d"+whole, n, x.Offset, info.Size()))
	}
	return f, nil
}

// saveAgain is the remedy for a file that gives a wrong place of its weights.
const saveAgain = ": save the model again, with onnx.save_model or its exporter"

// whole is the remedy for a wrong file of weights.
const whole = ": copy the model's folder whole, or export it again"

// reason drops the path from a file system error: the message has it already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
