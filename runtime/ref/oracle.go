package ref

import (
	"fmt"
	"maps"
	"sync"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// Oracle evaluates one graph. A run does not change it, so any number of
// goroutines may use it at once.
type Oracle struct {
	graph   *graph.Graph
	weights map[*graph.Value]format.Tensor
	outside map[string]bool // names of the values of the graph as it was given

	once    sync.Once
	ruled   *certified // the graph as its roundings are bounded; made at the first use
	unruled error      // why it could not be made without sizes
}

// New returns the oracle of g with the given weights, in the order of g.Params,
// under their names and in their shapes. The weights are not copied: a run
// converts them to float64 when it needs them. Operators without a kernel are
// decomposed.
func New(g *graph.Graph, weights []format.Tensor) (*Oracle, error) {
	if err := graph.Verify(g); err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	outside := map[string]bool{}
	for v := range g.Values() {
		outside[v.Name] = true
	}
	g, err := graph.Decompose(known)(g)
	if err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	infos := make([]format.TensorInfo, len(weights))
	for i, w := range weights {
		if err := w.Check(); err != nil {
			return nil, fmt.Errorf("ref: %w", err)
		}
		infos[i] = w.Info()
	}
	if err := g.CheckParams(infos); err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	o := &Oracle{graph: g, weights: map[*graph.Value]format.Tensor{}, outside: outside}
	for i, p := range g.Params {
		if _, ok := kindOf(p.DType); !ok {
			return nil, fmt.Errorf("ref: weight %.80q: element type %s is not supported", p.Name, p.DType)
		}
		o.weights[p] = weights[i]
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

// Values computes the values of the given names, which need not be outputs. The
// inside of a composite operator has names only in a graph that went through
// graph.Decompose, such as "h.0.attn.probabilities".
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

// Visit computes the values of the given names, as Values does, and calls see with
// each as soon as it is there, so that they need not be in memory together. An error
// of see ends the run and is returned. Inputs and weights are not visited.
func (o *Oracle) Visit(inputs map[string]format.Tensor, names []string, see func(format.Tensor) error) error {
	visited := make([]*graph.Value, len(names))
	for i, name := range names {
		if visited[i] = o.graph.Lookup(name); visited[i] == nil || visited[i].Leaf() {
			return fmt.Errorf("ref: no computed value is called %.80q", name)
		}
	}
	p, err := o.planned(inputs, nil, visited...)
	if err != nil {
		return err
	}
	_, err = o.compute(p, inputs, see)
	return err
}

// All computes every value of the graph except inputs and weights, for a
// comparison value by value. All of them are in memory together.
func (o *Oracle) All(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	var names []string
	for v := range o.graph.Values() {
		if !v.Leaf() {
			names = append(names, v.Name)
		}
	}
	return o.Values(inputs, names...)
}

// Close does nothing: an oracle holds only memory.
func (o *Oracle) Close() error { return nil }

// planned checks the inputs and plans a run.
func (o *Oracle) planned(inputs map[string]format.Tensor, wanted []*graph.Value, visited ...*graph.Value) (*plan, error) {
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
	return newPlan(o.graph, wanted, sizes, visited...)
}

// run computes the wanted values.
func (o *Oracle) run(inputs map[string]format.Tensor, wanted []*graph.Value) ([]array, error) {
	p, err := o.planned(inputs, wanted)
	if err != nil {
		return nil, err
	}
	held, err := o.compute(p, inputs, nil)
	if err != nil {
		return nil, err
	}
	results := make([]array, len(wanted))
	for i, v := range wanted {
		if results[i], err = o.load(held, v, inputs); err != nil {
			return nil, err
		}
		results[i] = results[i].wide()
	}
	return results, nil
}

// compute runs the plan in graph order. It frees a value as soon as its last
// user has run; the values left at the end are the wanted ones. see gets each value
// that the plan visits.
func (o *Oracle) compute(p *plan, inputs map[string]format.Tensor, see func(format.Tensor) error) (map[*graph.Value]array, error) {
	held := map[*graph.Value]array{}
	left := maps.Clone(p.uses)
	var dropped garbage
	for _, n := range o.graph.Nodes {
		if !p.runs(n) || n.Results[0].Leaf() {
			continue
		}
		c := call{args: make([]array, len(n.Args)), shapes: make([][]int, len(n.Results)), sizes: p.sizes}
		for i, a := range n.Args {
			var err error
			if c.args[i], err = o.load(held, a, inputs); err != nil {
				return nil, err
			}
		}
		for i, v := range n.Results {
			var err error
			if c.shapes[i], err = p.shape(v); err != nil {
				return nil, err
			}
			c.types = append(c.types, v.DType)
		}
		results, err := apply(n, c)
		if err == nil {
			err = p.count(n, results)
		}
		if err != nil {
			return nil, failed(n, err)
		}
		for i, v := range n.Results {
			if p.visits[v] {
				if err := see(results[i].wide().tensor(v.Name)); err != nil {
					return nil, err
				}
			}
			if left[v] > 0 {
				held[v] = results[i]
			}
		}
		for _, a := range n.Args {
			if left[a]--; left[a] == 0 {
				x := held[a]
				delete(held, a)
				dropped.drop(x)
			}
		}
	}
	return held, nil
}

// failed returns the error of a node.
func failed(n *graph.Node, err error) error {
	if bad, ok := err.(*format.RangeError); ok {
		bad.Name = n.Args[1].Name // all operators have their ids in argument 1
	}
	return fmt.Errorf("ref: %s %.80q: %w", n.Op.Name(), n.Name(), err)
}

// load returns a value in memory. It loads a leaf at its first use.
func (o *Oracle) load(held map[*graph.Value]array, v *graph.Value, inputs map[string]format.Tensor) (array, error) {
	if a, ok := held[v]; ok {
		return a, nil
	}
	a, err := loadLeaf(v, inputs, o.weights)
	if err == nil {
		held[v] = a
	}
	return a, err
}

// loadLeaf converts an input, a weight or a constant.
func loadLeaf(v *graph.Value, inputs map[string]format.Tensor, weights map[*graph.Value]format.Tensor) (array, error) {
	var t format.Tensor
	switch op := v.Op().(type) {
	case graph.Input:
		t = inputs[v.Name]
	case graph.Param:
		t = weights[v]
	case graph.Const:
		t = op.Value
	}
	if a, ok := narrowFrom(t, v.DType); ok {
		return a, nil
	}
	a, err := fromTensor(t, v.DType)
	if err != nil {
		return a, fmt.Errorf("ref: %s %.80q: %w", v.Op().Name(), v.Name, err)
	}
	return a, nil
}
