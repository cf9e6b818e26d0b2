package runtime_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
	"github.com/attnx/attnx/runtime/ref"
)

// Networks that are no language models.
type (
	classifier struct{} // texts with a mask and segments to classes (B,V) and a vector (B,C)
	regression struct{} // floats to floats
	translator struct{} // a text and its source to scores of the next token
)

func (classifier) Architecture() string { return "test/classifier" }
func (regression) Architecture() string { return "test/regression" }
func (translator) Architecture() string { return "test/translator" }

var normal = graph.Normal(0.3)

const width = 8

func (classifier) Forward(b *nn.Builder) {
	tokens := b.Tokens(12)
	mask := b.InputFor(role.Of(role.AttentionMask), format.Int64, nn.B, nn.T)
	segments := b.InputFor(role.Of(role.Segments), format.Int64, nn.B, nn.T)
	x := b.Embedding("words", tokens, 23, width, normal) // (B,T,C)
	x = b.Add(x, b.Embedding("segments", segments, 2, width, normal))
	x = b.Add(x, b.Embedding("places", b.Positions(), 12, width, normal))
	heads := nn.Attention{Heads: 2, Width: width / 2}
	y := b.Attention("attn", heads, b.Project("q", x, width, width, normal), b.Project("k", x, width, width, normal), b.Project("v", x, width, width, normal))
	x = b.LayerNorm("norm", b.Add(x, y), width, 1e-5)
	seen := b.Reshape(b.Cast(mask, format.Float32), nn.B, nn.T, graph.N(1)) // (B,T,1)
	pooled := b.Div(b.ReduceSum(b.Mul(x, seen), false, 1), b.ReduceSum(seen, false, 1))
	b.Logits(b.Linear("head", pooled, width, 5, normal))
	b.OutputFor(role.Of(role.Pooled), b.Name("pooled", b.Tanh(pooled)))
}

func (regression) Forward(b *nn.Builder) {
	x := b.InputFor(role.Of(role.Features), format.Float32, nn.B, graph.N(6))
	b.OutputFor(role.Of(role.Prediction), b.Linear("out", b.Relu(b.Linear("in", x, 6, 16, normal)), 16, 1, normal))
}

func (translator) Forward(b *nn.Builder) {
	source := b.InputFor(role.Of(role.SourceTokens), format.Int64, nn.B, graph.Sym("S"))
	x := b.Embedding("target", b.Tokens(10), 19, width, normal) // (B,T,C)
	y := b.Embedding("source", source, 13, width, normal)       // (B,S,C)
	x = b.Attention("cross", nn.Attention{Heads: 2, Width: width / 2}, b.Project("q", x, width, width, normal), y, y)
	b.Logits(b.Linear("head", b.Gelu(x), width, 19, normal)) // (B,T,V)
}

// built returns a network, its weights and its cases.
func built(t *testing.T, n nn.Network) (*graph.Graph, model.Weights, []runtime.Case) {
	t.Helper()
	c, err := model.New(n, 3)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := runtime.CasesOf(ref.Inputs(c.Graph), c.Graph.Context, runtime.DefaultBudget, 1)
	if err != nil {
		t.Fatal(err)
	}
	return c.Graph, c.Weights, cases
}

// inORT returns a candidate that runs the exported network.
func inORT(t *testing.T, g *graph.Graph, w model.Weights) runtime.Candidate {
	t.Helper()
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	m, err := export.Model(g, w, export.Plain{})
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if err := m.Encode(&data); err != nil {
		t.Fatal(err)
	}
	return runtime.Candidate{Name: "ort-cpu", Open: func() (runtime.Session, error) {
		return ort.OpenBytes(data.Bytes(), ort.Options{Library: lib.Path, Device: "cpu"})
	}}
}

// Networks that are no language models are verified as ordinary cases: what
// they take is filled, and each of their outputs is compared.
func TestVerifyOtherNetworks(t *testing.T) {
	for _, n := range []nn.Network{classifier{}, regression{}, translator{}} {
		t.Run(n.Architecture(), func(t *testing.T) {
			g, w, cases := built(t, n)
			oracle, err := ref.New(g, w)
			if err != nil {
				t.Fatal(err)
			}
			report := verified(t, oracle, cases, inORT(t, g, w))
			x := report.Results[0]
			if report.Verdict != runtime.Pass || x.Cases != len(cases) || len(cases) < 12 || x.MaxAbs == 0 {
				t.Errorf("%+v", report)
			}
			if scores := n.Architecture() != "test/regression"; (x.ArgmaxChecked > 0) != scores {
				t.Errorf("%d rows of scores checked", x.ArgmaxChecked)
			}
			// A weight that is off is seen in every one of them.
			for i := range w {
				off := slices.Clone(w)
				off[i] = moved(t, w[i])
				if r := verified(t, oracle, cases, inORT(t, g, off)); r.Verdict != runtime.Fail {
					t.Errorf("a wrong %s passes: %+v", w[i].Name, r.Results[0])
				}
			}
			// So is each output by itself.
			for _, o := range g.Outputs {
				report := verified(t, oracle, cases, changed(g, w, func(out map[string]format.Tensor) { delete(out, o.Name) }))
				if reason := report.Results[0].Reason; report.Verdict != runtime.Fail || !strings.Contains(reason, "no output") || !strings.Contains(reason, o.Name) {
					t.Errorf("without %s: %+v", o.Name, report.Results[0])
				}
				report = verified(t, oracle, cases, changed(g, w, func(out map[string]format.Tensor) {
					v, err := out[o.Name].Float64s()
					if err != nil {
						t.Fatal(err)
					}
					v = slices.Clone(v)
					v[len(v)-1] += 0.01
					out[o.Name] = format.FromFloat64s(o.Name, out[o.Name].Shape, v)
				}))
				if x := report.Results[0]; x.Status != runtime.StatusFail || !strings.HasPrefix(x.FirstDifference, o.Name+"[") {
					t.Errorf("with another %s: %+v", o.Name, x)
				}
			}
		})
	}
}

