package attnx_test

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ref"
)

// Networks that are no language models.
type (
	mlp        struct{} // floats to floats
	classifier struct{} // padded texts to classes
	translator struct{} // a text and its source to scores of the next token
)

func (mlp) Architecture() string        { return "test/mlp" }
func (classifier) Architecture() string { return "test/classifier" }
func (translator) Architecture() string { return "test/translator" }

const learnedWidth = 8

var learnedInit = graph.Normal(0.4)

func (mlp) Forward(b *nn.Builder) {
	x := b.InputFor(role.Of(role.Features), format.Float32, nn.B, graph.N(4))
	b.OutputFor(role.Of(role.Prediction), b.Linear("out", b.Tanh(b.Linear("in", x, 4, 8, learnedInit)), 8, 2, learnedInit))
}

// Padding is masked out of attention and of the mean over a text.
func (classifier) Forward(b *nn.Builder) {
	const heads = 2
	x := b.Embedding("words", b.Tokens(6), 11, learnedWidth, learnedInit)                                 // (B,T,C)
	mask := b.Cast(b.InputFor(role.Of(role.AttentionMask), format.Int64, nn.B, nn.T), format.Float32)     // (B,T)
	bias := b.Reshape(b.Mul(b.Sub(mask, b.Scalar(1)), b.Scalar(1e9)), nn.B, graph.N(1), graph.N(1), nn.T) // (B,1,1,T)
	bias = b.Add(bias, b.ConstantOfShape(0, nn.B, graph.N(1), nn.T, nn.T))                                // (B,1,T,T)
	split := func(name string) *graph.Value {
		y := b.Project(name, x, learnedWidth, learnedWidth, learnedInit)
		return b.Transpose(b.Reshape(y, nn.B, nn.T, graph.N(heads), graph.N(learnedWidth/heads)), 0, 2, 1, 3) // (B,H,T,D)
	}
	y := b.Builder.Attention(graph.Attention{Scale: 0.5}, split("q"), split("k"), split("v"), bias)
	x = b.Add(x, b.Reshape(b.Transpose(y, 0, 2, 1, 3), nn.B, nn.T, graph.N(learnedWidth)))
	x = b.LayerNorm("norm", x, learnedWidth, 1e-5)
	seen := b.Reshape(mask, nn.B, nn.T, graph.N(1))
	pooled := b.Div(b.ReduceSum(b.Mul(x, seen), false, 1), b.ReduceSum(seen, false, 1)) // (B,C)
	b.Logits(b.Linear("head", pooled, learnedWidth, 3, learnedInit))
}

func (translator) Forward(b *nn.Builder) {
	source := b.InputFor(role.Of(role.SourceTokens), format.Int64, nn.B, graph.Sym("S"))
	x := b.Embedding("target", b.Tokens(6), 7, learnedWidth, learnedInit)
	y := b.Embedding("source", source, 5, learnedWidth, learnedInit)
	x = b.Attention("cross", nn.Attention{Heads: 2, Width: learnedWidth / 2}, b.Project("q", x, learnedWidth, learnedWidth, learnedInit), y, y)
	b.Logits(b.Linear("head", b.Gelu(x), learnedWidth, 7, learnedInit))
}

