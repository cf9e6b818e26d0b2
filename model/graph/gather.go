package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// Gather selects slices of its first argument along the axis by int64 ids. With
// axis 0 these are rows of a table (V,...), and the result has the ids' shape
// followed by a row's. Ids are at least 0 and less than the length of the axis;
// with FromEnd a negative id counts from the end.
type Gather struct {
	Axis    int
	FromEnd bool `attr:"from_end,omitzero"`
}

// Name returns "Gather".
func (Gather) Name() string { return "Gather" }

// Infer replaces the axis by the ids' shape.
func (g Gather) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	table, ids := args[0], args[1]
	if ids.DType != format.Int64 {
		return nil, fmt.Errorf("its ids are %s, expected I64", ids.DType)
	}
	if err := expectAxis(g.Axis, table.Shape); err != nil {
		return nil, err
	}
	out := append(Shape(nil), table.Shape[:g.Axis]...)
	out = append(append(out, ids.Shape...), table.Shape[g.Axis+1:]...)
	return one(table.DType, out), nil
}

// oneHotLimit is the maximum vocabulary for one-hot rows, which the gradients
// of embeddings and of the loss use in matrix products. For larger vocabularies
// the gradients scatter, at a cost that depends on the tokens and not on the
// vocabulary: see fixtures/MEASURED.md, "The gradient of an embedding".
const oneHotLimit = 128

// Grad sums the rows of each id. ScatterND could add whole rows, but ONNX
// Runtime's adds them on several threads without a lock and loses updates if an
// id occurs twice; its ScatterElements does not.
func (g Gather) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	table, ids := n.Args[0], n.Args[1]
	if g.Axis != 0 {
		return []*Value{g.alongFirst(b, n, dy[0]), nil}
	}
	if g.FromEnd {
		ids = fromStart(b, ids, table.Shape[0])
	}
	count, known := ids.Shape.Elements().Number()
	width, fixed := table.Shape[1:].Elements().Number()
	vocab, _ := table.Shape[0].Number()
	if !known || !fixed || vocab == 0 {
		b.fail("graph: the derivative of Gather %.80q by %s with ids %s: bind the named dimensions first", n.Name(), table.Shape, ids.Shape)
		return []*Value{nil, nil}
	}
	rows := b.Reshape(dy[0], N(count), N(width)) // (N,C)
	var d *Value                                 // (V,C)
	if vocab <= oneHotLimit {
		d = b.Gemm(b.OneHot(b.Reshape(ids, N(count)), vocab), rows, nil, true, false)
	} else {
		zeros := b.Cast(b.ConstantOfShape(0, N(count), N(width)), format.Int64)
		all := b.Add(zeros, b.Reshape(ids, N(count), N(1))) // (N,C): the id for every element
		d = b.ScatterElements(b.ConstantOfShape(0, N(vocab), N(width)), all, rows, 0)
	}
	return []*Value{b.Reshape(d, table.Shape...), nil}
}

// fromStart records ids that count from the start of an axis of the given size,
// for ids of which negative ones count from its end.
func fromStart(b *Builder, ids *Value, size Dim) *Value {
	n, known := size.Number()
	if !known {
		b.fail("graph: ids %.80q count from the end of %s: bind the named dimensions first", ids.Name, size)
		return ids
	}
	return b.Where(b.Less(ids, b.integer(0)), b.Add(ids, b.integer(int64(n))), ids)
}

// alongFirst is the derivative by the table of a Gather along an axis other
// than the first: the one of the transposed table, transposed back.
func (g Gather) alongFirst(b *Builder, n *Node, dy *Value) *Value {
	table, ids := n.Args[0], n.Args[1]
	toFront := func(rank, from, count int) []int { // permutation that moves count axes to the front
		perm := axes(make(Shape, rank))
		return append(slices.Clone(perm[from:from+count]), slices.Delete(perm, from, from+count)...)
	}
	perm := toFront(len(table.Shape), g.Axis, 1)
	first := &Node{Op: Gather{FromEnd: g.FromEnd}, Args: []*Value{b.Transpose(table, perm...), ids}, Results: n.Results}
	d := first.Op.(Gather).Grad(b, first, []*Value{b.Transpose(dy, toFront(len(dy.Shape), g.Axis, len(ids.Shape))...)})[0]
	if d == nil {
		return nil
	}
	back := make([]int, len(perm))
	for i, p := range perm {
		back[p] = i
	}
	return b.Transpose(d, back...)
}

// GatherElements is x[i,j,ids[i,j,k]] for the last axis, and likewise for other
// axes. The ids are int64, as in Gather, and the other dimensions agree.
type GatherElements struct {
	Axis    int
	FromEnd bool `attr:"from_end,omitzero"`
}

