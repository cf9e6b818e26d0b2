package graph_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime/ref"
)

// parts are what the network of tiny consists of; a test puts another in the
// place of one.
type parts struct {
	positions func(b *graph.Builder, ids *graph.Value) *graph.Value // (T,8) or (B,T,8)
	attention graph.Attention
	mask      func(b *graph.Builder) *graph.Value // nil: none
	mix       func(b *graph.Builder, x *graph.Value) *graph.Value
	tokens    graph.Dim
}

func usual() parts {
	return parts{
		positions: func(b *graph.Builder, ids *graph.Value) *graph.Value {
			return b.Gather(b.Param("wpe", graph.Normal(1), 16, 8), b.Positions(ids))
		},
		attention: graph.Attention{Scale: 0.5, Causal: true},
		mask:      func(*graph.Builder) *graph.Value { return nil },
		mix:       func(_ *graph.Builder, x *graph.Value) *graph.Value { return x },
		tokens:    graph.Sym("T"),
	}
}

// tiny is a decoder of one layer: 4 heads of queries and 2 of keys.
func tiny(t *testing.T, p parts) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder()
	B, T, N := graph.Sym("B"), p.tokens, graph.N
	ids := b.InputFor(role.Of(role.Tokens), format.Int64, B, T)
	x := b.Add(b.Gather(b.Param("wte", graph.Normal(1), 11, 8), ids), p.positions(b, ids))
	x = p.mix(b, x)
	heads := func(name string, n int) *graph.Value {
		y := b.MatMul(x, b.Param(name, graph.Normal(1), 8, n*2))
		return b.Transpose(b.Reshape(y, B, T, N(n), N(2)), 0, 2, 1, 3)
	}
	a := b.Name("attention", b.Attention(p.attention, heads("q", 4), heads("k", 2), heads("v", 2), p.mask(b)))
	x = b.Name("hidden", b.Add(x, b.Reshape(b.Transpose(a, 0, 2, 1, 3), B, T, N(8))))
	b.OutputFor(role.Of(role.Logits), b.Name("scores", b.MatMul(b.RMSNormalization(x, b.Param("norm", graph.Constant(1), 8), 1e-5), b.Param("head", graph.Normal(1), 8, 11))))
	return mustGraph(t, b)
}

func outputs(g *graph.Graph) (out []string) {
	for _, o := range g.Outputs {
		out = append(out, o.Name+o.Value.Shape.String())
	}
	return out
}

func TestCached(t *testing.T) {
	g := tiny(t, usual())
	before := printed(t, g)
	c := mustApply(t, g, graph.Cached)
	if printed(t, g) != before {
		t.Error("the graph that is given changes")
	}
	var in []string
	for _, v := range c.Inputs {
		in = append(in, v.Name+v.Shape.String())
	}
	if want := []string{"input_ids(B,T)", "attention_mask(B,P+T)", "position_ids(B,T)", "past_key_values.0.key(B,2,P,2)", "past_key_values.0.value(B,2,P,2)"}; !slices.Equal(in, want) {
		t.Errorf("inputs %v, want %v", in, want)
	}
	if got, want := outputs(c), []string{"logits(B,T,11)", "present.0.key(B,2,P+T,2)", "present.0.value(B,2,P+T,2)"}; !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
	if o, ok := c.Output(role.Layered(role.PresentKey, 0)); !ok || o.Name != "present.0.key" {
		t.Error("the present keys have no role")
	}
	if got, want := outputs(mustApply(t, g, graph.KeysAndValues)), []string{"logits(B,T,11)", "present.0.key(B,2,T,2)", "present.0.value(B,2,T,2)"}; !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
	if got := outputs(mustApply(t, g, graph.Cached, graph.LastToken)); got[0] != "logits(B,1,11)" {
		t.Errorf("of the last token: %v", got)
	}
	wantSame(t, "cached", c)
}

