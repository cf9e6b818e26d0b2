package attnx

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
)

// restsOnFirst is what the verdict on an identical file rests on.
const restsOnFirst = "in normal form its graph is the first file's, each weight bit for bit"

// structures judges the other files by their structure: whether each computes what
// the first one does, for every input. A file that structure leaves open is judged by
// the runs.
func (v *onnxVerification) structures() (all []runtime.FileVerdict) {
	first := v.files[0]
	for _, f := range v.files[1:] {
		x := filesAlike(Stored{first.File, filepath.Dir(first.Path)}, Stored{f.File, filepath.Dir(f.Path)}, f.pair.ours, f.pair.outputs)
		if x.Layer == runtime.IdenticalLayer && (first.partly || f.partly) {
			x.Layer, x.RestsOn, x.Reason = "", "", "its outputs that are not compared, and what they are computed by, are not proved"
		}
		x.File, x.Arithmetic = f.Path, f.pair.arithmetic
		all = append(all, x)
	}
	return all
}

// filesAlike compares two ONNX files by structure. Its verdict is identical; different, if
// the same operators have other elements or attributes, or one file has a condition, a limit or a
// narrower type that the other lacks, which samples cannot show for every input; and
// otherwise open. The maps hold the names of inputs and outputs in first, by name in
// other.
func filesAlike(first, other Stored, inputs, outputs map[string]string) (v runtime.FileVerdict) {
	r, err := identicalAs(first, other, inputs, outputs)
	quantized := slices.ContainsFunc(other.Model.Graph.Nodes, quantizes) && !slices.ContainsFunc(first.Model.Graph.Nodes, quantizes)
	v.FirstDifference, v.Reason = cmp.Or(namedIn(first.Model, r.A), namedIn(other.Model, r.B)), strings.ReplaceAll(r.Reason, "the second graph", "the second file")
	if made := readBy(first.Model, v.FirstDifference); made != "" {
		v.FirstDifference, v.Reason = made, fmt.Sprintf("reads %s, which %s", quote.Line(v.FirstDifference, 80), v.Reason)
	}
	if err != nil {
		v.Reason = err.Error()
	}
	switch added := addedConditions(first.Model, other.Model); {
	case err == nil && r.Identical:
		v.Layer, v.RestsOn, v.Reason = runtime.IdenticalLayer, restsOnFirst, ""
	case openOrder(first.Model, other.Model) != "":
		v.Layer, v.Reason = runtime.DifferentLayer, openOrder(first.Model, other.Model)
	case added != "" && (err != nil || quantized):
		v.Layer, v.Reason = runtime.DifferentLayer, unseen(added, "the second", "the first")
	case err != nil && endsAtNumber(err):
		v.Layer = runtime.DifferentLayer
	case err != nil || quantized:
	case r.Elements:
		v.Layer, v.Reason = runtime.DifferentLayer, "the same operators with other elements or attributes: it "+v.Reason
	case r.Added != "":
		v.Layer, v.Reason = runtime.DifferentLayer, unseen(r.Added, "the second", "the first")
	case r.Narrowed != "" && !storesLess(first.Model, other.Model):
		v.Layer, v.Reason = runtime.DifferentLayer, fmt.Sprintf("the second file has %s, and the first rounds fewer numbers to that type: inputs that no sample covers may have more digits or be larger", r.Narrowed)
	case r.Lacking != "" && !slices.ContainsFunc(other.Model.Graph.Nodes, func(n *onnx.Node) bool { return n.Domain != "" && n.Domain != "ai.onnx" }):
		v.Layer, v.Reason = runtime.DifferentLayer, unseen(r.Lacking, "the first", "the second")
	}
	return v
}

// storesLess reports whether a file stores its weights in fewer digits than the first, whose
// roundings it is held to then.
func storesLess(first, other *onnx.Model) bool {
	_, less := comparedIn(first, other)
	return less != ""
}

// namedIn returns the value of a file to which a value of its graph belongs: an operator
// may be several in the graph, whose values have its name and one of their own. "": none.
func namedIn(m *onnx.Model, name string) string {
	known := func(name string) bool {
		named := func(v onnx.ValueInfo) bool { return v.Name == name }
		return slices.ContainsFunc(m.Graph.Inputs, named) || slices.ContainsFunc(m.Graph.Outputs, named) ||
			slices.ContainsFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == name }) ||
			slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Name == name || slices.Contains(n.Outputs, name) })
	}
	for name != "" && !known(name) {
		name = name[:max(0, strings.LastIndexByte(name, '.'))]
	}
	return name
}

// readBy returns the first value that is computed from an initializer. "": name is none.
func readBy(m *onnx.Model, name string) string {
	if slices.ContainsFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == name }) {
		for _, n := range m.Graph.Nodes {
			if slices.Contains(n.Inputs, name) && len(n.Outputs) > 0 {
				return n.Outputs[0]
			}
		}
	}
	return ""
}

// openOrder says which results other gives in no order, and first in one; "" if none.
func openOrder(first, other *onnx.Model) string {
	at := slices.IndexFunc(other.Graph.Nodes, unsorted)
	if at < 0 || slices.ContainsFunc(first.Graph.Nodes, unsorted) {
		return ""
	}
	return fmt.Sprintf("the second file leaves the order of %s (TopK, sorted=0) open, the first does not", quote.Line(other.Graph.Nodes[at].Outputs[0], 80))
}

// unseen explains why two files differ if only one of them has an operator that selects.
func unseen(operator, which, other string) string {
	return fmt.Sprintf("%s file has %s and %s does not: the outputs may differ for inputs that no sample covers", which, quote.Line(operator, 200), other)
}

// quantizes reports whether a node computes with integers in the place of floating-point
// numbers.
func quantizes(n *onnx.Node) bool { return slices.Contains(quantizing, n.Op) }

// endsAtNumber reports whether a file could not be read because a standard operator
// cuts or selects by a size.
func endsAtNumber(err error) bool {
	var open *read.OpenError
	return errors.As(err, &open) && slices.Contains(sizing, open.Operator)
}

// sizing are the operators whose meaning a size can change.
var sizing = []string{"Slice", "If", "Loop", "Scan"}

// conditions are the operators by which a file gives other outputs for some inputs
// alone.
var conditions = []string{"If", "Where", "Loop", "Scan", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf", "Compress", "NonZero"}

// addedConditions returns the operator of a condition that the second file has more of, in
// its graph, its branches and functions; "" if there is none.
func addedConditions(a, b *onnx.Model) string {
	x, y := countedNodes(a), countedNodes(b)
	for _, op := range conditions {
		if y[op] > x[op] {
			return op
		}
	}
	return ""
}

// countedNodes counts the nodes of a model by standard operator.
func countedNodes(m *onnx.Model) map[string]int {
	all := map[string]int{}
	var count func(nodes []*onnx.Node)
	count = func(nodes []*onnx.Node) {
		for _, n := range nodes {
			if n.Domain == "" || n.Domain == "ai.onnx" {
				all[n.Op]++
			}
			for _, a := range n.Attributes {
				if a.Graph != nil {
					count(a.Graph.Nodes)
				}
				for _, g := range a.Graphs {
					count(g.Nodes)
				}
			}
		}
	}
	count(m.Graph.Nodes)
	for _, f := range m.Functions {
		count(f.Nodes)
	}
	return all
}
