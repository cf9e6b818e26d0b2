package graph_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// here returns "file.go:n" for the line below the one that calls it.
func here() string {
	_, _, line, _ := runtime.Caller(1)
	return fmt.Sprintf("builder_test.go:%d: ", line+1)
}

func TestFirstMistakeIsKeptWithItsLine(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(2), graph.N(3))
	where := here()
	y := b.Scope("h").MatMul(x, x)
	// Whatever follows a mistake neither fails nor panics, nor takes its place.
	z := b.Softmax(b.Add(b.Name("y", y), x), 7)
	z = b.Concat(0, z, b.Cast(b.Split(z, -1, 1, 2)[0], format.Int64))
	z = b.ReduceSum(b.Transpose(b.Reshape(z, graph.N(1)), 3), false)
	b.Output("z", b.LayerNormalization(b.Slice(z, 0, graph.N(3), graph.N(1)), x, x, -1))
	_, err := b.Graph()
	wantError(t, err, where, "MatMul", "(2,3)")
}

func TestFirstOfTwoMistakesOutsideOperatorsIsKept(t *testing.T) {
	b := graph.NewBuilder()
	b.Const(format.Tensor{Name: "first"})
	b.Const(format.Tensor{Name: "second"})
	_, err := b.Graph()
	wantError(t, err, `"first"`)
}

func TestMistakesNameTheCaller(t *testing.T) {
	for name, mistake := range map[string]func(b *graph.Builder) string{
		"two values are called": func(b *graph.Builder) string {
			where := here()
			b.Input("x", format.Float32)
			return where
		},
		`called "s.a"`: func(b *graph.Builder) string {
			s := b.Scope("s")
			s.Name("a", s.Neg(b.Scalar(1)))
			where := here()
			s.Name("a", s.Neg(b.Scalar(1)))
			return where
		},
		"expects 8 bytes, has 4": func(b *graph.Builder) string {
			where := here()
			b.Const(format.Tensor{DType: format.Float32, Shape: []int{2}, Data: make([]byte, 4)})
			return where
		},
		"is not a float32": func(b *graph.Builder) string {
			where := here()
			b.ConstantOfShape(0.1)
			return where
		},
	} {
		b := graph.NewBuilder()
		b.Output("x", b.Input("x", format.Float32))
		where := mistake(b)
		_, err := b.Graph()
		wantError(t, err, name, where)
	}
}

// A network may use every name that the builder and the passes make: theirs
// yield, and those of inputs and weights stay as they are.
func TestMadeNamesYield(t *testing.T) {
	b := graph.NewBuilder()
	B, T, N := graph.Sym("B"), graph.Sym("T"), graph.N
	w := b.Param("const.0.5", graph.Normal(1), 4) // a weight, before the constant is needed
	ids := b.InputFor(role.Of(role.Tokens), format.Int64, B, T)
	x := b.Gather(b.Param("table", graph.Normal(1), 5, 4), ids)
	half := b.Mul(x, b.Scalar(0.5))
	two := b.Mul(half, b.Scalar(2))
	b.Name("const.2", b.Neg(x)) // after it
	b.Name("mul_2", two)
	sum := b.Name("mul_1", b.Add(half, two))
	y := b.Name("y", b.GeluTanh(b.Add(sum, w)))
	heads := func(name string) *graph.Value {
		return b.Transpose(b.Reshape(b.Name(name, b.Neg(y)), B, T, N(2), N(2)), 0, 2, 1, 3)
	}
	a := b.Name("a", b.Attention(graph.Attention{Scale: 0.5, Causal: true}, heads("attention_mask"), heads("a.scores"), heads("seen"), nil))
	flat := b.Reshape(b.Transpose(a, 0, 2, 1, 3), B, T, N(4))
	flat = b.Name("a.rows", b.Add(b.Name("past_key_values.0.key", b.Neg(flat)), b.Name("present.0.value", b.Neg(flat))))
	b.Name("logits.rows", b.Neg(flat))
	b.Name("scores", flat)
	flat = b.Name("loss", b.Neg(b.Name("labels", b.Neg(flat))))
	b.OutputFor(role.Of(role.Logits), b.Name("logits", b.MatMul(flat, b.Param("head", graph.Normal(1), 4, 5))))
	g := mustGraph(t, b)
	in := int64s("input_ids", []int{1, 2}, 3, 1)
	want := ran(t, g, in)["logits"]
	for name, passes := range map[string][]graph.Pass{
		"decomposed": {graph.DecomposeAll, graph.DecomposeAll},
		"folded":     {graph.Bind(map[string]int{"B": 1, "T": 2}), graph.Rows, graph.DecomposeAll, graph.Fold, graph.Merge},
		"last":       {graph.LastToken},
	} {
		changed := mustApply(t, g, passes...)
		got := ran(t, changed, in)["logits"]
		for i, x := range got {
			if d := x - want[len(want)-len(got)+i]; d > 1e-6 || d < -1e-6 {
				t.Errorf("%s: logit %d is %g, was %g", name, i, x, want[i])
			}
		}
		if changed.Lookup("const.0.5").Op().Name() != "Param" {
			t.Errorf("%s: the weight const.0.5 is a %s", name, changed.Lookup("const.0.5").Op().Name())
		}
	}
	c := mustApply(t, g, graph.Cached)
	for _, v := range c.Inputs {
		if v != c.Input(v.Role()) || v.Name != v.Role().Name() {
			t.Errorf("input %s has the role %s", v.Name, v.Role())
		}
	}
	if len(c.Inputs) != 4 {
		t.Errorf("%d inputs", len(c.Inputs))
	}
	loss := mustApply(t, g, func(g *graph.Graph) (*graph.Graph, error) { return model.WithLoss(g) })
	if labels := loss.Input(role.Of(role.Labels)); labels == nil || labels.Name != "labels" {
		t.Errorf("the labels are %v", labels)
	}
	if v := loss.Lookup("loss"); v == nil || v.Op().Name() != "Neg" || g.Lookup("labels").Op().Name() != "Neg" {
		t.Error("the network's own value is no longer called loss, or labels in the graph before")
	}
	mustApply(t, loss, graph.Bind(map[string]int{"B": 1, "T": 2}), graph.Grad("loss"))
	marked := mustApply(t, loss, graph.MarkOutputs)
	handed := map[*graph.Value]bool{}
	for _, o := range marked.Outputs {
		handed[o.Value] = true
	}
	for v := range marked.Values() {
		if v.DType.Float() && !v.Leaf() && !handed[v] {
			t.Errorf("%s is not handed out", v.Name)
		}
	}
	if again := mustApply(t, marked, graph.MarkOutputs); len(again.Outputs) != len(marked.Outputs) {
		t.Errorf("marked twice has %d outputs, once %d", len(again.Outputs), len(marked.Outputs))
	}
}

