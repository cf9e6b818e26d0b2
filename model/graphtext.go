package model

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
)

// GraphError says that the graph of a model cannot be used: its text is not that
// of a graph (then Err is a *graph.ParseError), or it does not fit the weights,
// the configuration or the fingerprint beside it.
type GraphError struct{ Err error }

func (e *GraphError) Error() string {
	return fmt.Sprintf("model: %v: take another copy of the file, or save the model again with the version of attnx that made it", e.Err)
}

func (e *GraphError) Unwrap() error { return e.Err }

// graphText returns what files carry of the graph: its text, and the graph that
// reading it gives. Operators of a user's own, which no reader knows, are written
// with those that attnx has. What could not be read again is an error: nothing
// would bring the weights back.
func (c *Checkpoint) graphText() (text []byte, kept *graph.Graph, err error) {
	ours := map[string]bool{}
	for _, op := range slices.Concat(graph.Operators(), graph.Imported()) {
		ours[op.Name()] = true
	}
	kept = c.Graph
	for _, n := range c.Graph.Nodes {
		if !ours[n.Op.Name()] {
			if kept, err = graph.Decompose(func(n *graph.Node) bool { return ours[n.Op.Name()] })(c.Graph); err != nil {
				return nil, nil, err
			}
			break
		}
	}
	var printed bytes.Buffer
	if err := graph.Print(&printed, kept); err != nil {
		return nil, nil, err
	}
	read, err := describe(string(c.Config), printed.Bytes(), len(c.Weights))
	if err == nil && read.Arch != c.Arch {
		err = fmt.Errorf("model: the configuration is of the architecture %.80q, the model %.80q", read.Arch, c.Arch)
	}
	if err == nil {
		err = c.Graph.CheckParams(paramsOf(read.Graph))
	}
	if bad := (*GraphError)(nil); errors.As(err, &bad) {
		err = bad.Err
	}
	switch {
	case err != nil && arch.Known(c.Arch):
		return nil, nil, fmt.Errorf("model: it could not be read again: %w: attnx has an architecture %.80q: give a network of your own another name", err, c.Arch)
	case err != nil:
		return nil, nil, fmt.Errorf("model: it could not be read again: %w", err)
	}
	return printed.Bytes(), read.Graph, nil
}

// SameGraph reports whether two texts are of graphs that compute the same: the
// names of intermediate values play no part.
func SameGraph(a, b string) bool {
	if a == b {
		return true
	}
	x, err := graph.Parse(a)
	if err != nil {
		return false
	}
	y, err := graph.Parse(b)
	return err == nil && graph.Fingerprint(x) == graph.Fingerprint(y)
}

// SameGraphs reports whether two files have graphs that compute the same: the
// names of intermediate values play no part. known is false where one of them
// has no graph. Equal seals need no reading.
func SameGraphs(a, b *format.Reader) (same, known bool, err error) {
	x, sealedA := a.SHA256(blobGraph)
	y, sealedB := b.SHA256(blobGraph)
	if sealedA && sealedB && x == y {
		return true, true, nil
	}
	var texts [2]string
	for i, r := range []*format.Reader{a, b} {
		texts[i] = r.Metadata()[MetaGraph]
		if slices.ContainsFunc(r.Tensors(), func(t format.TensorInfo) bool { return t.Name == blobGraph }) {
			t, err := r.Tensor(blobGraph)
			if err != nil {
				return false, false, err
			}
			texts[i] = string(t.Data)
		}
		if texts[i] == "" {
			return false, false, nil
		}
	}
	return SameGraph(texts[0], texts[1]), true, nil
}

// paramsOf describes the parameters of a graph.
func paramsOf(g *graph.Graph) []format.TensorInfo {
	params := make([]format.TensorInfo, len(g.Params))
	for i, p := range g.Params {
		shape, _ := p.Shape.Numbers() // Verify: a parameter's shape is numbers
		params[i] = format.TensorInfo{Name: p.Name, DType: p.DType, Shape: shape}
	}
	return params
}