// ran computes the outputs of g, whose weights are those of every form of it.
func ran(t *testing.T, g *graph.Graph, inputs ...format.Tensor) map[string][]float64 {
	t.Helper()
	o, err := ref.New(g, model.NewWeights(g, 3))
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]format.Tensor{}
	for _, x := range inputs {
		in[x.Name] = x
	}
	results, err := o.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]float64{}
	for name, x := range results {
		if out[name], err = x.AsFloat64s(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func int64s(name string, shape []int, x ...int64) format.Tensor {
	return format.FromInt64s(name, shape, x)
}

// A text in two runs with a past gives the logits of one run without, with a
// window over the keys as well.
func TestCachedComputesTheSame(t *testing.T) {
	for _, window := range []int{0, 2} {
		p := usual()
		p.attention.Window = window
		g := tiny(t, p)
		whole := ran(t, g, int64s("input_ids", []int{1, 4}, 3, 1, 4, 10))["logits"]
		c := mustApply(t, g, graph.Cached)
		cache := func(name string, x []float64) format.Tensor {
			return format.FromFloat64s(name, []int{1, 2, len(x) / 4, 2}, x)
		}
		first := ran(t, c, int64s("input_ids", []int{1, 3}, 3, 1, 4), int64s("attention_mask", []int{1, 3}, 1, 1, 1), int64s("position_ids", []int{1, 3}, 0, 1, 2),
			cache("past_key_values.0.key", nil), cache("past_key_values.0.value", nil))
		second := ran(t, mustApply(t, c, graph.LastToken), int64s("input_ids", []int{1, 1}, 10), int64s("attention_mask", []int{1, 4}, 1, 1, 1, 1), int64s("position_ids", []int{1, 1}, 3),
			cache("past_key_values.0.key", first["present.0.key"]), cache("past_key_values.0.value", first["present.0.value"]))
		for i, x := range append(slices.Clone(first["logits"]), second["logits"]...) {
			if d := x - whole[i]; d > 1e-12 || d < -1e-12 {
				t.Errorf("window %d: logit %d is %g with a past, %g without", window, i, x, whole[i])
			}
		}
	}
}

func TestCachedRefuses(t *testing.T) {
	B, T, N := graph.Sym("B"), graph.Sym("T"), graph.N
	mixed := func(f func(b *graph.Builder, x *graph.Value) *graph.Value) func(p *parts) {
		return func(p *parts) {
			p.mix = func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Add(x, f(b, x)) }
		}
	}
	for name, c := range map[string]struct {
		change func(p *parts)
		value  string
		says   string
	}{
		"not causal":        {func(p *parts) { p.attention.Causal = false }, "attention", "not causal"},
		"a mask of its own": {func(p *parts) { p.mask = func(b *graph.Builder) *graph.Value { return b.ConstantOfShape(0, T, T) } }, "", ""},
		"a mask of numbers": {func(p *parts) {
			p.mask = func(b *graph.Builder) *graph.Value { return b.Input("mask", format.Float32, T, T) }
		}, "attention", "mask of its own"},
		"a number of tokens": {func(p *parts) { p.tokens = N(4) }, "input_ids", "must be a name"},
		"Range for positions": {func(p *parts) {
			p.positions = func(b *graph.Builder, _ *graph.Value) *graph.Value {
				return b.Gather(b.Param("wpe", graph.Normal(1), 16, 8), b.Range(N(0), T))
			}
		}, "range_1", "mixes tokens"},
		"rows of a table": {func(p *parts) {
			p.positions = func(b *graph.Builder, _ *graph.Value) *graph.Value {
				return b.Slice(b.Param("wpe", graph.Normal(1), 16, 8), 0, N(0), T)
			}
		}, "slice_1", "mixes tokens"},
		"positions of something else": {func(p *parts) {
			p.positions = func(b *graph.Builder, ids *graph.Value) *graph.Value {
				return b.Gather(b.Param("wpe", graph.Normal(1), 16, 8), b.Positions(b.Identity(ids)))
			}
		}, "positions_1", "something else"},
		"an axis of positions": {func(p *parts) {
			p.positions = func(b *graph.Builder, ids *graph.Value) *graph.Value {
				return b.Softmax(b.Gather(b.Param("wpe", graph.Normal(1), 16, 8), b.Positions(ids)), 1)
			}
		}, "softmax_1", "counts dimensions of positions"},
		"a mean over tokens":    {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value { return b.ReduceMean(x, true, 1) }), "reducemean_1", "mixes tokens"},
		"a softmax over tokens": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Softmax(x, 1) }), "softmax_1", "mixes tokens"},
		"a sum of what went before": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Apply(graph.CumSum{Axis: 1}, 1, x)[0]
		}), "cumsum_1", "mixes tokens"},
		"the first token": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Slice(x, 1, N(0), N(1)) }), "slice_1", "mixes tokens"},
		"the last token":  {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Slice(x, 1, T.Sub(N(1)), T) }), "slice_1", "mixes tokens"},
		"tokens in the place of channels": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Reshape(b.Transpose(x, 0, 2, 1), B, T, N(8))
		}), "reshape_1", "mixes tokens"},
		"a number for each pair of tokens": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			sum := b.ReduceSum(x, true, 2) // (B,T,1)
			b.Output("pairs", b.Mul(sum, b.Transpose(sum, 0, 2, 1)))
			return x
		}), "mul_1", "mixes tokens"},
		"a mean over texts":    {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value { return b.ReduceMean(x, true, 0) }), "reducemean_1", "mixes texts"},
		"a softmax over texts": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Softmax(x, 0) }), "softmax_1", "mixes texts"},
		"a sum of texts before": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Apply(graph.CumSum{Axis: 0}, 1, x)[0]
		}), "cumsum_1", "mixes texts"},
		"the first text": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Slice(x, 0, N(0), N(1)) }), "slice_1", "mixes texts"},
		"the greatest of the texts": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Cast(b.Apply(graph.ArgMax{Axis: 0, KeepDims: true}, 1, x)[0], format.Float32)
		}), "argmax_1", "mixes texts"},
		"a norm over texts": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			rows := b.Transpose(x, 1, 2, 0) // (T,8,B)
			return b.Transpose(b.MatMul(rows, b.ConstantOfShape(1, B, B)), 2, 0, 1)
		}), "constantofshape_1", "mixes texts"},
		"the number of a text": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Reshape(b.Cast(b.Range(N(0), B), format.Float32), B, N(1), N(1))
		}), "range_1", "mixes texts"},
		"texts in the place of channels": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			b.Output("mixed", b.Reshape(b.Transpose(b.ReduceSum(b.Input("styles", format.Float32, B, N(2)), true, 1), 1, 0), B, N(1)))
			return x
		}), "reshape_1", "mixes texts"},
		"texts in the place of numbers": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			b.Output("mixed", b.Reshape(b.Input("styles", format.Float32, B, N(2)), N(2), B))
			return x
		}), "reshape_1", "mixes texts"},
		"a table of pairs of texts": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			b.Output("pairs", b.Reshape(b.Input("styles", format.Float32, B, B), B.Mul(B)))
			return x
		}), "reshape_1", "mixes texts"},
		"one more than the texts": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			more := B.Add(N(1))
			b.Output("more", b.Reshape(b.Input("styles", format.Float32, more, N(2)), more.Mul(N(2))))
			return x
		}), "reshape_1", "mixes texts"},
		"a number for each pair of texts": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			styles := b.Input("styles", format.Float32, B, N(1))
			b.Output("pairs", b.Mul(styles, b.Transpose(styles, 1, 0)))
			return x
		}), "mul_1", "mixes texts"},
		"another dimension P": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			b.Output("other", b.Input("others", format.Float32, graph.Sym("P")))
			return x
		}), "others", "has the size P"},
		"scores by hand": {mixed(func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.MatMul(b.MatMul(x, b.Transpose(x, 0, 2, 1)), x)
		}), "matmul_1", "mixes tokens"},
	} {
		p := usual()
		c.change(&p)
		_, err := graph.Cached(tiny(t, p))
		var refused *graph.CacheError
		if !errors.As(err, &refused) || c.value != "" && (refused.Value != c.value || !strings.Contains(refused.Reason, c.says)) {
			t.Errorf("%s: %v, want %q %s", name, err, c.value, c.says)
		}
	}
	for name, g := range map[string]*graph.Graph{
		"no tokens":    mustGraph(t, network()),
		"no attention": withTokens(t),
	} {
		_, err := graph.Cached(g)
		if refused := new(graph.CacheError); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func withTokens(t *testing.T) *graph.Graph {
	b := graph.NewBuilder()
	b.Output("y", b.InputFor(role.Of(role.Tokens), format.Int64, graph.Sym("B"), graph.Sym("T")))
	return mustGraph(t, b)
}

// What computes each text by itself may have a past: other shapes of the batch,
// numbers that are given for each text, and one number for all.
func TestCachedTakesTexts(t *testing.T) {
	B, T, N := graph.Sym("B"), graph.Sym("T"), graph.N
	for name, mix := range map[string]func(b *graph.Builder, x *graph.Value) *graph.Value{
		"rows": func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Reshape(b.Softmax(b.Reshape(x, B.Mul(T), N(8)), 1), B, T, N(8))
		},
		"a style of each text": func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Mul(x, b.Reshape(b.Softmax(b.Input("styles", format.Float32, B, N(8)), 1), B, N(1), N(8)))
		},
		"one number for all texts": func(b *graph.Builder, x *graph.Value) *graph.Value {
			return b.Mul(x, b.Add(b.ConstantOfShape(2, B, N(1), N(1)), b.Expand(b.Param("s", graph.Normal(1), 1, 1, 8), B, N(1), N(8))))
		},
	} {
		p := usual()
		p.mix = mix
		if _, err := graph.Cached(tiny(t, p)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The last token's logits are those of all tokens, and what only they need is
// computed for that token alone.
func TestLastToken(t *testing.T) {
	g := tiny(t, usual())
	ids := int64s("input_ids", []int{2, 3}, 1, 2, 3, 4, 5, 6)
	all := ran(t, g, ids)["logits"]
	l := mustApply(t, g, graph.LastToken)
	got := ran(t, l, ids)["logits"]
	for i, x := range got {
		if want := all[(i/11*3+2)*11+i%11]; x != want {
			t.Errorf("logit %d is %g, was %g", i, x, want)
		}
	}
	if s := l.Lookup("rmsnormalization_1").Shape.String(); s != "(B,1,8)" {
		t.Errorf("the last norm is %s", s)
	}
	// What is handed out under another name as well stays whole.
	b := graph.Extend(g)
	b.Output("everything", g.Outputs[0].Value)
	twice := mustApply(t, mustGraph(t, b), graph.LastToken)
	if got, want := outputs(twice), []string{"logits(B,1,11)", "everything(B,T,11)"}; !slices.Equal(got, want) {
		t.Errorf("outputs %v, want %v", got, want)
	}
	_, err := graph.LastToken(mustGraph(t, network()))
	wantError(t, err, "tokens (B,T) to logits (B,T,V)")
}

// Two Splits of one value are one, with as many parts as either needs.
func TestMergeOfSeveralResults(t *testing.T) {
	b := graph.NewBuilder()
	x, scale := b.Input("x", format.Float32, graph.N(2), graph.N(4)), b.Param("scale", graph.Normal(1), 4)
	b.Output("one", b.Split(x, 1, 1, 3)[0])
	b.Output("three", b.Exp(b.Split(x, 1, 1, 3)[1]))
	b.Output("other", b.Split(x, 1, 3, 1)[0])
	norm := graph.LayerNormalization{Epsilon: 1e-5}
	b.Output("normal", b.Apply(norm, 1, x, scale)[0])
	b.Output("mean", b.Apply(norm, 3, x, scale)[1])
	g := mustGraph(t, b)
	m := mustApply(t, g, graph.Merge)
	counts := map[string]int{}
	for _, n := range m.Nodes {
		counts[n.Op.Name()]++
		if norm := n.Op.Name() == "LayerNormalization"; norm && len(n.Results) != 2 {
			t.Errorf("the normalization has %d results", len(n.Results))
		}
	}
	if counts["Split"] != 2 || counts["LayerNormalization"] != 1 {
		t.Errorf("%v nodes are left", counts)
	}
	in := format.FromFloat32s("x", []int{2, 4}, []float32{1, 2, 3, 4, 0, -1, 5, 9})
	want, got := ran(t, g, in), ran(t, m, in)
	for name := range want {
		if !slices.Equal(want[name], got[name]) {
			t.Errorf("%s is %v, was %v", name, got[name], want[name])
		}
	}
}

// A table's rows at the tokens' places are a Slice of it.
func TestSliceRanges(t *testing.T) {
	g := tiny(t, usual())
	s := mustApply(t, g, graph.SliceRanges)
	if countOps(s, "Slice") != 1 || countOps(s, "Positions") != 0 || countOps(s, "Range") != 0 || countOps(s, "Gather") != 1 {
		t.Errorf("it is\n%s", printed(t, s))
	}
	ids := int64s("input_ids", []int{1, 3}, 7, 7, 0)
	if want, got := ran(t, g, ids)["logits"], ran(t, s, ids)["logits"]; !slices.Equal(want, got) {
		t.Errorf("logits %v, were %v", got, want)
	}
}

// What depends on constants alone is computed ahead, up to so many elements,
// and nothing is dropped.
func TestPrecompute(t *testing.T) {
	b := graph.NewBuilder()
	n := graph.N
	rows := b.Reshape(b.Range(n(0), n(3)), n(3), n(1))
	seen := b.Name("seen", b.LessOrEqual(b.Range(n(0), n(3)), rows)) // (3,3)
	bias := b.Name("bias", b.Where(seen, b.Scalar(0), b.Scalar(-1e9)))
	x := b.Input("x", format.Float32, n(3), n(3))
	b.Output("y", b.Name("same", b.Mul(b.Add(x, bias), b.Scalar(1))))
	g := mustGraph(t, b)
	p := mustApply(t, g, graph.Precompute(9))
	c, ok := p.Lookup("bias").Constant()
	if !ok {
		t.Fatalf("the bias is computed:\n%s", printed(t, p))
	}
	if got, _ := c.Float32s(); !slices.Equal(got, []float32{0, -1e9, -1e9, 0, 0, -1e9, 0, 0, 0}) {
		t.Errorf("the bias is %v", got)
	}
	if p.Lookup("same") == nil || countOps(p, "Mul") != 1 {
		t.Error("a factor 1 is dropped")
	}
	if q := mustApply(t, g, graph.Precompute(8)); countOps(q, "Where") != 1 || countOps(q, "Range") != 0 {
		t.Errorf("of up to 8 elements:\n%s", printed(t, q))
	}
}

// Positions become angles in advance: integers that are constant become floats.
func TestPrecomputeCast(t *testing.T) {
	b := graph.NewBuilder()
	n := graph.N
	places := b.Cast(b.Range(n(5), n(8)), format.Float32)
	x := b.Input("x", format.Float32, n(3))
	b.Output("y", b.Add(x, b.Name("half", b.Mul(places, b.Scalar(0.5)))))
	p := mustApply(t, mustGraph(t, b), graph.Precompute(3))
	c, ok := p.Lookup("half").Constant()
	if !ok {
		t.Fatalf("the places are computed:\n%s", printed(t, p))
	}
	if got, _ := c.Float32s(); !slices.Equal(got, []float32{2.5, 3, 3.5}) {
		t.Errorf("half of the places is %v", got)
	}
}

// twice is an operator without a gradient of its own.
type twice struct{}

func (twice) Name() string                                  { return "Twice" }
func (twice) Infer(args []graph.Type) ([]graph.Type, error) { return args, nil }
func (twice) Decompose(b *graph.Builder, args []*graph.Value) []*graph.Value {
	return []*graph.Value{b.Mul(args[0], b.Sin(args[0]))} // uses its argument twice
}

// An operator without a gradient has that of its decomposition, whichever of
// the two is done first.
func TestGradOfADecomposition(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Param("x", graph.Normal(1), 3)
	y := b.Apply(twice{}, 1, x)[0]
	b.Output("loss", b.ReduceSum(b.Mul(b.Apply(twice{}, 1, y)[0], y), false, 0))
	g := mustGraph(t, b)
	want := ran(t, mustApply(t, g, graph.DecomposeAll, graph.Grad("loss")))
	got := ran(t, mustApply(t, g, graph.Grad("loss")))
	for i, w := range want["grad.x"] {
		if d := got["grad.x"][i] - w; w == 0 || d > 1e-12 || d < -1e-12 {
			t.Errorf("derivative %d is %g, decomposed first it is %g", i, got["grad.x"][i], w)
		}
	}
	if len(got["grad.x"]) != 3 {
		t.Errorf("the outputs are %v", got)
	}
}
