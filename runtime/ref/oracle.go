package ref

import (
	"fmt"
	"maps"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// Oracle evaluates one graph. It is not changed by running: any number of
// goroutines may use it at once.
type Oracle struct {
	graph   *graph.Graph
	weights map[*graph.Value]format.Tensor
}

var _ runtime.Session = (*Oracle)(nil)

// New returns the oracle of g with the given weights, which stand in the order
// of g.Params under their names and in their shapes. The weights are not
// copied: they are widened to float64 where a run needs them.
func New(g *graph.Graph, weights []format.Tensor) (*Oracle, error) {
	if err := graph.Verify(g); err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	if len(weights) != len(g.Params) {
		return nil, fmt.Errorf("ref: %d weights for a graph of %d parameters", len(weights), len(g.Params))
	}
	o := &Oracle{graph: g, weights: map[*graph.Value]format.Tensor{}}
	for i, p := range g.Params {
		w := weights[i]
		if err := w.Check(); err != nil {
			return nil, fmt.Errorf("ref: %w", err)
		}
		want, known := kindOf(p.DType)
		got, ok := kindOf(w.DType)
		if !known || !ok || got != want || w.Name != p.Name || !p.Shape.Equal(graph.Numbers(w.Shape...)) {
			return nil, fmt.Errorf("ref: weight %d is %.80q %s%v, the graph wants %.80q %s%s", i, w.Name, w.DType, w.Shape, p.Name, p.DType, p.Shape)
		}
		o.weights[p] = w
	}
	return o, nil
}

// Run computes the outputs of the graph. Floating-point outputs are F64.
func (o *Oracle) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	wanted := make([]*graph.Value, len(o.graph.Outputs))
	for i, out := range o.graph.Outputs {
		wanted[i] = out.Value
	}
	results, err := o.run(inputs, wanted)
	if err != nil {
		return nil, err
	}
	tensors := make(map[string]format.Tensor, len(wanted))
	for i, out := range o.graph.Outputs {
		tensors[out.Name] = results[i].tensor(out.Name)
	}
	return tensors, nil
}

// Values computes the values of the given names, which need not be outputs.
// What happens inside a composite operator has names only in a graph that
// went through graph.Decompose: "h.0.attn.probabilities" is one of them.
func (o *Oracle) Values(inputs map[string]format.Tensor, names ...string) (map[string]format.Tensor, error) {
	wanted := make([]*graph.Value, len(names))
	for i, name := range names {
		if wanted[i] = o.graph.Lookup(name); wanted[i] == nil {
			return nil, fmt.Errorf("ref: no value is called %.80q", name)
		}
	}
	results, err := o.run(inputs, wanted)
	if err != nil {
		return nil, err
	}
	tensors := make(map[string]format.Tensor, len(names))
	for i, name := range names {
		tensors[name] = results[i].tensor(name)
	}
	return tensors, nil
}

// All computes every value of the graph that is not given: what a comparison
// value by value needs. All of them are in memory together.
func (o *Oracle) All(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	var names []string
	for _, v := range o.graph.Values {
		if !v.Op.Leaf() {
			names = append(names, v.Name)
		}
	}
	return o.Values(inputs, names...)
}

// Close does nothing: an oracle holds only memory.
func (o *Oracle) Close() error { return nil }

// run computes the wanted values.
func (o *Oracle) run(inputs map[string]format.Tensor, wanted []*graph.Value) ([]array, error) {
	shapes := make(map[string][]int, len(inputs))
	for name, t := range inputs {
		shapes[name] = t.Shape
	}
	sizes, err := o.graph.BindInputs(shapes)
	if err == nil {
		err = runtime.CheckMask(inputs)
	}
	if err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	p, err := newPlan(o.graph, wanted, sizes)
	if err != nil {
		return nil, err
	}
	held, err := o.compute(p, inputs, sizes)
	if err != nil {
		return nil, err
	}
	results := make([]array, len(wanted))
	for i, v := range wanted {
		if results[i], err = o.load(held, v, inputs); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// compute goes through the plan in the order of the graph. It lets go of a
// value as soon as its last user has run; those that are left are wanted.
func (o *Oracle) compute(p *plan, inputs map[string]format.Tensor, sizes map[string]int) (map[*graph.Value]array, error) {
	held := map[*graph.Value]array{}
	left := maps.Clone(p.uses)
	for _, v := range o.graph.Values {
		if left[v] == 0 || v.Op.Leaf() {
			continue
		}
		args := make([]array, len(v.Args))
		for i, a := range v.Args {
			var err error
			if args[i], err = o.load(held, a, inputs); err != nil {
				return nil, err
			}
		}
		result, err := apply(v, args, p.shapes[v], sizes)
		if err != nil {
			if bad, ok := err.(*format.RangeError); ok {
				bad.Name = v.Args[1].Name // where every operator has its ids
			}
			return nil, fmt.Errorf("ref: %s %.80q: %w", v.Op, v.Name, err)
		}
		held[v] = result
		for _, a := range v.Args {
			if left[a]--; left[a] == 0 {
				delete(held, a)
			}
		}
	}
	return held, nil
}

// load returns a value that is held; a leaf is brought in when it is first
// asked for.
func (o *Oracle) load(held map[*graph.Value]array, v *graph.Value, inputs map[string]format.Tensor) (array, error) {
	if a, ok := held[v]; ok {
		return a, nil
	}
	var t format.Tensor
	switch v.Op {
	case graph.Input:
		t = inputs[v.Name]
	case graph.Param:
		t = o.weights[v]
	case graph.Const:
		t = v.Attr.Value
	}
	a, err := fromTensor(t, v.DType)
	if err != nil {
		return a, fmt.Errorf("ref: %s %.80q: %w", v.Op, v.Name, err)
	}
	held[v] = a
	return a, nil
}
