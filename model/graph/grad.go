package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/model/role"
)

// Grad returns the pass that differentiates. After the existing outputs it
// adds, for every parameter, the derivative of the scalar output called loss,
// in the parameter's shape, under the name and role of a gradient. It applies
// each operator's own rule, or that of its decomposition, in reverse order. The
// rules share values with the forward pass once Decompose and Merge have run.
//
// Named dimensions may remain, unless a rule needs a length: its error names
// the dimension to bind.
func Grad(loss string) Pass { return GradBy(loss, nil) }

// GradBy is Grad for some parameters only, by name. It records nothing that
// only the others need; nil means all.
func GradBy(loss string, params []string) Pass { return gradBy(loss, params, false) }

// GradThrough is GradBy with derivatives that pass a rounding to integers as if it did
// not round: the straight-through estimator of Bengio and others (2013,
// arXiv:1308.3432). It is 0 where the integers are clamped, as in PyTorch's fake
// quantization, and scales and zero points are constants. Where nothing is rounded to
// integers it is GradBy.
func GradThrough(loss string, params []string) Pass { return gradBy(loss, params, true) }

func gradBy(loss string, params []string, through bool) Pass {
	return func(g *Graph) (*Graph, error) {
		i := slices.IndexFunc(g.Outputs, func(o Output) bool { return o.Name == loss })
		if i < 0 {
			return nil, fmt.Errorf("graph: no output is called %.80q", loss)
		}
		y := g.Outputs[i].Value
		if len(y.Shape) != 0 || !y.DType.Float() {
			return nil, fmt.Errorf("graph: output %.80q is %s, a gradient is that of one number", loss, y.Type)
		}
		b := Extend(g)
		b.through = through
		d := differentiation{b: b, grads: map[*Value]*Value{y: b.like(y, 1)}, learned: map[*Value]bool{}}
		by := g.Params
		if params != nil {
			by = nil
			for _, p := range g.Params {
				if slices.Contains(params, p.Name) {
					by = append(by, p)
				}
			}
			if len(by) != len(params) {
				return nil, fmt.Errorf("graph: %d of the %d weights to differentiate by are weights of the graph", len(by), len(params))
			}
		}
		d.mark(g.Nodes, by)
		d.backward(g.Nodes)
		given := map[*Value]bool{}
		for v := range g.Values() {
			given[v] = true
		}
		for _, o := range g.Outputs {
			given[o.Value] = true
		}
		for _, p := range by {
			dp := d.grads[p]
			if dp == nil { // the parameter does not affect the loss
				dp = b.Scope(p.Name+".grad").ConstantOfShape(0, p.Shape...)
			}
			if given[dp] {
				dp = b.Identity(dp) // a value with its own name
			}
			given[dp] = true
			r := role.GradientOf(p.Name)
			b.OutputFor(r, b.Name(r.Name(), dp))
		}
		full, err := b.Graph()
		if err != nil {
			if none := (*NoGradientError)(nil); errors.As(err, &none) {
				none.path(g, y)
				return nil, none // what is around it was written before it knew the path
			}
			return nil, err
		}
		return Prune(full)
	}
}

// Extend returns a Builder that continues after the values and outputs of g,
// which does not change. If a new name is taken by a value of g, it gets a
// number. A new input or weight keeps its name, and the copy of the value in g
// gets the number.
func Extend(g *Graph) *Builder {
	b := NewBuilder()
	b.made = true
	b.graph = Graph{
		Nodes: slices.Clone(g.Nodes), Inputs: slices.Clone(g.Inputs),
		Params: slices.Clone(g.Params), Outputs: slices.Clone(g.Outputs), Context: g.Context,
	}
	for v := range g.Values() {
		b.names[v.Name] = v
		b.owned[v] = true
	}
	return b
}

// differentiation computes the derivative of one number by every value it
// depends on.
type differentiation struct {
	b       *Builder
	grads   map[*Value]*Value
	learned map[*Value]bool // values that depend on a parameter through floating-point values, or through what they are rounded to
}

