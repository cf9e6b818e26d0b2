package graph

import (
	"math"
	"slices"

	"github.com/attnx/attnx/format"
)

// foldLimit is the number of elements up to which a constant is computed ahead:
// a larger one costs more to keep than to compute.
const foldLimit = 1 << 20

// Fold computes what depends on constants alone, and drops what changes
// nothing: a factor 1, a term 0, two moves that undo one another. Const values
// of up to a million elements are made.
func Fold(g *Graph) (*Graph, error) {
	folded, err := Rewrite(g, func(b *Builder, v *Value, args []*Value) *Value {
		if w := unchanged(v, args); w != nil {
			return w
		}
		root := &Builder{recording: b.recording}
		switch v.Op {
		case Reshape: // of a Reshape: straight from where that began
			if args[0].Op == Reshape {
				if inner := args[0].Args[0]; inner.Shape.Equal(v.Shape) {
					return inner
				}
				return root.clone(v, args[0].Args)
			}
		case Transpose:
			if args[0].Op == Transpose {
				perm := make([]int, len(v.Attr.Perm))
				for i, p := range v.Attr.Perm {
					perm[i] = args[0].Attr.Perm[p]
				}
				if slices.Equal(perm, axes(v.Shape)) {
					return args[0].Args[0]
				}
				return b.Transpose(args[0].Args[0], perm...)
			}
		}
		c := *v
		c.Args = args
		if v.Op != ConstantOfShape { // as it is it takes no room in a file
			if t, ok := fromSizes(&c); ok && t.Elements() <= foldLimit {
				return root.Const(t.WithName(v.Name + ".const"))
			}
		}
		if t, ok := fromConstants(&c); ok {
			return root.Const(t.WithName(v.Name + ".const"))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return Prune(folded)
}

// unchanged returns the argument that v is equal to, or nil.
func unchanged(v *Value, args []*Value) *Value {
	switch v.Op {
	case Add, Sub:
		if everyElement(args[1], 0) {
			return args[0]
		}
		if v.Op == Add && everyElement(args[0], 0) && args[1].Shape.Equal(v.Shape) {
			return args[1]
		}
	case Mul, Div:
		if everyElement(args[1], 1) {
			return args[0]
		}
		if v.Op == Mul && everyElement(args[0], 1) && args[1].Shape.Equal(v.Shape) {
			return args[1]
		}
	case Reshape, Slice:
		if args[0].Shape.Equal(v.Shape) {
			return args[0]
		}
	case Transpose:
		if slices.IsSorted(v.Attr.Perm) {
			return args[0]
		}
	case Concat:
		if len(args) == 1 {
			return args[0]
		}
	case Cast:
		if args[0].DType == v.DType {
			return args[0]
		}
	}
	return nil
}

// everyElement reports whether v is a constant of nothing but x.
func everyElement(v *Value, x float32) bool {
	switch {
	case v.DType != format.Float32:
		return false
	case v.Op == ConstantOfShape:
		return v.Attr.Fill == float64(x)
	case v.Op != Const:
		return false
	}
	data, err := v.Attr.Value.Float32s()
	return err == nil && len(data) > 0 && !slices.ContainsFunc(data, func(e float32) bool { return e != x })
}

// fromConstants computes an element-wise float32 operator of constants, each
// element rounded once; ok is false for any other value.
func fromConstants(v *Value) (t format.Tensor, ok bool) {
	shape, ok := v.Shape.Numbers()
	if !ok || v.DType != format.Float32 || len(v.Args) == 0 {
		return t, false
	}
	n, ok := format.Elements(shape)
	if !ok || n > foldLimit {
		return t, false
	}
	var args [][]float32
	for _, a := range v.Args {
		if a.Op != Const || a.DType != format.Float32 {
			return t, false
		}
		data, err := a.Attr.Value.Float32s()
		if err != nil {
			return t, false
		}
		args = append(args, data)
	}
	out := make([]float32, n)
	var f func(x, y float64) float64
	switch v.Op {
	case Add:
		f = func(x, y float64) float64 { return x + y }
	case Sub:
		f = func(x, y float64) float64 { return x - y }
	case Mul:
		f = func(x, y float64) float64 { return x * y }
	case Div:
		f = func(x, y float64) float64 { return x / y }
	case Neg:
		f = func(x, _ float64) float64 { return -x }
	case Sqrt:
		f = func(x, _ float64) float64 { return math.Sqrt(x) }
	case Reshape:
		return format.FromFloat32s("", shape, args[0]), true
	default:
		return t, false
	}
	for i := range out {
		y := 0.0
		if len(args) == 2 {
			y = float64(args[1][v.Args[1].Shape.within(i, shape)])
		}
		out[i] = float32(f(float64(args[0][i]), y))
	}
	return format.FromFloat32s("", shape, out), true
}

// within returns the place, in a tensor of shape s broadcast into one of shape
// t, of what stands at place i there.
func (s Shape) within(i int, t []int) int {
	place, step := 0, 1
	for axis := len(t) - 1; axis >= 0; axis-- {
		p := i % t[axis]
		i /= t[axis]
		if own := axis - (len(t) - len(s)); own >= 0 {
			if n, _ := s[own].Number(); n != 1 {
				place += p * step
				step *= n
			}
		}
	}
	return place
}