// examplesOf returns what a network can learn from.
func examplesOf(n nn.Network) train.Batch {
	const count = 40
	s := model.NewStream(5, "test.examples")
	ids := func(name string, stream, limit int, shape ...int) format.Tensor {
		size, _ := format.Elements(shape)
		x := make([]int64, size)
		for i := range x {
			x[i] = int64(s.IntN(uint64(i*8+stream), limit))
		}
		return format.FromInt64s(name, shape, x)
	}
	switch n.(type) {
	case mlp:
		x, y := make([]float32, count*4), make([]float32, count*2)
		s.FillNormal(x, 1)
		for i := range count {
			y[2*i], y[2*i+1] = x[4*i]*x[4*i+1], float32(math.Sin(float64(x[4*i+2])))
		}
		return train.Batch{
			role.Features: format.FromFloat32s("features", []int{count, 4}, x),
			role.Labels:   format.FromFloat32s("labels", []int{count, 2}, y),
		}
	case classifier:
		b := train.Batch{role.Tokens: ids("tokens", 0, 11, count, 6), role.AttentionMask: ids("mask", 1, 1, count, 6), role.Labels: ids("labels", 2, 1, count)}
		text, mask, labels := ints(b, role.Tokens), ints(b, role.AttentionMask), ints(b, role.Labels)
		for i := range count {
			for j := range 2 + i%5 {
				mask[6*i+j] = 1
			}
			labels[i] = text[6*i] % 3
		}
		labels[7] = model.IgnoreIndex
		return b
	}
	b := train.Batch{role.Tokens: ids("tokens", 0, 7, count, 4), role.SourceTokens: ids("source", 1, 5, count, 6), role.Labels: ids("labels", 2, 1, count, 4)}
	for i := range ints(b, role.SourceTokens) {
		ints(b, role.SourceTokens)[i] = int64(i / 6 % 5) // one word, six times
	}
	for i := range ints(b, role.Labels) {
		ints(b, role.Labels)[i] = int64(i/4%5 + 1)
	}
	return b
}

// enginesOf returns both engines for a network.
func enginesOf(t *testing.T, g *graph.Graph) []train.Engine {
	t.Helper()
	o := onnxRuntime(t)
	loss, err := model.WithLoss(g)
	check(err)
	inGo, err := gorgonia.New(loss, gorgonia.Options{})
	check(err)
	through, err := train.NewCompiled("ort", g, func(g *graph.Graph) (train.Program, error) {
		data, err := export.Bytes(g, nil, export.Train{})
		if err != nil {
			return nil, err
		}
		return ort.OpenBytes(data, o)
	})
	check(err)
	t.Cleanup(func() { inGo.Close(); through.Close() })
	return []train.Engine{inGo, through}
}

// Networks of every kind learn from examples, with the same losses in both
// engines, with one batch a step or several.
func TestTrainingByRole(t *testing.T) {
	for _, n := range []nn.Network{mlp{}, classifier{}, translator{}} {
		for _, accumulate := range []int{0, 2} {
			data, err := train.NewExamples(examplesOf(n))
			check(err)
			o := train.DefaultOptions(30)
			o.Batch, o.Accumulate, o.LR, o.Warmup = 8, accumulate, 1e-2, 3
			var losses [2][]float64
			first, err := model.New(n, 1)
			check(err)
			for i, e := range enginesOf(t, first.Graph) {
				c, err := model.New(n, 1)
				check(err)
				run, err := train.New(c, e, data, o)
				check(err)
				check(run.Run(t.Context(), func(e train.Event) error {
					losses[i] = append(losses[i], e.Loss)
					if !math.IsNaN(e.ValLoss) {
						losses[i] = append(losses[i], e.ValLoss)
					}
					return nil
				}))
			}
			for i, want := range losses[0] {
				if d := math.Abs(losses[1][i] - want); !(d <= 1e-5) {
					t.Errorf("%s, %d batches: loss %d is %.8f in Go, %.8f in ONNX Runtime", n.Architecture(), accumulate, i, want, losses[1][i])
					break
				}
			}
			if k := len(losses[0]); !(losses[0][k-2] < 0.97*losses[0][0]) {
				t.Errorf("%s: the loss went from %g to %g", n.Architecture(), losses[0][0], losses[0][k-2])
			}
		}
	}
}

// The gradients of both engines are those that graph.Grad writes and the oracle
// evaluates, and those are the differences of the oracle's loss.
func TestGradientsByRole(t *testing.T) {
	for _, n := range []nn.Network{mlp{}, classifier{}, translator{}} {
		c, err := model.New(n, 1)
		check(err)
		batch := examplesOf(n)
		loss, err := model.WithLoss(c.Graph)
		check(err)
		inputs, err := batch.Inputs(loss)
		check(err)
		shapes := map[string][]int{}
		for name, x := range inputs {
			shapes[name] = x.Shape
		}
		sizes, err := loss.BindInputs(shapes)
		check(err)
		derived, err := graph.Apply(loss, graph.Bind(sizes), graph.Grad(role.Of(role.Loss).Name()))
		check(err)
		o, err := ref.New(derived, c.Weights)
		check(err)
		want, err := o.Run(inputs)
		check(err)
		for _, e := range enginesOf(t, c.Graph) {
			grads := c.Weights.Clone()
			_, err := e.Step(c.Weights, batch, grads)
			check(err)
			for _, g := range grads {
				name := role.GradientOf(g.Name).Name()
				if d := runtime.CompareWithin(1e-4, want[name].WithName(name), g.WithName(name)); !d.Within {
					t.Errorf("%s, %s: %s %v", n.Architecture(), name, d.Reason, d.FirstBad)
				}
			}
		}
		for i, w := range c.Weights {
			checkSlope(t, loss, c.Weights, i, inputs, want[role.GradientOf(w.Name).Name()])
		}
	}
}

