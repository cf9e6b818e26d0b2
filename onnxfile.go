package attnx

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// inlined returns the bytes of a model, read from a file in dir, with all of
// its weights in the file itself.
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

// withoutWeights returns a model of its own memory that lacks the elements of large
// initializers in the file.
func withoutWeights(m *onnx.Model) (*onnx.Model, error) {
	const small = 1 << 12
	light, graph := *m, *m.Graph
	light.Graph = &graph
	graph.Initializers = slices.Clone(graph.Initializers)
	for i, t := range graph.Initializers {
		if len(t.Raw) > small {
			t := *t
			t.Raw = nil
			graph.Initializers[i] = &t
		}
	}
	var b bytes.Buffer
	if err := light.Encode(&b); err != nil {
		return nil, err
	}
	return onnx.Decode(b.Bytes())
}

// fileGraph returns a network in the form of a file.
func fileGraph(c *model.Checkpoint, p export.Profile, m *onnx.Model) (*graph.Graph, error) {
	if cached, ok := export.ProfileOf(m, p).(export.Cache); ok {
		return model.Cached(c.Graph, cached.LastLogits)
	}
	return c.Graph, nil
}

// hasGraph reports whether a file contains the graph of its network. Files from
// before graphs were stored have a fingerprint that can no longer be computed;
// their nodes and weights are compared nevertheless.
func hasGraph(m *onnx.Model) bool { return m.Metadata[model.MetaGraph] != "" }

// checkNetwork refuses a file whose network is not the one that it describes.
// Beyond its table of positions a GPU would read arbitrary memory.
func checkNetwork(path string, m *onnx.Model, info export.Info, c *model.Checkpoint) error {
	g, err := fileGraph(c, info.Profile, m)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if hasGraph(m) && !graph.HasFingerprint(g, info.Fingerprint) {
		return &Error{Err: fmt.Errorf("%s: its network is not the one that it describes (fingerprint %.12s, its graph has %.12s)", path, info.Fingerprint, graph.Fingerprint(g)), Do: ExportAgain}
	}
	if _, flat := info.Profile.(export.Flat); flat {
		return nil
	}
	shapes := map[string][]int64{}
	for _, t := range m.Graph.Initializers {
		shapes[t.Name] = t.Dims
	}
	for _, p := range c.Graph.Params {
		have, there := shapes[p.Name]
		want, _ := p.Shape.Numbers()
		if there && len(have) == len(want) && len(have) > 0 && have[0] != int64(want[0]) {
			return &Error{Err: fmt.Errorf("%s: initializer %.80q has %d rows, its network %d", path, p.Name, have[0], want[0]), Do: ExportAgain}
		}
	}
	places := role.Of(role.Positions).Name()
	if isCache(info.Profile) && cacheShape(c, m).Positions && !slices.ContainsFunc(m.Graph.Inputs, func(v onnx.ValueInfo) bool { return v.Name == places }) {
		return &Error{Err: fmt.Errorf("%s: its network has positions, and it takes no %s", path, places), Do: ExportAgain}
	}
	return nil
}
