package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// Pass returns a changed copy of a graph. It never edits its argument, keeps
// the names of the values it keeps, and ends with Verify.
type Pass func(*Graph) (*Graph, error)

// Apply runs passes one after the other.
func Apply(g *Graph, passes ...Pass) (*Graph, error) {
	for _, p := range passes {
		var err error
		if g, err = p(g); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Rewrite copies g value by value, in order. For each value, f gets it with
// the arguments already replaced and a Builder whose scope is the value's
// name, and returns what stands for it in the copy: nil keeps it as it is,
// and a value recorded by f takes over its name.
func Rewrite(g *Graph, f func(b *Builder, v *Value, args []*Value) *Value) (*Graph, error) {
	b := NewBuilder()
	b.taken = make(map[string]bool, len(g.Values))
	for _, v := range g.Values {
		b.taken[v.Name] = true
	}
	copies := make(map[*Value]*Value, len(g.Values))
	for _, v := range g.Values {
		args := make([]*Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = copies[a]
		}
		before := len(b.graph.Values)
		r := f(b.Scope(v.Name), v, args)
		switch {
		case b.err != nil:
			return nil, b.err
		case r == nil:
			r = b.clone(v, args)
		case slices.Contains(b.graph.Values[before:], r):
			(&Builder{recording: b.recording}).Name(v.Name, r)
		}
		copies[v] = r
	}
	for _, o := range g.Outputs {
		b.Output(o.Name, copies[o.Value])
	}
	return b.Graph()
}

// clone records a copy of v with other arguments. A scalar that a pass has
// needed before its turn is there already.
func (b *Builder) clone(v *Value, args []*Value) *Value {
	if v.Op == Const {
		if w := b.known(v.Attr.Value.WithName(v.Name)); w != nil {
			return w
		}
	}
	c := *v
	c.Args = args
	if !c.Op.Leaf() {
		if err := infer(&c); err != nil {
			b.fail("%v (value %.80q)", err, v.Name)
		}
	}
	b.record(&c)
	switch c.Op {
	case Input:
		b.graph.Inputs = append(b.graph.Inputs, &c)
	case Param:
		b.graph.Params = append(b.graph.Params, &c)
	}
	return &c
}

// Select returns the pass that keeps the outputs of the given names alone, and
// what they need.
func Select(names ...string) Pass {
	return func(g *Graph) (*Graph, error) {
		kept := *g
		kept.Outputs = nil
		for _, name := range names {
			i := slices.IndexFunc(g.Outputs, func(o Output) bool { return o.Name == name })
			if i < 0 {
				return nil, fmt.Errorf("graph: no output is called %.80q", name)
			}
			kept.Outputs = append(kept.Outputs, g.Outputs[i])
		}
		return Prune(&kept)
	}
}

// Prune drops the values that no output needs. Inputs stay: they are the
// contract with whoever runs the graph.
func Prune(g *Graph) (*Graph, error) {
	live := map[*Value]bool{}
	for _, o := range g.Outputs {
		live[o.Value] = true
	}
	for i := len(g.Values) - 1; i >= 0; i-- {
		if v := g.Values[i]; live[v] {
			for _, a := range v.Args {
				live[a] = true
			}
		}
	}
	b := NewBuilder()
	copies := map[*Value]*Value{}
	for _, v := range g.Values {
		if !live[v] && v.Op != Input {
			continue
		}
		args := make([]*Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = copies[a]
		}
		copies[v] = b.clone(v, args)
	}
	for _, o := range g.Outputs {
		b.Output(o.Name, copies[o.Value])
	}
	return b.Graph()
}

// Bind returns the pass that gives letters their sizes. A value that depends
// on constants and sizes alone (Slice or Trilu of a constant, Range,
// ConstantOfShape) becomes a Const as soon as its sizes are numbers.
func Bind(sizes map[string]int) Pass {
	return func(g *Graph) (*Graph, error) {
		bound, err := Rewrite(g, func(b *Builder, v *Value, args []*Value) *Value {
			c := *v
			c.Args = args
			c.Shape = v.Shape.bind(sizes)
			c.Attr.Shape = v.Attr.Shape.bind(sizes)
			c.Attr.Start, c.Attr.Limit, c.Attr.K = v.Attr.Start.bind(sizes), v.Attr.Limit.bind(sizes), v.Attr.K.bind(sizes)
			root := &Builder{recording: b.recording}
			if t, ok := fromSizes(&c); ok {
				return root.Const(t.WithName(v.Name + ".const"))
			}
			return root.clone(&c, args)
		})
		if err != nil {
			return nil, err
		}
		return Prune(bound)
	}
}

// fromSizes computes a value that depends on sizes alone; ok is false for
// every other value, and while a size is still a letter.
func fromSizes(v *Value) (t format.Tensor, ok bool) {
	shape, ok := v.Shape.Numbers()
	if !ok {
		return t, false
	}
	n, ok := format.Elements(shape)
	if !ok {
		return t, false
	}
	switch v.Op {
	case Slice:
		start, ok := v.Attr.Start.Number()
		if !ok || v.Args[0].Op != Const || infer(v) != nil { // beyond the end: clone says so
			return t, false
		}
		return sliceConst(v.Args[0].Attr.Value, v.Attr.Axis, start, shape), true
	case Range:
		start, ok := v.Attr.Start.Number()
		ids := make([]int64, n)
		for i := range ids {
			ids[i] = int64(start + i)
		}
		return format.FromInt64s("", shape, ids), ok
	case ConstantOfShape:
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(v.Attr.Fill)
		}
		return format.FromFloat32s("", shape, x), true
	case Trilu:
		k, ok := v.Attr.K.Number()
		if !ok || v.Args[0].Op != Const || v.DType != format.Float32 {
			return t, false
		}
		from, err := v.Args[0].Attr.Value.Float32s()
		if err != nil {
			return t, false
		}
		x := make([]float32, n)
		rows, cols := shape[len(shape)-2], shape[len(shape)-1]
		for i := range x {
			row, col := i/cols%rows, i%cols
			if v.Attr.Upper && col-row >= k || !v.Attr.Upper && col-row <= k {
				x[i] = from[i]
			}
		}
		return format.FromFloat32s("", shape, x), true
	}
	return t, false
}

// sliceConst returns the part of x, of the given shape, that begins at start
// along the axis.
func sliceConst(x format.Tensor, axis, start int, shape []int) format.Tensor {
	inner := x.DType.Size() // bytes of one position along the axis
	for _, n := range shape[axis+1:] {
		inner *= n
	}
	outer, _ := format.Elements(shape[:axis])
	out := make([]byte, 0, outer*shape[axis]*inner)
	for i := range outer {
		from := (i*x.Shape[axis] + start) * inner
		out = append(out, x.Data[from:from+shape[axis]*inner]...)
	}
	return format.Tensor{DType: x.DType, Shape: shape, Data: out}
}

// MarkOutputs returns the pass that hands out every floating-point value that
// is computed, under its own name, after the outputs that are there: what a
// comparison value by value needs.
func MarkOutputs(g *Graph) (*Graph, error) {
	marked := *g
	marked.Outputs = slices.Clone(g.Outputs)
	taken := map[string]bool{}
	for _, o := range g.Outputs {
		taken[o.Name] = true
	}
	for _, v := range g.Values {
		if !v.Op.Leaf() && v.DType.Float() && !taken[v.Name] {
			marked.Outputs = append(marked.Outputs, Output{Name: v.Name, Value: v})
		}
	}
	if err := Verify(&marked); err != nil {
		return nil, fmt.Errorf("marking outputs: %w", err)
	}
	return &marked, nil
}
