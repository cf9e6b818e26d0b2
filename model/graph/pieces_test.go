package graph_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime/ref"
)

// forStep returns a network's step with a batch of texts for it.
func forStep(t *testing.T, c *model.Checkpoint, texts, tokens, vocab int, passes ...graph.Pass) (*graph.Graph, map[string]format.Tensor) {
	t.Helper()
	ids, labels, ones := make([]int64, texts*tokens), make([]int64, texts*tokens), make([]int64, texts*tokens)
	for i := range ids {
		ids[i], labels[i], ones[i] = int64(2+i*i%(vocab-2)), int64((3*i+1)%vocab), 1
		if i%7 == 3 {
			labels[i] = model.IgnoreIndex
		}
		if i%tokens > tokens-5 {
			ones[i] = 0
		}
	}
	loss, err := model.WithLoss(c.Graph)
	must(t, err)
	loss, err = graph.Apply(loss, passes...)
	must(t, err)
	batch := train.TextBatch(texts, tokens, ids, labels)
	batch[role.SourceTokens] = format.FromInt64s("source", []int{texts, tokens}, ids)
	batch[role.SourceMask] = format.FromInt64s("mask", []int{texts, tokens}, ones)
	in, shapes := map[string]format.Tensor{}, map[string][]int{}
	for _, v := range loss.Inputs {
		if x, ok := batch[v.Role().Kind]; ok {
			in[v.Name], shapes[v.Name] = x.WithName(v.Name), x.Shape
		}
	}
	bound, err := graph.Bind(map[string]int{"B": texts, "T": tokens, "S": tokens})(loss)
	must(t, err)
	for _, v := range bound.Inputs {
		if _, given := in[v.Name]; given {
			continue
		}
		shape, ok := v.Shape.Numbers() // a mask of dropout
		if !ok {
			t.Fatalf("input %s is %s", v.Name, v.Type)
		}
		x := make([]float32, format.FromFloat32s("", shape, nil).Elements())
		for i := range x {
			if i*i%11 != 3 {
				x[i] = 1.25
			}
		}
		in[v.Name], shapes[v.Name] = format.FromFloat32s(v.Name, shape, x), shape
	}
	sizes, err := loss.BindInputs(shapes)
	must(t, err)
	step, err := model.StepOf(c.Graph, sizes, nil, passes...)
	must(t, err)
	return step, in
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// large returns the computed values with at least so many elements.
func large(g *graph.Graph, elements int) (names []string) {
	for v := range g.Values() {
		if n, _ := v.Shape.Elements().Number(); n >= elements && !v.Leaf() {
			names = append(names, fmt.Sprintf("%s %s", v.Name, v.Type))
		}
	}
	return names
}

// inPieces checks that a graph has no large value in pieces, and computes the same.
func inPieces(t *testing.T, step *graph.Graph, weights model.Weights, in map[string]format.Tensor, limit int64, elements int) {
	t.Helper()
	parts, err := graph.Pieces(limit)(step)
	must(t, err)
	again, err := graph.Pieces(limit)(step)
	must(t, err)
	if printed(t, parts) != printed(t, again) {
		t.Error("two runs of the pass give different graphs")
	}
	was, is := large(step, elements), large(parts, elements)
	if len(was) == 0 || len(is) > 0 {
		t.Errorf("values of %d elements or more: %d before, now %s", elements, len(was), strings.Join(is, ", "))
	}
	before, err := graph.PeakBytes(step)
	must(t, err)
	after, err := graph.PeakBytes(parts)
	must(t, err)
	t.Logf("%d large values; %d and %d nodes, peak %d and %d bytes", len(was), len(step.Nodes), len(parts.Nodes), before, after)
	sameResults(t, step, parts, weights, in)
}

// sameResults checks that two graphs compute the same.
func sameResults(t *testing.T, step, parts *graph.Graph, weights model.Weights, in map[string]format.Tensor) {
	t.Helper()
	var out [2]map[string]format.Tensor
	for i, g := range []*graph.Graph{step, parts} {
		o, err := ref.New(g, weights)
		must(t, err)
		out[i], err = o.Run(in)
		must(t, err)
	}
	for name, x := range out[0] {
		x, err := x.Float64s()
		must(t, err)
		y, err := out[1][name].Float64s()
		must(t, err)
		off, size := 0.0, 0.0
		for i := range x {
			off, size = max(off, math.Abs(x[i]-y[i])), max(size, math.Abs(x[i]))
		}
		if !(off <= 1e-10*size) {
			t.Errorf("%s of size %g differs by %g", name, size, off)
		}
	}
}

// A step in pieces computes what it did, without the logits and the scores of all
// tokens, whatever is between the products and the loss.
func TestPieces(t *testing.T) {
	const tokens, vocab = 32, 150
	for _, c := range []struct {
		name   string
		texts  int
		passes []graph.Pass
	}{
		{"gpt2", 2, nil},
		{"llama", 2, []graph.Pass{graph.SmoothLabels(0.1)}},
		{"mistral", 2, nil},     // a window
		{"gemma3_text", 2, nil}, // heads share keys
		{"t5", 1, nil},          // a mask, and a bias of the scores that layers share, as large as they are
		{"t5", 2, nil},
		{"gpt2", 2, []graph.Pass{graph.AddDropout}},
	} {
		t.Run(fmt.Sprintf("%s of %d with %d", c.name, c.texts, len(c.passes)), func(t *testing.T) {
			if c.name == "t5" && c.texts > 1 && !fixtures.Exhaustive() {
				t.Skip("set ATTNX_EXHAUSTIVE=1")
			}
			n, err := arch.New(c.name, arch.Sizes{Layers: 2, Heads: 2, Width: 8, Context: tokens}, vocab)
			must(t, err)
			m, err := model.New(n, 1)
			must(t, err)
			step, in := forStep(t, m, c.texts, tokens, vocab, c.passes...)
			inPieces(t, step, m.Weights, in, 5000, c.texts*2*tokens*tokens)
		})
	}
}

// The rule knows no operators of attention and no loss: a head with a bias, an adapter
// and a cap, weights of tokens, and a softmax that is written out.
func TestPiecesOfOthers(t *testing.T) {
	const rows, width, vocab = 40, 4, 300
	b := graph.NewBuilder()
	param := func(name string, shape ...int) *graph.Value {
		return b.Param(name, graph.Normal(0.5), shape...)
	}
	x := b.Tanh(param("x", rows, width))
	scores := b.Mul(b.MatMul(x, b.Transpose(b.Tanh(param("k", rows, width)), 1, 0)), b.Scalar(0.5))
	scores = b.Mul(b.Tanh(b.Div(scores, b.Scalar(3))), b.Scalar(3))
	places := b.Range(graph.N(0), graph.N(rows))
	seen := b.LessOrEqual(places, b.Reshape(places, graph.N(rows), graph.N(1)))
	scores = b.Where(seen, scores, b.Scalar(-1e9))
	e := b.Exp(b.Sub(scores, b.ReduceMax(scores, true, 1)))
	x = b.MatMul(b.Div(e, b.ReduceSum(e, true, 1)), param("v", rows, width))
	logits := b.Add(b.MatMul(x, param("w", width, vocab)), param("bias", vocab))
	logits = b.Add(logits, b.Mul(b.MatMul(b.MatMul(x, param("a", width, 2)), param("b", 2, vocab)), b.Scalar(0.25)))
	logits = b.Mul(b.Tanh(b.Div(logits, b.Scalar(5))), b.Scalar(5))
	labels := b.Input("labels", format.Int64, graph.N(rows))
	of := b.GatherElements(b.LogSoftmax(logits, 1), b.Reshape(labels, graph.N(rows), graph.N(1)), 1)
	weighted := b.Mul(of, b.Reshape(b.Input("weight", format.Float32, graph.N(rows)), graph.N(rows), graph.N(1)))
	b.OutputFor(role.Of(role.Loss), b.Name("loss", b.Neg(b.ReduceMean(weighted, false, 0, 1))))
	step, err := graph.Apply(mustGraph(t, b), graph.Grad("loss"), graph.DecomposeAll, graph.Fold, graph.Merge)
	must(t, err)
	ids, weight := make([]int64, rows), make([]float32, rows)
	for i := range ids {
		ids[i], weight[i] = int64(7*i%vocab), float32(i%5)
	}
	in := map[string]format.Tensor{"labels": format.FromInt64s("labels", []int{rows}, ids), "weight": format.FromFloat32s("weight", []int{rows}, weight)}
	inPieces(t, step, model.NewWeights(step, 1), in, 2000, rows*rows)
}

// What has no large values stays as it is.
func TestPiecesOfNothing(t *testing.T) {
	g := mustGraph(t, network())
	for _, limit := range []int64{1 << 20, 1 << 40} {
		same, err := graph.Pieces(limit)(g)
		must(t, err)
		if same != g {
			t.Error("a graph without large values changed")
		}
	}
}

// Where two sums meet in a product, the terms of the second are not lost.
func TestLoosenedProductOfSums(t *testing.T) {
	b := graph.NewBuilder()
	sum := func(name string, shape ...int) *graph.Value {
		return b.Add(b.Param(name+"1", graph.Normal(0.5), shape...), b.Param(name+"2", graph.Normal(0.5), shape...))
	}
	first := b.MatMul(sum("a", 4, 600), sum("c", 600, 2))
	b.Output("first", first) // small, and read by the next product too
	b.Output("second", b.ReduceSum(b.MatMul(first, b.MatMul(sum("e", 2, 600), sum("f", 600, 3))), false, 0, 1))
	g := mustGraph(t, b)
	loose, err := graph.Loosened(g, 2000)
	must(t, err)
	if len(loose.Nodes) <= len(g.Nodes) {
		t.Errorf("%d nodes became %d: nothing was taken apart", len(g.Nodes), len(loose.Nodes))
	}
	sameResults(t, g, loose, model.NewWeights(g, 1), nil)
}

// Of two regions that need results of each other, one is computed in pieces.
func TestPiecesThatNeedEachOther(t *testing.T) {
	const rows, width = 40, 50
	b := graph.NewBuilder()
	product := func(name string) *graph.Value {
		return b.MatMul(b.Tanh(b.Param(name+"1", graph.Normal(0.5), rows, 4)), b.Param(name+"2", graph.Normal(0.5), 4, width))
	}
	sum := func(x *graph.Value) *graph.Value { return b.ReduceSum(x, true, 1) }
	first, second := b.Tanh(product("a")), b.Tanh(product("b"))
	x, y := sum(first), sum(b.Mul(second, second))
	b.Output("x", sum(b.Mul(first, y))) // the first needs y, of the second
	b.Output("y", sum(b.Mul(second, x)))
	g := mustGraph(t, b)
	parts, err := graph.Pieces(2000)(g)
	must(t, err)
	if was, is := len(large(g, rows*width)), len(large(parts, rows*width)); is == 0 || is >= was {
		t.Errorf("%d large values are now %d", was, is)
	}
	sameResults(t, g, parts, model.NewWeights(g, 1), nil)
	_, err = graph.Recompute(g)
	must(t, err)
}