func TestNames(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(2))
	h := b.Scope("h").Scope("0")
	for _, c := range []struct {
		v    *graph.Value
		want string
	}{
		{h.Neg(x), "h.0.neg_1"},
		{h.Neg(x), "h.0.neg_2"},
		{b.Neg(x), "neg_1"},
		{h.Name("score", h.Neg(x)), "h.0.score"},
		{h.Param("w", graph.Constant(1), 2), "h.0.w"},
		{h.Scalar(0.5), "const.0.5"},
		{h.Const(format.FromInt64s("ids", []int{1}, []int64{1})), "h.0.ids"},
	} {
		if c.v.Name != c.want {
			t.Errorf("a value is called %q, want %q", c.v.Name, c.want)
		}
		if b.Name(c.v.Name, c.v) != c.v { // a name it has already is no second value of that name
			t.Errorf("Name returns another value")
		}
	}
	b.Output("x", x)
	g := mustGraph(t, b)
	if v := g.Lookup("h.0.score"); v == nil || v.Op() != graph.Neg {
		t.Errorf("Lookup finds %v", v)
	}
	if v := g.Lookup("h.0.neg_3"); v != nil {
		t.Errorf("Lookup finds %v under a name that was given up", v)
	}
	b.Input("h.0.neg_3", format.Float32)
	mustGraph(t, b) // it may be taken again
}

func TestScalarIsOneValueForAllItsUses(t *testing.T) {
	b := graph.NewBuilder()
	if b.Scalar(0.044715) != b.Scope("h").Scalar(0.044715) {
		t.Error("two values for one number")
	}
	if b.Scalar(0.044715) == b.Scalar(0.0447) {
		t.Error("one value for two numbers")
	}
	c, _ := b.Scalar(0.1).Constant()
	v, err := c.Float32s()
	if err != nil || len(v) != 1 || v[0] != 0.1 || b.Scalar(0.1).DType != format.Float32 {
		t.Errorf("0.1 is %v, %v", v, err)
	}
}

func TestParamsAndInputsKeepTheirOrder(t *testing.T) {
	b := graph.NewBuilder()
	b.Param("b", graph.Normal(0.02), 2, 3)
	b.Input("y", format.Int64)
	b.Param("a", graph.Constant(1), 4)
	b.Output("x", b.Input("x", format.Int64))
	g := mustGraph(t, b)
	if len(g.Params) != 2 || g.Params[0].Name != "b" || g.Params[1].Name != "a" {
		t.Errorf("parameters are %v", g.Params)
	}
	if len(g.Inputs) != 2 || g.Inputs[0].Name != "y" || g.Inputs[1].Name != "x" {
		t.Errorf("inputs are %v", g.Inputs)
	}
	if p := g.Params[0]; text(p) != "F32(2,3)" || p.Op() != (graph.Param{Init: graph.Normal(0.02)}) || g.Params[1].Op() != (graph.Param{Init: graph.Constant(1)}) {
		t.Errorf("a parameter is %s, starts as %v", text(p), p.Op())
	}
}
