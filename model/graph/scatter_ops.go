package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// scatterOps access positions given by data.
var scatterOps = []Op{GatherND{}, ScatterND{}}

// GatherND selects from x (batch..., d..., rest...) by int64 ids (batch..., ..., K).
// The last axis of the ids is a position in the K dimensions after the first
// BatchDims, which both arguments share. The result is (batch..., ..., rest...). A
// negative id counts from the end.
type GatherND struct {
	BatchDims int `attr:",omitzero"`
}

// Name returns "GatherND".
func (GatherND) Name() string { return "GatherND" }

// depth returns K and checks the shapes.
func (g GatherND) depth(x, ids Type) (int, error) {
	bad := fmt.Errorf("ids %s for %s, of which the first %d dimensions are the same", ids, x.Shape, g.BatchDims)
	if ids.DType != format.Int64 || len(ids.Shape) == 0 || g.BatchDims < 0 || g.BatchDims >= len(ids.Shape) {
		return 0, bad
	}
	k, ok := ids.Shape[len(ids.Shape)-1].Number()
	if !ok || k < 1 || g.BatchDims+k > len(x.Shape) || !ids.Shape[:g.BatchDims].Equal(x.Shape[:g.BatchDims]) {
		return 0, bad
	}
	return k, nil
}

// Infer returns the ids' shape without K, then the rest of x's.
func (g GatherND) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	x, ids := args[0], args[1]
	k, err := g.depth(x, ids)
	if err != nil {
		return nil, err
	}
	return one(x.DType, slices.Concat(ids.Shape[:len(ids.Shape)-1], x.Shape[g.BatchDims+k:])), nil
}

// Decompose implements Composite: rows of a table by flat index.
func (g GatherND) Decompose(b *Builder, args []*Value) []*Value {
	x, ids := args[0], args[1]
	k, _ := ids.Shape[len(ids.Shape)-1].Number()
	places := ids.Shape[:len(ids.Shape)-1]
	var flat *Value
	for i := range g.BatchDims + k {
		size := b.Range(x.Shape[i], x.Shape[i].Add(N(1))) // (1)
		var at *Value
		if i < g.BatchDims {
			s := make(Shape, len(places))
			for j := range s {
				s[j] = N(1)
			}
			s[i] = x.Shape[i]
			at = b.Reshape(b.Range(N(0), x.Shape[i]), s...)
		} else {
			j := i - g.BatchDims
			at = b.Reshape(b.Slice(ids, -1, N(j), N(j+1)), places...)
			at = b.Where(b.Less(at, b.integer(0)), b.Add(at, b.Reshape(size)), at)
		}
		if flat != nil {
			at = b.Add(b.Mul(flat, b.Reshape(size)), at)
		}
		flat = at
	}
	table := b.Reshape(x, append(Shape{x.Shape[:g.BatchDims+k].Elements()}, x.Shape[g.BatchDims+k:]...)...)
	return []*Value{b.Gather(table, flat)}
}

// ScatterND is x (d..., rest...) with updates (..., rest...) at the positions that
// int64 ids (..., K) give in its first K dimensions. Reduction combines the update
// with the existing element: "" replaces it; "add", "mul", "max" and "min" combine
// both. Updates are applied in order. A negative id counts from the end.
type ScatterND struct {
	Reduction string `attr:",omitzero"`
}

// Name returns "ScatterND".
func (ScatterND) Name() string { return "ScatterND" }

// Infer returns the type of x.
func (s ScatterND) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 3); err != nil {
		return nil, err
	}
	x, ids, updates := args[0], args[1], args[2]
	want, err := GatherND{}.Infer(args[:2])
	switch {
	case err != nil:
		return nil, err
	case !updates.Equal(want[0]):
		return nil, fmt.Errorf("updates %s for ids %s of %s, expected %s", updates, ids.Shape, x, want[0])
	case !slices.Contains([]string{"", "add", "mul", "max", "min"}, s.Reduction):
		return nil, fmt.Errorf("reduction %.80q", s.Reduction)
	case s.Reduction != "":
		return []Type{x}, expectNumbers(x)
	}
	return []Type{x}, nil
}

// Grad implements Differentiable. Of updates with one position, only the last one
// that replaces has a derivative; a product has those of its other factors; equal
// extremes share theirs.
func (s ScatterND) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	x, ids, updates, y, d := n.Args[0], n.Args[1], n.Args[2], n.Results[0], dy[0]
	add := func(x, updates *Value) *Value { return b.apply(ScatterND{Reduction: "add"}, x, ids, updates) }
	read := func(v *Value) *Value { return b.apply(GatherND{}, v, ids) }
	zero, one := b.like(x, 0), b.like(x, 1)
	switch s.Reduction {
	case "add":
		return []*Value{d, nil, read(d)}
	case "mul":
		return s.gradOfProduct(b, x, ids, updates, d)
	case "max", "min":
		ofX := b.Where(b.Equal(x, y), one, zero)
		ofUpdates := b.Where(b.Equal(updates, read(y)), one, zero)
		share := b.Div(d, add(ofX, ofUpdates))
		return []*Value{b.Mul(ofX, share), nil, b.Mul(ofUpdates, read(share))}
	}
	dx := b.apply(ScatterND{}, d, ids, b.expand(zero, updates.Shape))
	places := ids.Shape[:len(ids.Shape)-1]
	count, known := places.Elements().Number()
	if !known {
		b.fail("graph: the derivative of ScatterND by %s: bind the named dimensions first", updates.Shape)
		return []*Value{nil, nil, nil}
	}
	if count == 1 {
		return []*Value{dx, nil, read(d)}
	}
	order := b.Reshape(b.Range(N(0), N(count)), append(slices.Clone(places), ones(len(updates.Shape)-len(places))...)...)
	order = b.Expand(order, updates.Shape...)
	winner := read(b.apply(ScatterND{}, b.Cast(b.ConstantOfShape(0, x.Shape...), format.Int64), ids, order))
	return []*Value{dx, nil, b.Where(b.Equal(order, winner), read(d), zero)}
}

// ones returns n dimensions of size 1.
func ones(n int) Shape {
	s := make(Shape, n)
	for i := range s {
		s[i] = N(1)
	}
	return s
}

// gradOfProduct is the derivative of updates that multiply: each factor's is the product
// of the others. If one factor is 0, only its own is nonzero; if two are, all are 0.
func (s ScatterND) gradOfProduct(b *Builder, x, ids, updates, d *Value) []*Value {
	zero, one := b.like(x, 0), b.like(x, 1)
	isZero := func(v *Value) *Value { return b.Equal(v, zero) }
	filled := func(v *Value) *Value { return b.Where(isZero(v), one, v) }
	marked := func(v *Value) *Value { return b.Where(isZero(v), one, zero) }
	product := b.apply(s, filled(x), ids, filled(updates))
	zeros := b.apply(ScatterND{Reduction: "add"}, marked(x), ids, marked(updates))
	by := func(v, product, zeros, d *Value) *Value {
		ofZero := b.Where(b.Equal(zeros, one), product, zero)
		ofOthers := b.Where(isZero(zeros), b.Div(product, filled(v)), zero)
		return b.Mul(d, b.Where(isZero(v), ofZero, ofOthers))
	}
	read := func(v *Value) *Value { return b.apply(GatherND{}, v, ids) }
	return []*Value{by(x, product, zeros, d), nil, by(updates, read(product), read(zeros), read(d))}
}
