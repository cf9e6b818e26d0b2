package graph_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// names returns the names of all values of g, in order.
func names(g *graph.Graph) (list []string) {
	for v := range g.Values() {
		list = append(list, v.Name)
	}
	return list
}

func TestPrune(t *testing.T) {
	b := network()
	b.Input("spare", format.Float32)
	b.Param("dropped", graph.Constant(0), 3)
	g := mustGraph(t, b)
	before := printed(t, g)
	p := mustApply(t, g, graph.Prune)
	if got := names(p); slices.Contains(got, "unused") || slices.Contains(got, "dropped") || !slices.Contains(got, "spare") {
		t.Errorf("left are %v, want neither what no output needs nor fewer inputs", got)
	}
	if len(p.Params) != 3 || len(p.Inputs) != 2 {
		t.Errorf("%d parameters and %d inputs are left, want 3 and 2", len(p.Params), len(p.Inputs))
	}
	if len(p.Nodes) != len(g.Nodes)-2 {
		t.Errorf("%d of %d nodes are left, want two less", len(p.Nodes), len(g.Nodes))
	}
	if printed(t, g) != before {
		t.Error("the graph that was pruned is changed")
	}
	if printed(t, mustApply(t, p, graph.Prune)) != printed(t, p) {
		t.Error("pruned twice is not pruned once")
	}
}

