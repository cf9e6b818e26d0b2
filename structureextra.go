package attnx

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/internal/quote"
)

// extraNodes compares what the normal form leaves out: b may not have more of it than a. A
// node that no output needs, or a branch that is never taken, changes no number, but it can
// stop a run, and a default of an input can be replaced.
func extraNodes(a, b *onnx.Model) string {
	if n := len(b.Graph.Inputs) - len(given(b)); n > 0 && n > len(a.Graph.Inputs)-len(given(a)) {
		for _, in := range b.Graph.Inputs {
			if slices.ContainsFunc(b.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == in.Name }) {
				return fmt.Sprintf("its weight %s is an input too, so that a caller may replace it", quote.Line(in.Name, 80))
			}
		}
	}
	if op := looser(a, b); op != "" {
		return op
	}
	x, y := countedNodes(a), countedNodes(b)
	if y["If"] > x["If"] {
		return "it has an If more, of which the graph takes one branch"
	}
	first := map[string]int{}
	for _, n := range idle(a) {
		first[n.Op]++
	}
	for _, n := range idle(b) {
		if first[n.Op]--; first[n.Op] < 0 {
			return fmt.Sprintf("no output needs its node %s (%s)", quote.Line(n.Outputs[0], 80), quote.Line(n.Op, 80))
		}
	}
	return ""
}

// idle returns the nodes of a graph that no output needs.
func idle(m *onnx.Model) (all []*onnx.Node) {
	needed := map[string]bool{}
	for _, o := range m.Graph.Outputs {
		needed[o.Name] = true
	}
	for _, n := range slices.Backward(m.Graph.Nodes) {
		if len(n.Outputs) == 0 {
			continue
		}
		if !slices.ContainsFunc(n.Outputs, func(o string) bool { return needed[o] }) {
			if n.Op != "Constant" && n.Op != "Identity" { // these cannot fail
				all = append(all, n)
			}
			continue
		}
		for _, name := range n.Inputs {
			needed[name] = true
		}
		readInside(n, func(name string) { needed[name] = true })
	}
	slices.Reverse(all)
	return all
}

// declaredAlike compares what two files declare of their inputs and outputs: names,
// element types, and which dimensions are open. It returns the first difference. in
// and out are the names of b's inputs and outputs in a.
func declaredAlike(a, b *onnx.Model, in, out func(string) string) string {
	for _, part := range []struct {
		kind string
		a, b []onnx.ValueInfo
		as   func(string) string
	}{{"input", given(a), given(b), in}, {"output", a.Graph.Outputs, b.Graph.Outputs, out}} {
		if len(part.a) != len(part.b) {
			return fmt.Sprintf("%d %ss, and %d in the second file", len(part.a), part.kind, len(part.b))
		}
		for _, v := range part.a {
			i := slices.IndexFunc(part.b, func(w onnx.ValueInfo) bool { return part.as(w.Name) == v.Name })
			if i < 0 {
				return fmt.Sprintf("%s %s is not in the second file", part.kind, quote.Line(v.Name, 80))
			}
			w := part.b[i]
			same := v.DataType == w.DataType && (v.NoShape || w.NoShape || slices.EqualFunc(v.Dims, w.Dims, func(d, e onnx.Dim) bool {
				return d.Open == e.Open && d.Value == e.Value
			}))
			if !same {
				return fmt.Sprintf("%s is declared as %s, and as %s in the second file", part.kind, v, w)
			}
		}
	}
	return ""
}

// given returns the inputs without an initializer.
func given(m *onnx.Model) []onnx.ValueInfo {
	return slices.DeleteFunc(slices.Clone(m.Graph.Inputs), func(v onnx.ValueInfo) bool {
		return slices.ContainsFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == v.Name })
	})
}

// readInside calls add with the names that the graphs of a node read or define.
func readInside(n *onnx.Node, add func(name string)) {
	for _, a := range n.Attributes {
		for _, g := range append([]*onnx.Graph{a.Graph}, a.Graphs...) {
			if g == nil {
				continue
			}
			for _, o := range g.Outputs {
				add(o.Name)
			}
			for _, inner := range g.Nodes {
				for _, name := range inner.Inputs {
					add(name)
				}
				readInside(inner, add)
			}
		}
	}
}

// loose are attributes that leave a runtime more freedom than their defaults: the numbers
// that it computes in, or the order of its results. No equation between real numbers holds them.
var loose = []struct {
	op, attribute string
	strict        int64
	means         string
}{
	{"LayerNormalization", "stash_type", int64(onnx.Float), "computes in other numbers than float32"},
	{"Attention", "softmax_precision", 0, "computes its softmax in numbers of its own"},
	{"TopK", "sorted", 1, "leaves the order of its results open"},
}

// looser says which node of b has more freedom than those of a; "" if none has.
func looser(a, b *onnx.Model) string {
	count := func(m *onnx.Model, op, attribute string, strict int64) (n int, example string) {
		for _, x := range m.Graph.Nodes {
			for _, at := range x.Attributes {
				if x.Op == op && (x.Domain == "" || x.Domain == "ai.onnx") && len(x.Outputs) > 0 && at.Name == attribute && at.Int != strict {
					n, example = n+1, x.Outputs[0]
				}
			}
		}
		return n, example
	}
	for _, l := range loose {
		n, _ := count(a, l.op, l.attribute, l.strict)
		if m, example := count(b, l.op, l.attribute, l.strict); m > n {
			return fmt.Sprintf("its node %s (%s, %s) %s", quote.Line(example, 80), l.op, l.attribute, l.means)
		}
	}
	return ""
}