// mark finds the values that depend on one of the parameters.
func (d *differentiation) mark(nodes []*Node, by []*Value) {
	params := map[*Value]bool{}
	for _, p := range by {
		params[p] = true
	}
	for _, n := range nodes {
		learned := len(n.Results) > 0 && params[n.Results[0]]
		for _, a := range n.Args {
			learned = learned || d.learned[a]
		}
		for _, v := range n.Results {
			d.learned[v] = learned && v.DType.Float()
		}
		if learned && d.b.through {
			d.markThrough(n)
		}
	}
}

// backward records the derivatives by the arguments of the nodes, from the last
// node to the first.
func (d *differentiation) backward(nodes []*Node) {
	b := d.b
	for _, n := range slices.Backward(nodes) {
		dy := make([]*Value, len(n.Results))
		known := false
		for i, v := range n.Results {
			if d.learned[v] {
				dy[i] = d.grads[v]
			}
			known = known || dy[i] != nil
		}
		if !known || leaf(n.Op) {
			continue
		}
		scope := b.Scope(n.Name() + ".grad")
		var by []*Value
		switch op := n.Op.(type) {
		case Differentiable:
			by = op.Grad(scope, n, dy)
		case Composite:
			by = scope.gradOfDecomposition(op, n, dy)
		default:
			b.noGradient(n)
		}
		if b.err != nil {
			if none := (*NoGradientError)(nil); errors.As(b.err, &none) {
				none.Node, none.node = n.Name(), n // the outermost: those of decompositions have no names in the graph
			}
			return
		}
		for i, g := range by {
			if g != nil && d.learned[n.Args[i]] {
				d.add(n.Args[i], g)
			}
		}
	}
}

// add adds g to the derivative by v.
func (d *differentiation) add(v, g *Value) {
	if before := d.grads[v]; before != nil {
		g = d.b.Scope(v.Name+".grad").accumulate(before, g)
	}
	d.grads[v] = g
}

// gradOfDecomposition records the derivatives by the arguments of n through its
// decomposition.
func (b *Builder) gradOfDecomposition(op Composite, n *Node, dy []*Value) []*Value {
	if b.nested++; b.nested > maxDepth {
		b.tooDeep(op)
		return make([]*Value, len(n.Args))
	}
	defer func() { b.nested-- }()
	before := len(b.graph.Nodes)
	results := op.Decompose(b, n.Args)
	if b.err != nil {
		return make([]*Value, len(n.Args))
	}
	inside := slices.Clone(b.graph.Nodes[before:])
	d := differentiation{b: b.root(), grads: map[*Value]*Value{}, learned: map[*Value]bool{}}
	for _, a := range n.Args { // the caller drops those that are not needed
		_, scaled := op.(scaledNumbers)
		d.learned[a] = a.DType.Float() || b.through && scaled && ofIntegers(a)
	}
	d.mark(inside, nil)
	for i, g := range dy {
		if g != nil {
			d.add(results[i], g)
		}
	}
	d.backward(inside)
	out := make([]*Value, len(n.Args))
	for i, a := range n.Args {
		if !slices.Contains(n.Args[:i], a) { // an argument that occurs twice gets the sum once
			out[i] = d.grads[a]
		}
	}
	return out
}

// accumulate adds two gradients of one value. If one is a matrix product, the
// other becomes its third argument. If one is scattered into zeros, it is
// scattered into the other instead. Either saves a pass over both.
func (b *Builder) accumulate(x, y *Value) *Value {
	for _, p := range [][2]*Value{{y, x}, {x, y}} { // the later one first: it depends less on the other
		args := p[0].Args()
		switch op := p[0].Op().(type) {
		case Gemm:
			if len(args) == 2 {
				return b.apply(op, args[0], args[1], p[1])
			}
		case ScatterElements:
			if everyElement(args[0], 0) {
				return b.apply(op, p[1], args[1], args[2])
			}
		}
	}
	return b.Add(x, y)
}
