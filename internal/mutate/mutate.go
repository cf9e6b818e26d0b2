// Package mutate puts faults into models, so that whatever claims to find faults can
// be measured. A fault is a small change of an ONNX file, or of a graph before it is
// exported: a weight, an attribute, the wiring, an operator replaced by its
// neighbour, a mask, a position, or a change that only certain inputs show.
//
// A fault need not change what a model computes, and the package does not judge
// that: exchanging equal rows changes nothing, nor does another epsilon where the
// variance is large.
package mutate

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// Fault is one change of a file.
type Fault struct {
	Kind  string // "weight element"
	Place string // "h.0.attn.c_attn.weight[3,5]"
	Value string // the first value that it changes, "" if that is not known
	// Also are values at which the fault may be found as well: of a node that is left
	// out, what reads it; of an output that is another name of a value, that value.
	Also []string
	// Inside means that values whose names begin with one of these and a dot are parts of it.
	Inside bool
	// When is the input that shows the fault; nil: any input may.
	When *When

	apply func(s *surgeon)
	whole *onnx.Model // the changed model
}

// Whole returns a fault whose changed model is m.
func Whole(f Fault, m *onnx.Model) Fault {
	f.whole = m
	return f
}

// When describes the inputs that show a fault: the size of an axis of an input, or
// an element that occurs in it.
type When struct {
	Input  string
	Axis   int  // of the size; -1: an element
	Is     int  // the size, or the element
	Beyond bool // a larger size, not this one
}

// Apply returns a changed copy of a model. It shares what it does not change.
func (f Fault) Apply(m *onnx.Model) *onnx.Model {
	if f.whole != nil {
		return f.whole
	}
	s := newSurgeon(m)
	f.apply(s)
	return s.Model
}

// At reports whether a value is where the fault may be found.
func (f Fault) At(value string) bool {
	for _, at := range append([]string{f.Value}, f.Also...) {
		if value == at || f.Inside && at != "" && strings.HasPrefix(value, at+".") {
			return true
		}
	}
	return false
}

// Kinds returns the names of all kinds of faults, in ONNX files and in graphs.
func Kinds() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	for _, k := range graphKinds {
		names = append(names, k.name)
	}
	return names
}

// Faults returns n faults of a model, spread evenly over the kinds that the model
// has a place for. Equal arguments give equal faults.
func Faults(m *onnx.Model, n int, seed uint64) []Fault {
	r := rand.New(rand.NewPCG(seed, 0x6d757461))
	w := newView(m)
	var drawn [][]Fault
	for _, k := range kinds {
		all := k.faults(w, r)
		for i := range all {
			all[i].Kind = k.name
			all[i].Also = w.also(all[i].Value)
		}
		if len(all) > 0 {
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			drawn = append(drawn, all)
		}
	}
	r.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	var out []Fault
	for round := 0; len(out) < n; round++ {
		before := len(out)
		for _, all := range drawn {
			if round < len(all) && len(out) < n {
				out = append(out, all[round])
			}
		}
		if len(out) == before {
			break
		}
	}
	return out
}

// kind is a row of the table of faults.
type kind struct {
	name   string
	faults func(w *view, r *rand.Rand) []Fault
}

// view is a model and what its names mean.
type view struct {
	*onnx.Model
	tensors map[string]*onnx.Tensor
	readers map[string][]int // nodes that read a value
	outputs map[string]bool
}

func newView(m *onnx.Model) *view {
	w := &view{Model: m, tensors: map[string]*onnx.Tensor{}, readers: map[string][]int{}, outputs: map[string]bool{}}
	for _, t := range m.Graph.Initializers {
		w.tensors[t.Name] = t
	}
	for i, n := range m.Graph.Nodes {
		for _, in := range n.Inputs {
			w.readers[in] = append(w.readers[in], i)
		}
	}
	for _, o := range m.Graph.Outputs {
		w.outputs[o.Name] = true
	}
	return w
}

// reader returns the first value that a change of an initializer changes: the result
// of the first node that reads it, or that reads what a node with one input makes of
// it.
func (w *view) reader(name string) string {
	for range w.Graph.Nodes {
		at := w.readers[name]
		if len(at) == 0 {
			return ""
		}
		n := w.Graph.Nodes[at[0]]
		if len(n.Inputs) > 1 {
			return n.Outputs[0]
		}
		name = n.Outputs[0]
	}
	return ""
}

// also returns the results of the nodes that read a value, and the value that it is
// another name of.
func (w *view) also(value string) (names []string) {
	if value == "" {
		return nil
	}
	for _, i := range w.readers[value] {
		names = append(names, w.Graph.Nodes[i].Outputs...)
	}
	if n := makerOf(w, value); n != nil && n.Op == "Identity" {
		names = append(names, n.Inputs[0])
	}
	return names
}

// surgeon changes a copy of a model.
type surgeon struct {
	*onnx.Model
	made int
}

func newSurgeon(m *onnx.Model) *surgeon {
	copied, g := *m, *m.Graph
	g.Nodes = make([]*onnx.Node, len(m.Graph.Nodes))
	for i, n := range m.Graph.Nodes {
		x := *n
		x.Inputs, x.Outputs, x.Attributes = slices.Clone(n.Inputs), slices.Clone(n.Outputs), slices.Clone(n.Attributes)
		g.Nodes[i] = &x
	}
	g.Initializers = make([]*onnx.Tensor, len(m.Graph.Initializers))
	for i, t := range m.Graph.Initializers {
		x := *t
		g.Initializers[i] = &x
	}
	g.Inputs, g.Outputs = slices.Clone(g.Inputs), slices.Clone(g.Outputs)
	g.Values = nil // of the values as they were
	copied.Graph = &g
	return &surgeon{Model: &copied}
}

// tensor returns an initializer with memory of its own.
func (s *surgeon) tensor(name string) *onnx.Tensor {
	i := slices.IndexFunc(s.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == name })
	t := s.Graph.Initializers[i]
	t.Raw = slices.Clone(t.Raw)
	return t
}
