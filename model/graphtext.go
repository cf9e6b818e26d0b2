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

// ForeignError reports a safetensors file that attnx did not write.
type ForeignError struct{ missing string } // from the metadata

func (e *ForeignError) Error() string {
	return fmt.Sprintf("no %.80q in the metadata: this is a safetensors file but not an attnx checkpoint: %s", e.missing, ConvertFolder)
}

// ConvertFolder is the remedy of a ForeignError.
const ConvertFolder = "convert the Hugging Face folder that it belongs to"

// Remedy returns ConvertFolder.
func (e *ForeignError) Remedy() string { return ConvertFolder }

// GraphError reports that the graph of a model cannot be used: its text is not
// a graph (then Err is a *graph.ParseError), or it does not match the weights,
// configuration or fingerprint in the file.
type GraphError struct{ Err error }

func (e *GraphError) Error() string {
	return fmt.Sprintf("model: %v: take another copy of the file, or save the model again with the version of attnx that made it", e.Err)
}

func (e *GraphError) Unwrap() error { return e.Err }

// graphText returns the text of the graph for a file, and the graph that
// reading this text gives. It decomposes user-defined operators, which no
// reader knows. It returns an error if the text could not be read again,
// because the weights would then be lost.
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
	read, err := describe(string(c.Config), printed.Bytes(), len(c.Weights), c.changes())
	if err == nil && read.Arch != c.Arch {
		err = fmt.Errorf("model: the architecture of the configuration is %.80q, that of the model %.80q", read.Arch, c.Arch)
	}
	if err == nil {
		err = c.Graph.CheckParams(paramsOf(read.Graph))
	}
	if bad := (*GraphError)(nil); errors.As(err, &bad) {
		err = bad.Err
	}
	switch {
	case err != nil && arch.Known(c.Arch):
		return nil, nil, fmt.Errorf("model: it could not be read again: %w: attnx ships an architecture %.80q: rename your network", err, c.Arch)
	case err != nil:
		return nil, nil, fmt.Errorf("model: it could not be read again: %w", err)
	}
	return printed.Bytes(), read.Graph, nil
}

// SameGraph reports whether two texts describe the same graph. Names of
// intermediate values do not count.
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

// SameGraphs reports whether two files hold the same graph. Names of
// intermediate values do not count. known is false if a file has no graph.
// Files with equal seals are not read.
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
		shape, _ := p.Shape.Numbers() // Verify ensures that a parameter's shape is numbers
		params[i] = format.TensorInfo{Name: p.Name, DType: p.DType, Shape: shape}
	}
	return params
}