// checkSlope compares the derivative by the middle element of weight i with
// central differences.
func checkSlope(t *testing.T, loss *graph.Graph, w model.Weights, i int, inputs map[string]format.Tensor, gradient format.Tensor) {
	t.Helper()
	const h = 1e-4
	x, err := w[i].AsFloat64s()
	check(err)
	at := len(x) / 2
	value := func(step float64) float64 {
		moved := append(model.Weights{}, w...)
		y := append([]float64{}, x...)
		y[at] += step
		moved[i] = format.FromFloat64s(w[i].Name, w[i].Shape, y)
		o, err := ref.New(loss, moved)
		check(err)
		out, err := o.Run(inputs)
		check(err)
		l, err := out[role.Of(role.Loss).Name()].AsFloat64s()
		check(err)
		return l[0]
	}
	g, err := gradient.AsFloat64s()
	check(err)
	if d := (value(h) - value(-h)) / (2 * h); math.Abs(d-g[at]) > 1e-6 {
		t.Errorf("gradient of %s[%d] is %g, differences give %g", w[i].Name, at, g[at], d)
	}
}

// A batch that is not one of the network's is refused by both engines before
// anything is computed.
func TestBatchesThatAreRefused(t *testing.T) {
	c, err := model.New(classifier{}, 1)
	check(err)
	for _, e := range enginesOf(t, c.Graph) {
		for want, change := range map[string]func(b train.Batch){
			`no tensor for the input "attention_mask"`:      func(b train.Batch) { delete(b, role.AttentionMask) },
			"4 tensors, the graph takes 3":                  func(b train.Batch) { b[role.Segments] = b[role.Tokens] },
			"labels[0] is 3: it must be from 0 to 2":        func(b train.Batch) { ints(b, role.Labels)[0] = 3 },
			"labels[1] is -1":                               func(b train.Batch) { ints(b, role.Labels)[1] = -1 },
			"input_ids[1,0] is 11: it must be from 0 to 10": func(b train.Batch) { ints(b, role.Tokens)[6] = 11 },
			"input_ids[0,1] is -100":                        func(b train.Batch) { ints(b, role.Tokens)[1] = model.IgnoreIndex },
			"but B is":                                      func(b train.Batch) { b[role.Labels] = format.FromInt64s("", []int{3}, make([]int64, 3)) },
			"expects":                                       func(b train.Batch) { b[role.Labels] = format.FromFloat32s("", []int{40}, make([]float32, 40)) },
		} {
			b := examplesOf(classifier{})
			change(b)
			if _, err := e.Loss(c.Weights, b); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", e.Name(), err, want)
			}
		}
		if _, err := e.Loss(c.Weights[1:], examplesOf(classifier{})); err == nil || !strings.Contains(err.Error(), "in its place") {
			t.Errorf("%s: weights of another network: %v", e.Name(), err)
		}
	}
	for want, all := range map[string]train.Batch{
		"no examples":        {},
		"another tensor has": {role.Features: format.FromFloat32s("", []int{3, 1}, make([]float32, 3)), role.Labels: format.FromInt64s("", []int{2}, make([]int64, 2))},
		"no role":            {role.None: format.FromFloat32s("", []int{1}, make([]float32, 1))},
	} {
		if _, err := train.NewExamples(all); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func ints(b train.Batch, k role.Kind) []int64 {
	x, err := b[k].Int64s()
	check(err)
	return x
}
