package graph_test

import (
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

func countOps(g *graph.Graph, op string) (n int) {
	for v := range g.Values() {
		if v.Op().Name() == op {
			n++
		}
	}
	return n
}

// The derivatives themselves are checked by numbers in runtime/ref.
func TestGradOutputs(t *testing.T) {
	b := graph.NewBuilder()
	x, y := b.Param("x", graph.Constant(1), 2), b.Param("y", graph.Constant(1), 2)
	b.Param("unused", graph.Constant(1), 3)
	b.Output("loss", b.ReduceSum(b.Add(x, y), false, 0))
	b.Output("sum", b.Add(x, y))
	g := mustGraph(t, b)
	before := printed(t, g)
	d := mustApply(t, g, graph.Grad("loss"))
	var got []string
	for _, o := range d.Outputs {
		got = append(got, o.Name+o.Value.Shape.String())
		if o.Role.Kind == role.Gradient && o.Value.Name != o.Name {
			t.Errorf("%s is called %s", o.Name, o.Value.Name)
		}
	}
	if want := []string{"loss()", "sum(2)", "grad.x(2)", "grad.y(2)", "grad.unused(3)"}; !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
	if printed(t, g) != before {
		t.Error("the graph that was differentiated is changed")
	}
}

func TestGradRefuses(t *testing.T) {
	T := graph.Sym("T")
	for want, build := range map[string]func(b *graph.Builder) string{
		`no output is called "cost"`:       func(b *graph.Builder) string { b.Output("loss", b.Param("x", graph.Constant(1), 1)); return "cost" },
		"a gradient is that of one number": func(b *graph.Builder) string { b.Output("loss", b.Param("x", graph.Constant(1), 2)); return "loss" },
		"bind the named dimensions first": func(b *graph.Builder) string {
			b.Output("loss", b.ReduceSum(b.Slice(b.Param("x", graph.Constant(1), 4), 0, graph.N(0), T), false, 0))
			b.Input("ids", format.Int64, T)
			return "loss"
		},
	} {
		b := graph.NewBuilder()
		loss := build(b)
		_, err := graph.Grad(loss)(mustGraph(t, b))
		wantError(t, err, want)
	}
}

// An open batch is differentiated too: only what needs a length asks for it.
func TestGradOfOpenShapes(t *testing.T) {
	b := graph.NewBuilder()
	B, T := graph.Sym("B"), graph.Sym("T")
	x := b.Input("x", format.Float32, B, T, graph.N(3))
	y := b.Gelu(b.Add(b.MatMul(x, b.Param("w", graph.Constant(1), 3, 4)), b.Param("b", graph.Constant(0), 4)))
	b.Output("loss", b.ReduceMean(y, false, 0, 1, 2))
	d := mustApply(t, mustGraph(t, b), graph.Grad("loss"), graph.DecomposeAll, graph.Merge)
	if v := d.Lookup("grad.w"); v == nil || v.Shape.String() != "(3,4)" {
		t.Errorf("the gradient of w is %v", v)
	}
}

func TestMerge(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(2))
	half := func(name string) *graph.Value { return b.Const(format.FromFloat32s(name, []int{}, []float32{0.5})) }
	y := b.Add(b.Mul(x, half("a")), b.Mul(x, half("b")))
	b.Output("y", y)
	b.Output("z", b.Add(b.Exp(x), b.ConstantOfShape(1, graph.N(2))))
	b.Output("w", b.Add(b.Exp(x), b.ConstantOfShape(2, graph.N(2)))) // another number
	m := mustApply(t, mustGraph(t, b), graph.Merge)
	for op, want := range map[string]int{"Const": 1, "Mul": 1, "Exp": 1, "Add": 3, "ConstantOfShape": 2} {
		if got := countOps(m, op); got != want {
			t.Errorf("%d times %s, want %d", got, op, want)
		}
	}
}

func TestFold(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(2), graph.N(3))
	one, zero := b.Scalar(1), b.ConstantOfShape(0, graph.N(2), graph.N(3))
	same := map[string]*graph.Value{
		"times one": b.Mul(x, one), "over one": b.Div(x, one), "plus zero": b.Add(x, zero), "zero plus": b.Add(zero, x),
		"minus zero": b.Sub(x, zero), "transposed twice": b.Transpose(b.Transpose(x, 1, 0), 1, 0),
		"there and back": b.Reshape(b.Reshape(x, graph.N(6)), graph.N(2), graph.N(3)), "one part": b.Concat(0, x),
	}
	for name, v := range same {
		b.Output(name, v)
	}
	row := b.Const(format.FromFloat32s("row", []int{3}, []float32{1, 2, 4}))
	table := b.Const(format.FromFloat32s("table", []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}))
	b.Output("computed", b.Sub(b.Div(table, row), b.Sqrt(b.Scalar(4))))
	f := mustApply(t, mustGraph(t, b), graph.Fold)
	for _, o := range f.Outputs {
		if _, ok := same[o.Name]; ok && o.Value != f.Inputs[0] {
			t.Errorf("%s is %s %q", o.Name, o.Value.Op().Name(), o.Value.Name)
		}
	}
	last := f.Outputs[len(f.Outputs)-1].Value
	constant, ok := last.Constant()
	if !ok {
		t.Fatalf("a value of constants is %s", last.Op().Name())
	}
	got, _ := constant.Float32s()
	if want := []float32{-1, -1, -1.25, 2, 0.5, -0.5}; !slices.Equal(got, want) {
		t.Errorf("computed %v, want %v", got, want)
	}
}

func TestSelect(t *testing.T) {
	g := mustGraph(t, network())
	g.Outputs = append(g.Outputs, graph.Output{Name: "x", Value: g.Lookup("x")})
	s := mustApply(t, g, graph.Select("x"))
	if len(s.Outputs) != 1 || s.Lookup("layer.sum") != nil || s.Lookup("x") == nil {
		t.Errorf("left are %v", names(s))
	}
	_, err := graph.Select("none")(g)
	wantError(t, err, `"none"`)
}

// Each value is 4 bytes an element. At the product x (16), y (16) and its
// result (64) are there; the result's other shape costs nothing.
func TestPeakBytes(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(4), graph.N(1))
	y := b.Neg(b.Reshape(x, graph.N(1), graph.N(4)))
	z := b.Reshape(b.MatMul(x, y), graph.N(16))
	b.Output("sum", b.ReduceSum(z, false, 0))
	if got, err := graph.PeakBytes(mustGraph(t, b)); err != nil || got != 16+16+64 {
		t.Errorf("got %d (%v), want 96", got, err)
	}
	open := graph.NewBuilder()
	open.Output("y", open.Neg(open.Input("x", format.Float32, graph.Sym("B"))))
	_, err := graph.PeakBytes(mustGraph(t, open))
	wantError(t, err, "(B)")
}
