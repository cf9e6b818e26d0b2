package ref_test

import (
	"math"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// given is an input of a graph under test: its type and shape in the graph,
// and the tensor of the run.
type given struct {
	dtype   format.DType
	open    graph.Shape // nil for the sizes of the tensor
	shape   []int
	numbers []float64
}

func f64(shape []int, numbers ...float64) given { return given{format.Float32, nil, shape, numbers} }
func i64(shape []int, numbers ...float64) given { return given{format.Int64, nil, shape, numbers} }
func yes(shape []int, numbers ...float64) given { return given{format.Bool, nil, shape, numbers} }

// evaluate runs a graph of what build makes of the inputs.
func evaluate(t *testing.T, in []given, build func(b *graph.Builder, x []*graph.Value) *graph.Value) (format.Tensor, error) {
	t.Helper()
	b := graph.NewBuilder()
	inputs := map[string]format.Tensor{}
	x := make([]*graph.Value, len(in))
	for i, g := range in {
		s := g.open
		if s == nil {
			s = graph.Numbers(g.shape...)
		}
		x[i] = b.Input(string(rune('a'+i)), g.dtype, s...)
		inputs[x[i].Name] = tensorOf(x[i], g.shape, g.numbers...)
	}
	b.Output("y", b.Name("y", build(b, x)))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	out, err := mustOpen(t, g).Run(inputs)
	return out["y"], err
}

func TestRefuses(t *testing.T) {
	T := graph.Sym("T")
	line := func(n int) given { return given{format.Int64, graph.Shape{T}, []int{n}, make([]float64, n)} }
	empty := given{format.Float32, graph.Shape{graph.N(0), T}, []int{0, 1 << 40}, nil} // no bytes, and a size beyond all memory
	for name, c := range map[string]struct {
		in    []given
		build func(b *graph.Builder, x []*graph.Value) *graph.Value
		want  []string
	}{
		"id past the table": {[]given{f64([]int{3, 1}, 1, 2, 3), i64([]int{2, 2}, 0, 2, 1, 3)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Gather(x[0], x[1]) },
			[]string{`Gather "y"`, "b[1,1] is 3: it must be from 0 to 2"}},
		"negative id": {[]given{f64([]int{3, 1}, 1, 2, 3), i64([]int{1}, -1)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Gather(x[0], x[1]) },
			[]string{"b[0] is -1: it must be from 0 to 2"}},
		"id past the table, which may count from its end": {[]given{f64([]int{3, 1}, 1, 2, 3), i64([]int{2}, -3, 3)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value {
				return b.Apply(graph.Gather{FromEnd: true}, 1, x[0], x[1])[0]
			},
			[]string{`Gather "y"`, "b[1] is 3: it must be from -3 to 2"}},
		"id before the row": {[]given{f64([]int{1, 2}, 1, 2), i64([]int{1, 3}, 0, -2, -3)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value {
				return b.Apply(graph.GatherElements{Axis: 1, FromEnd: true}, 1, x[0], x[1])[0]
			},
			[]string{`GatherElements "y"`, "b[0,2] is -3: it must be from -2 to 1"}},
		"id past the row": {[]given{f64([]int{1, 2}, 1, 2), i64([]int{1, 3}, 0, 1, 2)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.GatherElements(x[0], x[1], 1) },
			[]string{`GatherElements "y"`, "b[0,2] is 2: it must be from 0 to 1"}},
		"label past the classes": {[]given{f64([]int{1, 2, 2}, 1, 2, 3, 4), i64([]int{1, 2}, -100, 2)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value {
				return b.SoftmaxCrossEntropyLoss(x[0], x[1], -100)
			},
			[]string{"labels[0,1] is 2", "-100", "0 to 1"}},
		"negative label": {[]given{f64([]int{1, 2, 1}, 1, 2), i64([]int{1, 1}, -1)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value {
				return b.SoftmaxCrossEntropyLoss(x[0], x[1], -100)
			}, []string{"labels[0,0] is -1"}},
		"longer than the table": {[]given{f64([]int{4}, 1, 2, 3, 4), line(5)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Slice(x[0], 0, graph.N(0), T) },
			[]string{`Slice "y"`, "positions 0 to 4 of axis 0", "4"}},
		"begins after the table": {[]given{f64([]int{4}, 1, 2, 3, 4), line(5)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Slice(x[0], 0, T, T.Add(graph.N(1))) },
			[]string{"positions 5 to 5 of axis 0"}},
		// 2·3·2^61 is -2^62 in 64 bits.
		"begins beyond an int": {[]given{f64([]int{4}, 1, 2, 3, 4), {format.Float32, graph.Shape{graph.N(0), T}, []int{0, 3 << 61}, nil}},
			func(b *graph.Builder, x []*graph.Value) *graph.Value {
				return b.Slice(x[0], 0, T.Add(T), T.Add(T).Add(graph.N(1)))
			}, []string{"2*T does not fit in an int"}},
		"integers divided by zero": {[]given{i64([]int{2}, 6, 7), i64([]int{2}, 2, 0)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Div(x[0], x[1]) },
			[]string{`Div "y"`, "7 and 0 at [1]", "zero"}},
		"NaN to integer": {[]given{f64([]int{1}, math.NaN())},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Cast(x[0], format.Int64) },
			[]string{`Cast "y"`, "NaN at [0]"}},
		"2^63 to integer": {[]given{f64([]int{2}, 1, 1<<63)},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.Cast(x[0], format.Int64) },
			[]string{"9.223372036854776e+18 at [1]"}},
		"name without a size": {nil,
			func(b *graph.Builder, _ []*graph.Value) *graph.Value { return b.ConstantOfShape(0, graph.Sym("Z")) },
			[]string{`"y"`, "bind Z"}},
		"more than memory": {nil,
			func(b *graph.Builder, _ []*graph.Value) *graph.Value { return b.ConstantOfShape(0, graph.N(1<<40)) },
			[]string{`"y"`, "[1099511627776]", "bytes"}},
		"more than memory, by a name": {[]given{empty},
			func(b *graph.Builder, _ []*graph.Value) *graph.Value { return b.Range(graph.N(0), T) },
			[]string{`"y"`, "bytes"}},
		"sum of nothing, more than memory": {[]given{empty},
			func(b *graph.Builder, x []*graph.Value) *graph.Value { return b.ReduceSum(x[0], false, 0) },
			[]string{`"y"`, "bytes"}},
		"more than an int": {[]given{empty},
			func(b *graph.Builder, _ []*graph.Value) *graph.Value { return b.ConstantOfShape(0, T, T) },
			[]string{`"y"`, "too large"}},
		"more bytes than an int": {nil,
			func(b *graph.Builder, _ []*graph.Value) *graph.Value {
				return b.ConstantOfShape(0, graph.N(math.MaxInt))
			},
			[]string{`"y"`, "too large"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := evaluate(t, c.in, c.build)
			wantError(t, err, c.want...)
		})
	}
}

// An input of another type is not read as if it were of the right one.
func TestRefusesInputsOfAnotherKind(t *testing.T) {
	integers := format.FromInt64s("", []int{2}, []int64{1, 2})
	for _, c := range []struct {
		want format.DType
		got  format.Tensor
		says string
	}{
		{format.Float32, integers, "is I64, expects F32"},
		{format.Bool, integers, "is I64, expects BOOL"},
		{format.Int64, format.FromFloat32s("", []int{2}, []float32{1, 2}), "is F32, expects I64"},
		{format.Int32, integers, "is I64, expects I32"},
		{format.Bool, format.Tensor{DType: format.Bool, Shape: []int{2}, Data: []byte{1}}, "2 bytes"},
	} {
		b := graph.NewBuilder()
		b.Output("y", b.Identity(b.Input("x", c.want, graph.N(2))))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		_, err = mustOpen(t, g).Run(map[string]format.Tensor{"x": c.got})
		wantError(t, err, c.says)
	}
}

func TestRefusesInputs(t *testing.T) {
	o := mustOpen(t, network(t), table())
	for name, c := range map[string]struct {
		in   map[string]format.Tensor
		want []string
	}{
		"missing": {nil, []string{`input "ids"`, "missing"}},
		"unknown": {map[string]format.Tensor{"ids": ids()["ids"], "mask": ids()["ids"]}, []string{`"mask"`}},
		"rank":    {map[string]format.Tensor{"ids": format.FromInt64s("", []int{3}, make([]int64, 3))}, []string{`"ids"`, "(B,T)"}},
		"type":    {map[string]format.Tensor{"ids": format.FromFloat32s("", []int{1, 3}, make([]float32, 3))}, []string{`Input "ids"`, "F32", "I64"}},
		"narrow":  {map[string]format.Tensor{"ids": {DType: format.Int32, Shape: []int{1, 1}, Data: make([]byte, 4)}}, []string{`Input "ids"`, "I32", "I64"}},
		"short":   {map[string]format.Tensor{"ids": {DType: format.Int64, Shape: []int{1, 3}, Data: make([]byte, 16)}}, []string{`Input "ids"`, "24 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := o.Run(c.in)
			wantError(t, err, c.want...)
		})
	}
}
