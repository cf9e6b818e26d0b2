package flat

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// input returns the matrix of an attention mask, which float32 expresses with 0
// and 1, or of features (B,F); nil for other inputs.
func (f *flattener) input(v *graph.Value) *sheets {
	shape, fixed := v.Shape.Numbers()
	kind := v.Role().Kind
	mask := kind == role.AttentionMask && v.DType == format.Int64
	numbers := kind == role.Features && v.DType == format.Float32 && !f.text
	if !fixed || len(shape) != 2 || !mask && !numbers {
		return nil
	}
	in := f.b.Input(v.Name, format.Float32, v.Shape...)
	return &sheets{shape: shape, row: 0, list: []*sheet{f.sheet(in)}}
}

// where computes x for 1 and y for 0 of a mask m: y − m·y + m·x, which is exact
// for numbers x and y.
func (f *flattener) where(v *graph.Value, m, x, y *sheets, shape []int) (*sheets, error) {
	yes, isX := number(x)
	no, isY := number(y)
	if m.given != nil || !isX || !isY || !slices.Equal(m.shape, shape) {
		return nil, ErrForm
	}
	return f.each(v, m, shape, func(m *graph.Value) *graph.Value {
		out := f.b.Add(f.b.Mul(m, f.number(-no)), f.number(no))
		if yes != 0 {
			out = f.b.Add(out, f.b.Mul(m, f.number(yes)))
		}
		return out
	}), nil
}

// number returns the value of a finite constant of one element.
func number(x *sheets) (float32, bool) {
	if x.given == nil || x.weight || product(x.shape) != 1 || x.given.DType != format.Float32 {
		return 0, false
	}
	n, err := x.given.Float32s()
	return n[0], err == nil && !math.IsInf(float64(n[0]), 0) && !math.IsNaN(float64(n[0]))
}

func (f *flattener) number(x float32) *graph.Value {
	v, _ := f.leaf(format.FromFloat32s(fmt.Sprintf("number_%g", x), nil, []float32{x}), false)
	return v
}

// rows returns the matrix (n,height) that selects n rows in a product.
func (f *flattener) rows(height, start, n int) *graph.Value {
	one := make([]float32, n*height)
	for i := range n {
		one[i*height+start+i] = 1
	}
	v, _ := f.leaf(format.FromFloat32s(fmt.Sprintf("rows_%d_%d_of_%d", start, start+n, height), []int{n, height}, one), false)
	return v
}