func TestApplyStopsAtTheFirstError(t *testing.T) {
	failed := errors.New("pass failed")
	_, err := graph.Apply(mustGraph(t, network()),
		func(*graph.Graph) (*graph.Graph, error) { return nil, failed },
		func(*graph.Graph) (*graph.Graph, error) { t.Error("the next pass ran"); return nil, nil })
	if !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestBindMakesConstantsOfSizes(t *testing.T) {
	b := graph.NewBuilder()
	P, T := graph.Sym("P"), graph.Sym("T")
	x := b.Input("x", format.Float32, P, T)
	table := b.Const(format.FromFloat32s("table", []int{2, 5}, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
	for name, v := range map[string]*graph.Value{
		"range":   b.Range(P, P.Add(T)),
		"filled":  b.ConstantOfShape(0.5, T, graph.N(2)),
		"upper":   b.TriluUpper(b.ConstantOfShape(-1, T, T), P),
		"columns": b.Slice(table, 1, P, P.Add(T)),
		"rows":    b.Slice(table, 0, graph.N(1), graph.N(2)),
		"slice":   b.Slice(x, 1, graph.N(0), T),
	} {
		b.Output(name, b.Name(name, v))
	}
	g := mustGraph(t, b)

	part := mustApply(t, g, graph.Bind(map[string]int{"P": 1}))
	for name, want := range map[string]string{"range": "I64(T)", "upper": "F32(T,T)", "columns": "F32(2,T)", "slice": "F32(1,T)"} {
		if v := part.Lookup(name); v.Leaf() || text(v) != want {
			t.Errorf("with P bound, %s is %s %s, want %s to compute", name, v.Op().Name(), text(v), want)
		}
	}
	all := mustApply(t, g, graph.Bind(map[string]int{"P": 1, "T": 3}))
	for name, want := range map[string]format.Tensor{
		"range":   format.FromInt64s("", []int{3}, []int64{1, 2, 3}),
		"filled":  format.FromFloat32s("", []int{3, 2}, []float32{.5, .5, .5, .5, .5, .5}),
		"upper":   format.FromFloat32s("", []int{3, 3}, []float32{0, -1, -1, 0, 0, -1, 0, 0, 0}),
		"columns": format.FromFloat32s("", []int{2, 3}, []float32{1, 2, 3, 6, 7, 8}),
		"rows":    format.FromFloat32s("", []int{1, 5}, []float32{5, 6, 7, 8, 9}),
	} {
		v := all.Lookup(name)
		if v == nil {
			t.Errorf("with all names bound, %s is gone", name)
			continue
		}
		got, constant := v.Constant()
		if !constant {
			t.Errorf("with all names bound, %s is a %s, want a constant", name, v.Op().Name())
			continue
		}
		if got.DType != want.DType || !slices.Equal(got.Shape, want.Shape) || !slices.Equal(got.Data, want.Data) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if v := all.Lookup("slice"); v.Op().Name() != "Slice" || text(v) != "F32(1,3)" || text(all.Inputs[0]) != "F32(1,3)" {
		t.Errorf("a slice of an input is %s %s of %s", v.Op().Name(), text(v), text(all.Inputs[0]))
	}
	if all.Lookup("table") != nil || all.Lookup("constantofshape_1") != nil {
		t.Error("a value whose only users became constants is still there")
	}
	for i, o := range g.Outputs {
		if all.Outputs[i].Name != o.Name {
			t.Errorf("output %d is called %q, was %q", i, all.Outputs[i].Name, o.Name)
		}
	}
}

func TestBindBindsReshape(t *testing.T) {
	b := graph.NewBuilder()
	B, T := graph.Sym("B"), graph.Sym("T")
	b.Output("y", b.Reshape(b.Input("x", format.Float32, B, T, graph.N(6)), B, T, graph.N(2), graph.N(3)))
	g := mustApply(t, mustGraph(t, b), graph.Bind(map[string]int{"B": 2, "T": 5}))
	v := g.Outputs[0].Value
	if op, _ := graph.Is[graph.Reshape](v); text(v) != "F32(2,5,2,3)" || !op.Shape.Equal(graph.Numbers(2, 5, 2, 3)) {
		t.Errorf("got %s, attribute %s", text(v), op.Shape)
	}
}

func TestBindRefusesSizesThatDoNotFit(t *testing.T) {
	T := graph.Sym("T")
	for _, c := range []struct {
		name string
		x    func(b *graph.Builder) *graph.Value
		want string
	}{
		{"of a parameter", func(b *graph.Builder) *graph.Value { return b.Param("wpe", graph.Constant(0), 4, 2) }, "positions 0 to 5"},
		{"of a constant", func(b *graph.Builder) *graph.Value {
			return b.Const(format.FromFloat32s("mask", []int{4}, make([]float32, 4)))
		}, "positions 0 to 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := graph.NewBuilder()
			b.Output("y", b.Name("y", b.Slice(c.x(b), 0, graph.N(0), T)))
			g := mustGraph(t, b)
			mustApply(t, g, graph.Bind(map[string]int{"T": 4}))
			_, err := graph.Bind(map[string]int{"T": 5})(g)
			wantError(t, err, c.want, `"y"`)
		})
	}
	_, err := graph.Bind(map[string]int{"B": -1})(mustGraph(t, network()))
	wantError(t, err, `"ids"`, "negative")
}

// composites has every composite operator, followed by a scalar that the
// decompositions use too, and a loss whose scores are and are not a Transpose.
func composites(t *testing.T) *graph.Graph {
	b := graph.NewBuilder()
	B, T := graph.Sym("B"), graph.Sym("T")
	x := b.Input("x", format.Float32, B, graph.N(2), T, graph.N(4))
	ids := b.Input("ids", format.Int64, B, T)
	y := b.Name("norm", b.LayerNormalization(x, b.Param("scale", graph.Constant(1), 4), b.Param("bias", graph.Constant(0), 4), 1e-5))
	y = b.RMSNormalization(y, b.Param("rms", graph.Constant(1), 4), 1e-5)
	y = b.SiLU(b.Name("gelu", b.Gelu(b.GeluTanh(y))))
	y = b.RotaryEmbedding(graph.RotaryEmbedding{Scale: 1}, y, b.Positions(ids), b.Const(format.FromFloat32s("angles", []int{2}, []float32{1, 0.5})))
	bias := b.RelativePositionBias(graph.RelativePositionBias{Queries: T, Keys: T, MaxDistance: 9}, b.ConstantOfShape(0, graph.N(8), graph.N(1)))
	y = b.Name("attention", b.Attention(graph.Attention{Scale: 0.5}, y, y, y, bias))
	y = b.Mul(y, b.Scalar(0.5))
	steps := b.Reshape(b.Param("steps", graph.Constant(1), 3, 4), graph.Numbers(3, 1, 4)...) // (T,B,I)
	state, peepholes := b.Reshape(b.Param("state", graph.Constant(1), 2), graph.Numbers(1, 2)...), b.Param("peepholes", graph.Constant(1), 6)
	gates, biases := b.Param("gates", graph.Constant(1), 8, 4), b.Param("biases", graph.Constant(1), 16)
	lengths := b.Input("lengths", format.Int64, graph.N(1))
	first := func(x *graph.Value, n int) *graph.Value { return b.Slice(x, 0, graph.N(0), graph.N(n)) }
	back := b.Slice(gates, 1, graph.N(0), graph.N(2))
	lstm := b.Name("lstm", b.Apply(graph.LSTM{Activations: "Sigmoid Tanh Tanh"}, 1, steps, gates, back, biases, lengths, state, state, peepholes)[0])
	gru := b.Name("gru", b.Apply(graph.GRU{Activations: "Sigmoid Tanh", LinearBeforeReset: true}, 1, steps, first(gates, 6), first(back, 6), first(biases, 12), lengths, state)[0])
	y = b.Mul(y, b.ReduceSum(b.Mul(lstm, gru), false, 0, 1, 2))
	w := b.Param("w", graph.Constant(1), 4, 4)
	y = b.MatMul(y, b.Gemm(w, w, nil, true, false)) // of y's shape
	y = b.Mul(y, b.Reshape(b.OneHot(ids, 4), B, graph.N(1), T, graph.N(4)))
	rows := b.ReduceSum(y, false, 1) // (B,T,4)
	labels := b.Input("labels", format.Int64, B, T)
	b.Output("loss", b.Name("loss", b.SoftmaxCrossEntropyLoss(b.Transpose(rows, 0, 2, 1), labels, -100)))
	b.Output("other", b.Name("other", b.SoftmaxCrossEntropyLoss(b.Input("scores", format.Float32, B, graph.N(4), T), labels, -1)))
	return mustGraph(t, b)
}

func TestDecomposeWritesEveryComposite(t *testing.T) {
	g := composites(t)
	d := mustApply(t, g, graph.DecomposeAll)
	found := map[string]bool{}
	for v := range g.Values() {
		found[v.Op().Name()] = true
	}
	for _, op := range graph.Operators() {
		if _, composite := op.(graph.Composite); composite && !found[op.Name()] {
			t.Errorf("%s is not in the graph of this test", op.Name())
		}
	}
	for v := range d.Values() {
		if _, composite := v.Op().(graph.Composite); composite {
			t.Errorf("%s %q is left", v.Op().Name(), v.Name)
		}
	}
	for v := range g.Values() { // who uses a composite finds it under the same name, in the same shape
		if _, transposed := graph.Is[graph.Transpose](v); transposed { // the loss passes it by
			continue
		}
		if w := d.Lookup(v.Name); w == nil || text(w) != text(v) {
			t.Errorf("%q was %s, is %v", v.Name, text(v), w)
		}
	}
	for _, name := range []string{"norm.normalized", "attention.probabilities", "loss.log_probabilities"} {
		if d.Lookup(name) == nil {
			t.Errorf("no value is called %q in %v", name, names(d))
		}
	}
	for i, o := range g.Outputs {
		if d.Outputs[i].Name != o.Name || d.Outputs[i].Value.Name != o.Value.Name {
			t.Errorf("output %d is %v, was %v", i, d.Outputs[i], o)
		}
	}
}

func TestDecomposeKeeps(t *testing.T) {
	g := composites(t)
	count := func(g *graph.Graph, op string) (n int) {
		for v := range g.Values() {
			if v.Op().Name() == op {
				n++
			}
		}
		return n
	}
	d := mustApply(t, g, graph.Decompose(func(n *graph.Node) bool { return n.Op.Name() != "Gelu" && n.Op.Name() != "Attention" }))
	if count(d, "Gelu") != 0 || count(d, "Attention") != 0 {
		t.Error("an operator that is not kept is left")
	}
	if count(d, "LayerNormalization") != 1 || count(d, "SoftmaxCrossEntropyLoss") != 2 {
		t.Error("an operator that is kept is gone")
	}
}

// Classes that were put on axis 1 by a Transpose need not be put back by another.
func TestDecomposedLossPassesByATranspose(t *testing.T) {
	d := mustApply(t, composites(t), graph.DecomposeAll, graph.Prune)
	if v := d.Lookup("loss.log_probabilities"); v.Args()[0].Op().Name() != "ReduceSum" {
		t.Errorf("the logarithm is taken of %s", v.Args()[0].Op().Name())
	}
	if v := d.Lookup("other.log_probabilities"); v.Args()[0].Op().Name() != "Transpose" {
		t.Errorf("the logarithm is taken of %s", v.Args()[0].Op().Name())
	}
}

func TestMarkOutputs(t *testing.T) {
	b := network()
	b.Name("same", b.Equal(b.Scalar(1), b.Scalar(2))) // no floating-point value
	g := mustGraph(t, b)
	g.Outputs = append(make([]graph.Output, 0, 9), g.Outputs...) // room that the pass must not take
	m := mustApply(t, g, graph.MarkOutputs)
	var got []string
	for _, o := range m.Outputs {
		got = append(got, o.Name)
		if o.Name != "out" && o.Value.Name != o.Name {
			t.Errorf("%q is handed out as %q", o.Value.Name, o.Name)
		}
	}
	want := "out x layer.layernormalization_1 layer.gelu_1 layer.sum unused mul_1"
	if strings.Join(got, " ") != want {
		t.Errorf("outputs are %v, want %s", got, want)
	}
	if len(g.Outputs) != 1 || g.Outputs[:2][1].Value != nil {
		t.Error("the graph that was marked is changed")
	}
	if again := mustApply(t, m, graph.MarkOutputs); len(again.Outputs) != len(m.Outputs) {
		t.Errorf("marked twice has %d outputs, once %d", len(again.Outputs), len(m.Outputs))
	}
}

func TestRewriteKeepsEverything(t *testing.T) {
	g := composites(t)
	same, err := graph.Rewrite(g, func(*graph.Builder, *graph.Node, []*graph.Value) []*graph.Value { return nil })
	if err != nil || printed(t, same) != printed(t, g) {
		t.Errorf("%v: got\n%s\nof\n%s", err, printed(t, same), printed(t, g))
	}
	for i, p := range g.Params {
		if same.Params[i] == p || same.Params[i].Op() != p.Op() {
			t.Errorf("parameter %q is shared, or starts otherwise", p.Name)
		}
	}
}

func TestRewriteReplaces(t *testing.T) {
	g := mustGraph(t, network())
	r, err := graph.Rewrite(g, func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		switch n.Op.(type) {
		case graph.Gelu: // by two values
			return []*graph.Value{b.Relu(b.Name("inner", b.Neg(args[0])))}
		case graph.LayerNormalization: // by its argument
			return args[:1]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Lookup("layer.gelu_1"); v == nil || v.Op() != graph.Relu || v.Args()[0].Name != "layer.gelu_1.inner" {
		t.Errorf("what replaces it is %v", v)
	}
	if r.Lookup("layer.layernormalization_1") != nil || r.Lookup("layer.gelu_1.inner").Args()[0].Name != "x" {
		t.Error("its argument does not replace it")
	}
}

func TestRewriteReportsTheFirstMistake(t *testing.T) {
	_, err := graph.Rewrite(mustGraph(t, network()), func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		if n.Op.Name() == "Gelu" {
			return []*graph.Value{b.Softmax(args[0], 9)}
		}
		return nil
	})
	wantError(t, err, "pass_test.go:", "axis 9")
	_, err = graph.Rewrite(mustGraph(t, network()), func(b *graph.Builder, n *graph.Node, args []*graph.Value) []*graph.Value {
		if n.Name() == "x" { // of another shape than its user can take
			return []*graph.Value{b.ReduceSum(args[0], false, 1)}
		}
		return nil
	})
	wantError(t, err, "LayerNormalization", `"layer.layernormalization_1"`)
}
