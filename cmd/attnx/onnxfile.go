package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/runtime/onnxgo"
)

// inlined returns a model, read from a file in dir, whose weights are all in
// the file itself, for those who take bytes.
func inlined(m *onnx.Model, dir string) ([]byte, error) {
	whole, graph := *m, *m.Graph
	whole.Graph = &graph
	graph.Initializers = nil
	for _, t := range m.Graph.Initializers {
		raw, err := t.Load(dir)
		if err != nil {
			return nil, err
		}
		t := *t
		t.Raw, t.External = raw, nil
		graph.Initializers = append(graph.Initializers, &t)
	}
	var b bytes.Buffer
	err := whole.Encode(&b)
	return b.Bytes(), err
}

// openFlat opens a file of the flat profile, read before as m, in onnx-go.
func openFlat(path string, m *onnx.Model) (*onnxgo.Session, error) {
	if !m.HasExternal() {
		return onnxgo.Open(path)
	}
	data, err := inlined(m, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return onnxgo.OpenBytes(data)
}

// fileKind is what a file's first bytes say it is.
type fileKind int

const (
	safetensorsFile fileKind = iota
	onnxFile
)

// regularFile refuses what is no file before it is opened: to open a pipe would
// wait for its writer.
func regularFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: it is no regular file: name a file", path)
	}
	return nil
}

// sniff tells an ONNX file from a safetensors file. A safetensors file has an
// opening brace after its length; an ONNX file begins with the protobuf tag
// of its IR version. A broken file counts as what its name says, and is
// refused by those who read it.
func sniff(path string) (fileKind, error) {
	if err := regularFile(path); err != nil {
		return 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var head [9]byte
	n, err := io.ReadFull(f, head[:])
	switch {
	case n == len(head) && head[8] == '{', strings.HasSuffix(path, ".safetensors"):
		return safetensorsFile, nil
	case n > 1 && head[0] == 0x08 && head[1] < 0x80, strings.HasSuffix(path, ".onnx"):
		return onnxFile, nil
	case n == 0:
		return 0, fmt.Errorf("%s: the file is empty", path)
	case n < len(head):
		return 0, fmt.Errorf("%s: neither a safetensors file nor an ONNX file: it ends after %d bytes (%w)", path, n, err)
	}
	return 0, fmt.Errorf("%s: neither a safetensors file nor an ONNX file", path)
}
