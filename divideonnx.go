package attnx

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ref"
)

// DivisionError reports a division of the least integer by -1. Its quotient is no integer of
// the type: the processor raises an exception, at which ONNX Runtime 1.30 ends the process
// (Div and Mod of I32 and I64; it looks for zeros only).
type DivisionError struct {
	Node     string
	Operator string
	DType    format.DType
}

func (e *DivisionError) Error() string {
	return fmt.Sprintf("node %.80q: %s: it divides the least %s by -1, which ends the process of a runtime: give other values, or take the oracle", e.Node, e.Operator, e.DType)
}

// divides returns a *DivisionError if a graph divides the least integer by -1. Without inputs
// it looks at what the file alone decides. What cannot be evaluated is a runtime's to refuse.
func divides(r *read.Result, inputs map[string]format.Tensor) error {
	weights := map[*graph.Value]format.Tensor{}
	for i, p := range r.Graph.Params {
		weights[p] = r.Weights[i]
	}
	holds := func(v *graph.Value, x int64) bool { // or may hold
		t, stored := v.Constant()
		if !stored {
			t, stored = weights[v]
		}
		return !stored || slices.Contains(integersOf(t), x)
	}
	for _, n := range r.Graph.Nodes {
		if n.Op != graph.Div && n.Op != graph.Mod {
			continue // the remainder that Mod gives with fmod=1 is one of floating-point numbers
		}
		d := n.Results[0].DType
		least := int64(math.MinInt32)
		if d == format.Int64 {
			least = math.MinInt64
		} else if d != format.Int32 {
			continue
		}
		if !holds(n.Args[0], least) || !holds(n.Args[1], -1) {
			continue
		}
		values, err := computedAlone(r.Graph, weights, inputs, n.Args)
		if err == nil && overflows(values[0], values[1], least) {
			return &DivisionError{n.Name(), n.Op.Name(), d}
		}
	}
	return nil
}

// computedAlone computes values of a graph from what they need alone.
func computedAlone(g *graph.Graph, weights map[*graph.Value]format.Tensor, inputs map[string]format.Tensor, wanted []*graph.Value) ([]format.Tensor, error) {
	needed := map[*graph.Node]bool{}
	for _, v := range wanted {
		needed[v.Node] = true
	}
	for _, n := range slices.Backward(g.Nodes) {
		if needed[n] {
			for _, a := range n.Args {
				needed[a.Node] = true
			}
		}
	}
	part, given, stored := &graph.Graph{Context: g.Context}, map[string]format.Tensor{}, []format.Tensor{}
	for _, n := range g.Nodes {
		if needed[n] {
			part.Nodes = append(part.Nodes, n)
		}
	}
	for _, v := range g.Inputs {
		t, there := inputs[v.Name]
		if !needed[v.Node] {
			continue
		}
		if !there {
			return nil, fmt.Errorf("input %.80q is not known", v.Name)
		}
		part.Inputs, given[v.Name] = append(part.Inputs, v), t
	}
	for _, v := range g.Params {
		if needed[v.Node] {
			part.Params, stored = append(part.Params, v), append(stored, weights[v])
		}
	}
	for i, v := range wanted {
		part.Outputs = append(part.Outputs, graph.Output{Name: fmt.Sprint(i), Value: v})
	}
	o, err := ref.New(part, stored)
	if err != nil {
		return nil, err
	}
	results, err := o.Run(given)
	if err != nil {
		return nil, err
	}
	out := make([]format.Tensor, len(wanted))
	for i := range wanted {
		out[i] = results[fmt.Sprint(i)]
	}
	return out, nil
}

// overflows reports whether an element of x that is the least integer meets -1 in y, with
// both broadcast.
func overflows(x, y format.Tensor, least int64) bool {
	a, b := integersOf(x), integersOf(y)
	if !slices.Contains(a, least) || !slices.Contains(b, -1) {
		return false
	}
	rank := max(len(x.Shape), len(y.Shape))
	size := func(t format.Tensor, axis int) int {
		if axis -= rank - len(t.Shape); axis >= 0 {
			return t.Shape[axis]
		}
		return 1
	}
	var meet func(axis, i, j int) bool
	meet = func(axis, i, j int) bool {
		if axis == rank {
			return a[i] == least && b[j] == -1
		}
		m, n := size(x, axis), size(y, axis)
		for k := range max(m, n) {
			if meet(axis+1, i*m+min(k, m-1), j*n+min(k, n-1)) {
				return true
			}
		}
		return false
	}
	return meet(0, 0, 0)
}

// integersOf returns the elements of a tensor of integers.
func integersOf(t format.Tensor) []int64 {
	if t.DType == format.Int64 {
		exact, _ := t.Int64s()
		return exact
	}
	values, _ := t.AsFloat64s()
	out := make([]int64, len(values))
	for i, v := range values {
		out[i] = int64(v)
	}
	return out
}

// divides refuses cases in which a division ends the process of a runtime.
func (v *onnxVerification) divides() error {
	for _, f := range v.files {
		for _, k := range v.cases {
			inputs, err := k.Inputs(), error(nil)
			if f.pair != nil {
				inputs, err = f.pair.inputs(inputs)
			}
			if err != nil {
				break // the comparison says why
			}
			r, err := f.readFor(inputs)
			if err != nil {
				break
			}
			if err := divides(r, inputs); err != nil {
				return fmt.Errorf("%s: %w", f.Path, err)
			}
		}
	}
	return nil
}