// Name returns "GatherElements".
func (GatherElements) Name() string { return "GatherElements" }

// Infer returns the ids' shape.
func (g GatherElements) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	x, ids := args[0], args[1]
	if err := expectAxis(g.Axis, x.Shape); err != nil {
		return nil, err
	}
	if ids.DType != format.Int64 || !ids.Shape.equalBut(g.Axis, x.Shape) {
		return nil, fmt.Errorf("ids %s for %s along axis %d", ids, x.Shape, g.Axis)
	}
	return one(x.DType, ids.Shape), nil
}

// Grad implements Differentiable.
func (g GatherElements) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{b.apply(ScatterElements(g), b.ConstantOfShape(0, n.Args[0].Shape...), n.Args[1], dy[0]), nil}
}

// ScatterElements returns its first argument with updates, the third argument,
// added at ids, the second, along the axis: at the elements that GatherElements
// reads. An id that occurs twice adds twice. It is ONNX's operator with
// reduction="add".
type ScatterElements struct {
	Axis    int
	FromEnd bool `attr:"from_end,omitzero"`
}

// Name returns "ScatterElements".
func (ScatterElements) Name() string { return "ScatterElements" }

// Infer returns the type of the first argument.
func (s ScatterElements) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 3); err != nil {
		return nil, err
	}
	x, ids, updates := args[0], args[1], args[2]
	if !updates.Shape.Equal(ids.Shape) || updates.DType != x.DType {
		return nil, fmt.Errorf("updates %s for ids %s", updates, ids.Shape)
	}
	if _, err := GatherElements(s).Infer(args[:2]); err != nil {
		return nil, err
	}
	return []Type{x}, expectFloat(x)
}

// Grad implements Differentiable.
func (s ScatterElements) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{dy[0], nil, b.apply(GatherElements(s), dy[0], n.Args[1])}
}

// OneHot converts int64 ids to rows of Depth numbers: 1 at the id, 0 elsewhere.
type OneHot struct{ Depth int }

// Name returns "OneHot".
func (OneHot) Name() string { return "OneHot" }

// Infer appends Depth to the ids' shape.
func (o OneHot) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if args[0].DType != format.Int64 || o.Depth < 1 {
		return nil, fmt.Errorf("ids are %s, depth %d", args[0].DType, o.Depth)
	}
	return one(format.Float32, append(append(Shape(nil), args[0].Shape...), N(o.Depth))), nil
}

// Decompose implements Composite.
func (o OneHot) Decompose(b *Builder, args []*Value) []*Value {
	column := append(slices.Clone(args[0].Shape), N(1))
	return []*Value{b.Cast(b.Equal(b.Reshape(args[0], column...), b.Range(N(0), N(o.Depth))), format.Float32)}
}

// Grad implements Differentiable: ids have no derivative.
func (OneHot) Grad(*Builder, *Node, []*Value) []*Value { return []*Value{nil} }

// Range is the integers from Start up to, but not including, Limit.
type Range struct{ Start, Limit Dim }

// Name returns "Range".
func (Range) Name() string { return "Range" }

// Infer returns int64 of the length.
func (r Range) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 0); err != nil {
		return nil, err
	}
	d, err := length(r.Start, r.Limit)
	return one(format.Int64, Shape{d}), err
}

// ConstantOfShape is a float32 tensor filled with one number.
type ConstantOfShape struct {
	Shape Shape
	Fill  float64
}

// Name returns "ConstantOfShape".
func (ConstantOfShape) Name() string { return "ConstantOfShape" }

// Infer returns the shape.
func (c ConstantOfShape) Infer(args []Type) ([]Type, error) {
	if f := float64(float32(c.Fill)); f != c.Fill {
		return nil, fmt.Errorf("%g is not a float32", c.Fill)
	}
	return one(format.Float32, c.Shape), expect(args, 0)
}

// Positions is the position of each token of its argument, (B,T), in its text:
// int64 (T), 0 to T-1. With a past the positions are an input, with which
// Cached replaces it.
type Positions struct{}

// Name returns "Positions".
func (Positions) Name() string { return "Positions" }

// Infer returns int64 (T).
func (Positions) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if len(args[0].Shape) < 2 {
		return nil, errors.New("its argument is not (B,T)")
	}
	return one(format.Int64, args[0].Shape[1:2]), nil
}

// Decompose implements Composite.
func (Positions) Decompose(b *Builder, args []*Value) []*Value {
	return []*Value{b.Range(N(0), args[0].Shape[1])}
}
