package ref_test

import (
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// Where an output as a whole follows roundings in proportion, a row may not. Of a t that is 0 but for the
// rounding of 1/3, exp grows faster than in proportion, and tanh has saturated before the rounding is
// as large as it can be. Only the first excuses a value beyond its bound, and only one that
// roundings can lead to.
func TestRowsBend(t *testing.T) {
	const n = 4
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(1), graph.N(n))
	third := b.Div(x, b.Scalar(3))
	straight := b.Mul(third, b.Scalar(1e14))
	bent := b.Mul(b.Sub(third, b.Div(b.Mul(x, b.Scalar(2)), b.Scalar(6))), b.Scalar(1e8))
	b.Output("y", b.Concat(0, straight, b.Tanh(bent), b.Exp(bent)))
	g, err := b.Graph()
	okay(t, err)
	o, err := ref.New(g, nil)
	okay(t, err)
	inputs := map[string]format.Tensor{"x": format.FromFloat32s("x", []int{1, n}, []float32{1, 1.25, 1.5, 1.75})}
	const straightRow, tanh, exp = 0, 1, 2
	bad := func(row int, off float64) runtime.BadValue {
		return runtime.BadValue{Name: "y", Index: []int{row, 1}, Got: off}
	}
	for what, c := range map[string]struct {
		bad   []runtime.BadValue
		bends bool
	}{
		"in proportion":        {[]runtime.BadValue{bad(straightRow, 1)}, false},
		"saturated":            {[]runtime.BadValue{bad(tanh, 0.9)}, false},
		"beyond tanh":          {[]runtime.BadValue{bad(tanh, 5)}, false},
		"faster":               {[]runtime.BadValue{bad(exp, 100)}, true},
		"beyond any rounding":  {[]runtime.BadValue{bad(exp, 1e30)}, false},
		"no number":            {[]runtime.BadValue{bad(exp, math.NaN())}, false},
		"infinite":             {[]runtime.BadValue{bad(exp, math.Inf(1))}, false},
		"one excused of two":   {[]runtime.BadValue{bad(exp, 100), bad(straightRow, 1e9)}, false},
		"the other of the two": {[]runtime.BadValue{bad(exp, 100), bad(exp, 1e30)}, false},
	} {
		why, err := o.Bends(inputs, runtime.Numbers{DType: format.Float32}, c.bad...)
		okay(t, err)
		t.Logf("%s: %q", what, why)
		if (why != "") != c.bends {
			t.Errorf("%s: %q", what, why)
		}
	}
}
