package ref_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ref"
)

// network is a small graph with a parameter, a named dimension and a composite.
func network(t *testing.T) *graph.Graph {
	b := graph.NewBuilder()
	ids := b.Input("ids", format.Int64, graph.Sym("B"), graph.Sym("T"))
	x := b.Name("x", b.Gather(b.Param("table", graph.Constant(0), 3, 2), ids)) // (B,T,2)
	b.Output("out", b.Name("half", b.Mul(b.Name("double", b.Add(x, x)), b.Scalar(0.25))))
	b.Output("ids again", b.Identity(ids))
	b.Output("first", b.Equal(ids, b.Const(format.FromInt64s("zero", []int{}, []int64{0}))))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func table() format.Tensor {
	return format.FromFloat32s("table", []int{3, 2}, []float32{1, 2, 3, 4, 5, 6})
}

func ids() map[string]format.Tensor {
	return map[string]format.Tensor{"ids": format.FromInt64s("ids", []int{1, 3}, []int64{2, 0, 1})}
}

func mustOpen(t *testing.T, g *graph.Graph, weights ...format.Tensor) *ref.Oracle {
	t.Helper()
	o, err := ref.New(g, weights)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func floats(t *testing.T, x format.Tensor) []float64 {
	t.Helper()
	v, err := x.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRunGivesOutputsInTheirTypes(t *testing.T) {
	out, err := mustOpen(t, network(t), table()).Run(ids())
	if err != nil {
		t.Fatal(err)
	}
	if x := out["out"]; !slices.Equal(x.Shape, []int{1, 3, 2}) || !slices.Equal(floats(t, x), []float64{2.5, 3, .5, 1, 1.5, 2}) || x.Name != "out" {
		t.Errorf("out is %v", x)
	}
	if x, err := out["ids again"].Int64s(); err != nil || !slices.Equal(x, []int64{2, 0, 1}) {
		t.Errorf("ids again is %v, %v", x, err)
	}
	if x := out["first"]; x.DType != format.Bool || !slices.Equal(x.Data, []byte{0, 1, 0}) {
		t.Errorf("first is %v", x)
	}
	if len(out) != 3 {
		t.Errorf("%d outputs, want 3", len(out))
	}
}

func TestValuesAndAll(t *testing.T) {
	o := mustOpen(t, network(t), table())
	got, err := o.Values(ids(), "double", "table")
	if err != nil {
		t.Fatal(err)
	}
	if x := got["double"]; len(got) != 2 || !slices.Equal(floats(t, x), []float64{10, 12, 2, 4, 6, 8}) || x.Name != "double" {
		t.Errorf("got %v", got)
	}
	if !slices.Equal(floats(t, got["table"]), []float64{1, 2, 3, 4, 5, 6}) {
		t.Errorf("the weight is %v", got["table"])
	}
	all, err := o.All(ids())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := "double equal_1 half identity_1 x"; strings.Join(names, " ") != want {
		t.Errorf("All gives %v, want %s", names, want)
	}
	_, err = o.Values(ids(), "triple")
	wantError(t, err, `no value is called "triple"`)
}

// A value that is wanted is computed; what nothing wanted needs is not, and so
// cannot fail.
// Visit gives what Values gives, each value once and in the order of the graph, and
// ends with the error of its caller.
func TestVisit(t *testing.T) {
	o, err := ref.New(network(t), []format.Tensor{table()})
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string]format.Tensor{"ids": format.FromInt64s("ids", []int{1, 2}, []int64{2, 0})}
	want, err := o.Values(inputs, "double", "half")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	err = o.Visit(inputs, []string{"half", "double"}, func(x format.Tensor) error {
		order = append(order, x.Name)
		if string(x.Data) != string(want[x.Name].Data) {
			t.Errorf("%s is %v, expected %v", x.Name, x, want[x.Name])
		}
		return nil
	})
	if err != nil || !slices.Equal(order, []string{"double", "half"}) {
		t.Errorf("visited %v, %v", order, err)
	}
	full := errors.New("full")
	if err := o.Visit(inputs, []string{"double", "half"}, func(format.Tensor) error { return full }); err != full {
		t.Errorf("the caller's error: %v", err)
	}
	for _, name := range []string{"nothing", "table"} {
		if err := o.Visit(inputs, []string{name}, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyWhatIsWantedIsComputed(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("ids", format.Int64, graph.N(1))
	b.Output("bad", b.Name("bad", b.Gather(b.Const(format.FromFloat32s("t", []int{1}, []float32{1})), x)))
	b.Output("good", b.Name("good", b.Cast(x, format.Float32)))
	b.Output("endless", b.ConstantOfShape(0, graph.Sym("Z"))) // a name that no input has
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]format.Tensor{"ids": format.FromInt64s("", []int{1}, []int64{9})}
	o := mustOpen(t, g)
	if got, err := o.Values(in, "good"); err != nil || floats(t, got["good"])[0] != 9 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := o.Run(in); err == nil {
		t.Error("the bad value is not computed")
	}
}

// Weights and inputs may be more exact than the graph says: they are used as
// they are, not rounded to float32 on the way.
func TestFloat64IsNotRounded(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(1))
	b.Output("sum", b.Cast(b.Add(x, b.Param("w", graph.Constant(0), 1)), format.Float32))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	third, tiny := 1.0/3, 1e-12
	out, err := mustOpen(t, g, format.FromFloat64s("w", []int{1}, []float64{third})).
		Run(map[string]format.Tensor{"x": format.FromFloat64s("", []int{1}, []float64{tiny})})
	if err != nil || floats(t, out["sum"])[0] != third+tiny {
		t.Errorf("got %v, %v, want %v", out, err, third+tiny)
	}
}

// One oracle runs many shapes, and its inputs and weights stay as they were.
func TestRunsDoNotDisturbEachOther(t *testing.T) {
	w, in := table(), ids()
	o := mustOpen(t, network(t), w)
	first, err := o.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	kept := slices.Clone(floats(t, first["out"]))
	longer := map[string]format.Tensor{"ids": format.FromInt64s("", []int{2, 2}, []int64{1, 1, 1, 1})}
	second, err := o.Run(longer)
	if err != nil || !slices.Equal(floats(t, second["out"]), []float64{1.5, 2, 1.5, 2, 1.5, 2, 1.5, 2}) {
		t.Errorf("got %v, %v", second, err)
	}
	if !slices.Equal(floats(t, first["out"]), kept) || !slices.Equal(w.Data, table().Data) || !slices.Equal(in["ids"].Data, ids()["ids"].Data) {
		t.Error("a run changes results before it, the weights or the inputs")
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		weights []format.Tensor
		want    []string
	}{
		"none":          {nil, []string{`"table"`, "missing"}},
		"one too many":  {[]format.Tensor{table(), table()}, []string{`"table"`, "no such weight"}},
		"another name":  {[]format.Tensor{table().WithName("wte")}, []string{`"wte"`, `"table"`}},
		"another shape": {[]format.Tensor{format.FromFloat32s("table", []int{2, 3}, make([]float32, 6))}, []string{"[2 3]", "(3,2)"}},
		"integers":      {[]format.Tensor{format.FromInt64s("table", []int{3, 2}, make([]int64, 6))}, []string{"I64", "F32"}},
		"too short":     {[]format.Tensor{{Name: "table", DType: format.Float32, Shape: []int{3, 2}, Data: make([]byte, 20)}}, []string{`"table"`, "24 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ref.New(network(t), c.weights)
			wantError(t, err, c.want...)
		})
	}
	g := network(t)
	g.Lookup("x").Shape = graph.Numbers(1)
	_, err := ref.New(g, []format.Tensor{table()})
	wantError(t, err, `"x"`)
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range append(parts, "ref: ") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q is more than one line", err)
	}
}

// tensorOf makes an input from numbers, in the type that in has.
func tensorOf(in *graph.Value, shape []int, numbers ...float64) format.Tensor {
	switch in.DType {
	case format.Int64:
		v := make([]int64, len(numbers))
		for i, x := range numbers {
			v[i] = int64(x)
		}
		return format.FromInt64s(in.Name, shape, v)
	case format.Bool:
		v := make([]byte, len(numbers))
		for i, x := range numbers {
			if x != 0 && !math.IsNaN(x) {
				v[i] = 1
			}
		}
		return format.Tensor{Name: in.Name, DType: format.Bool, Shape: shape, Data: v}
	}
	return format.FromFloat64s(in.Name, shape, numbers)
}