func verified(t *testing.T, oracle runtime.Oracle, cases []runtime.Case, c runtime.Candidate) runtime.Report {
	t.Helper()
	report, err := runtime.Verify(t.Context(), oracle, []runtime.Candidate{c}, cases)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// moved returns a weight with one number changed.
func moved(t *testing.T, w format.Tensor) format.Tensor {
	t.Helper()
	v, err := w.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	v = slices.Clone(v)
	for i := range v {
		v[i] += 0.5 + float32(i%3)
	}
	return format.FromFloat32s(w.Name, w.Shape, v)
}

// changed returns a candidate with the oracle's outputs, changed.
func changed(g *graph.Graph, w model.Weights, change func(map[string]format.Tensor)) runtime.Candidate {
	return runtime.Candidate{Name: "changed", Open: func() (runtime.Session, error) {
		s, err := ref.New(g, w)
		return changing{s, change}, err
	}}
}

type changing struct {
	runtime.Session
	change func(map[string]format.Tensor)
}

func (c changing) Run(in map[string]format.Tensor) (map[string]format.Tensor, error) {
	out, err := c.Session.Run(in)
	if err == nil {
		c.change(out)
	}
	return out, err
}

// The cases of other networks hold what their inputs are for.
func TestCasesOfOtherNetworks(t *testing.T) {
	g, _, cases := built(t, classifier{})
	texts := runtime.Cases(23, 12, 1)
	ids, hidden, segments := map[int64]bool{}, 0, map[int64]bool{}
	for i, c := range cases {
		if i < len(texts) && (c.Batch != texts[i].Batch || c.Length != texts[i].Length || !slices.Equal(c.IDs, texts[i].IDs)) {
			t.Errorf("case %d is %s, the text alone would be %s", i, c, texts[i])
		}
		in := c.Inputs()
		if len(in) != len(g.Inputs) {
			t.Fatalf("%s has %d inputs", c, len(in))
		}
		for _, id := range numbers(t, in["input_ids"]) {
			ids[id] = true
		}
		for _, s := range numbers(t, in["token_type_ids"]) {
			segments[s] = true
		}
		mask := numbers(t, in["attention_mask"])
		for row := range slices.Chunk(mask, c.Length) {
			if slices.Contains(row, 0) {
				hidden++
			}
			if !slices.Contains(row, 1) {
				t.Errorf("%s: mask %v", c, row)
			}
		}
	}
	if len(ids) != 23 || len(segments) != 2 || hidden == 0 {
		t.Errorf("%d ids, %d segments, %d texts with hidden tokens", len(ids), len(segments), hidden)
	}

	_, _, cases = built(t, translator{})
	shorter, longer := 0, 0
	for _, c := range cases {
		source := c.Inputs()["encoder_input_ids"]
		if source.Shape[1] < c.Length {
			shorter++
		}
		if source.Shape[1] > c.Length {
			longer++
		}
		if v := numbers(t, source); slices.Max(v) != 12 || slices.Min(v) < 0 {
			t.Errorf("%s: source ids up to %d", c, slices.Max(v))
		}
	}
	if shorter == 0 || longer == 0 || !strings.Contains(cases[len(cases)-1].String(), "encoder_input_ids [") {
		t.Errorf("%d sources are shorter, %d longer than the text; %s", shorter, longer, cases[len(cases)-1])
	}

	_, _, cases = built(t, regression{})
	if got := cases[2].String(); len(cases) != 12 || got != "features [3 6]" {
		t.Errorf("%d cases, the third is %s", len(cases), got)
	}
	features, err := cases[11].Inputs()["features"].Float32s()
	if err != nil || len(features) != 72 || math.Abs(float64(slices.Max(features))) > 2 || slices.Max(features) == slices.Min(features) {
		t.Errorf("%v, %v", features, err)
	}
	again, _ := runtime.CasesOf(ref.Inputs(g), g.Context, runtime.DefaultBudget, 1)
	other, _ := runtime.CasesOf(ref.Inputs(g), g.Context, runtime.DefaultBudget, 2)
	if _, _, first := built(t, classifier{}); !slices.Equal(again[5].Given[1].Data, first[5].Given[1].Data) || slices.Equal(again[5].Given[1].Data, other[5].Given[1].Data) {
		t.Error("cases are no function of their seed")
	}
}

func numbers(t *testing.T, x format.Tensor) []int64 {
	t.Helper()
	v, err := x.Int64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Inputs that no case can be made for are errors with their name.
func TestCasesOfRefuses(t *testing.T) {
	shape := func(n ...int) func(map[string]int) ([]int, error) {
		return func(map[string]int) ([]int, error) { return n, nil }
	}
	for name, in := range map[string]runtime.Input{
		"too large":  {Name: "x", DType: format.Float32, Shape: shape(1<<20, 1<<20)},
		"overflows":  {Name: "x", DType: format.Float32, Shape: shape(1<<40, 1<<40)},
		"no numbers": {Name: "x", DType: format.Invalid, Shape: shape(2)},
	} {
		if _, err := runtime.CasesOf([]runtime.Input{in}, 0, runtime.DefaultBudget, 1); err == nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
