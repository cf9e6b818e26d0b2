package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
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

// fileFingerprint returns that of the network of a configuration, in the form in
// which a file has it.
func fileFingerprint(c model.Config, p export.Profile, m *onnx.Model) (string, error) {
	build := model.Build
	if p == export.Cache {
		build = func(c model.Config) (*graph.Graph, error) { return model.BuildCached(c, lastLogits(m)) }
	}
	g, err := build(c)
	if err != nil {
		return "", err
	}
	return graph.Fingerprint(g), nil
}

// checkNetwork refuses a file whose configuration is not that of its network:
// beyond its table of positions a GPU would go on with what it finds there.
func checkNetwork(path string, m *onnx.Model, info export.Info, c model.Config) error {
	want, err := fileFingerprint(c, info.Profile, m)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	remedy := "export the checkpoint again with `attnx export`"
	if info.Fingerprint != want {
		return fmt.Errorf("%s: its network is not the one of its configuration (fingerprint %.12s, that of the configuration %.12s): %s", path, info.Fingerprint, want, remedy)
	}
	for _, t := range m.Graph.Initializers {
		if t.Name == "wpe.weight" && len(t.Dims) == 2 && t.Dims[0] != int64(c.Context) && info.Profile != export.Flat {
			return fmt.Errorf("%s: it has %d positions, its configuration %d: %s", path, t.Dims[0], c.Context, remedy)
		}
	}
	if info.Profile == export.Cache && c.Positions && !slices.ContainsFunc(m.Graph.Inputs, func(v onnx.ValueInfo) bool { return v.Name == "position_ids" }) {
		return fmt.Errorf("%s: its network has positions, and it takes no position_ids: %s", path, remedy)
	}
	return nil
}
