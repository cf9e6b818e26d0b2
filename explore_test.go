package attnx_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
)

// explored collects what Explore hands out.
func explored(t *testing.T, c *model.Checkpoint, ids []int64) (*attnx.Exploration, map[string][]float64) {
	t.Helper()
	tok := must(tokens.Train(tokens.Word, "a b c d e f g h", 0))
	found := map[string][]float64{}
	e, err := attnx.Explore(c, tok, ids, 3, func(e *attnx.Exploration, m attnx.Matrix) error {
		if len(m.Values) != m.Rows*m.Columns || m.Rows != len(ids) || m.Layer >= len(e.Layers) {
			t.Errorf("%s of layer %d: %d × %d, %d values", m.Symbol, m.Layer, m.Rows, m.Columns, len(m.Values))
		}
		found[key(m.Symbol, m.Layer, m.Head)] = slices.Clone(m.Values)
		return nil
	})
	check(err)
	return e, found
}

func key(symbol string, layer, head int) string { return fmt.Sprint(symbol, " ", layer, " ", head) }

func apart(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	most := 0.0
	for i := range a {
		most = max(most, math.Abs(a[i]-b[i]))
	}
	return most
}

// The textbook's values are those of PyTorch: attention and logits of the golden
// file. What lies between them is checked by its definition, here by plain loops.
func TestExploreSimple(t *testing.T) {
	variants, err := fixtures.TinySimple()
	check(err)
	for _, v := range variants {
		n, err := arch.Parse(v.Config.Arch, must(json.Marshal(v.Config)))
		check(err)
		c := must(model.New(n, 1))
		for i, w := range v.Weights {
			x := make([]float32, len(w.Data))
			for j := range x {
				x[j] = float32(w.Data[j])
			}
			c.Weights[i] = format.FromFloat32s(w.Name, w.Shape, x)
		}
		rows := v.InputIDs.Shape[1]
		ids := make([]int64, rows)
		for i := range ids {
			ids[i] = int64(v.InputIDs.Data[i])
		}
		e, got := explored(t, c, ids)
		for h := range v.Config.Heads {
			if d := apart(got[key("A", 0, h)], v.Scores.Data[h*rows*rows:][:rows*rows]); d > 1e-7 { // the factor of the scores is float32
				t.Errorf("%s: head %d differs from PyTorch's by %g", v.Name, h, d)
			}
		}
		for i := range rows {
			numbered := v.Logits.Data[i*v.Config.Vocab:][:v.Config.Vocab]
			best := slices.Index(numbered, slices.Max(numbered))
			if p := e.Predicted[i][0]; p.ID != int64(best) || math.Abs(p.Logit-numbered[best]) > 1e-6 {
				t.Errorf("%s: token %d: %v is likeliest, PyTorch has %d with %g", v.Name, i, p, best, numbered[best])
			}
		}
		if d := apart(got[key("Z²", 0, -1)], v.Logits.Data[:rows*v.Config.Vocab]); d > 1e-6 {
			t.Errorf("%s: Z² differs from PyTorch's logits by %g", v.Name, d)
		}
		relu := func(x float64) float64 { return max(x, 0) }
		for what, d := range map[string]float64{
			"H":  apart(got[key("H", 0, -1)], times(sideBySide(got, "H′", v.Config.Heads, rows), v, "attn.o", nil)),
			"Q":  apart(sideBySide(got, "Q", v.Config.Heads, rows), times(got[key("X", 0, -1)], v, "attn.q", nil)),
			"V":  apart(sideBySide(got, "V", v.Config.Heads, rows), times(got[key("X", 0, -1)], v, "attn.v", nil)),
			"Z¹": apart(got[key("Z¹", 0, -1)], times(got[key("H", 0, -1)], v, "mlp.1", relu)),
		} {
			if d > 1e-12 {
				t.Errorf("%s: %s differs from its definition by %g", v.Name, what, d)
			}
		}
	}
}

// sideBySide returns the rows of all heads as rows of one matrix.
func sideBySide(got map[string][]float64, symbol string, heads, rows int) (all []float64) {
	for i := range rows {
		for h := range heads {
			x := got[key(symbol, 0, h)]
			all = append(all, x[i*len(x)/rows:][:len(x)/rows]...)
		}
	}
	return all
}

// times returns f(x·weight + bias) with the weights of the golden file.
func times(x []float64, v fixtures.SimpleVariant, name string, f func(float64) float64) (y []float64) {
	named := func(name string) fixtures.Tensor {
		return v.Weights[slices.IndexFunc(v.Weights, func(w fixtures.Named) bool { return w.Name == name })].Tensor
	}
	w, b := named(name+".weight"), named(name+".bias")
	for row := range slices.Chunk(x, w.Shape[0]) {
		for j, sum := range b.Data {
			for i, a := range row {
				sum += a * w.Data[i*w.Shape[1]+j]
			}
			if f != nil {
				sum = f(sum)
			}
			y = append(y, sum)
		}
	}
	return y
}

// Every network that attnx ships has all ten steps in every layer, and they are
// connected as the textbook says.
func TestExploreNetworks(t *testing.T) {
	sizes := must(arch.Preset("tiny"))
	steps := strings.Fields("X Q K V S A H′ H Z¹ Z²")
	for _, name := range arch.Names() {
		n, err := arch.New(name, sizes, 9)
		check(err)
		c := must(model.New(n, 1))
		ids := []int64{1, 2, 3, 1}
		if layers, _ := attnx.AttentionLayers(c); layers == 0 { // recurrent
			continue
		}
		if c.Graph.Input(role.Of(role.SourceTokens)) != nil {
			tok := must(tokens.Train(tokens.Word, "a b", 0))
			if _, err := attnx.Explore(c, tok, ids, 1, nil); err == nil || !strings.Contains(err.Error(), "source") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		e, got := explored(t, c, ids)
		for layer, l := range e.Layers {
			var found []string
			for _, s := range l.Steps {
				found = append(found, s.Symbol)
			}
			if !slices.Equal(found, steps) {
				t.Errorf("%s, layer %d: steps %v, expected %v", name, layer, found, steps)
			}
			width := len(got[key("Q", layer, 0)]) / len(ids)
			for h := range l.Heads {
				g := h * l.Groups / l.Heads
				q, k, v := got[key("Q", layer, h)], got[key("K", layer, g)], got[key("V", layer, g)]
				s, a := make([]float64, 16), make([]float64, 16)
				y := make([]float64, len(ids)*width)
				for i := range 4 {
					sum := 0.0
					for j := range 4 {
						for d := range width {
							s[i*4+j] += q[i*width+d] * k[j*width+d] * float64(float32(l.Scale))
						}
						if l.Causal && j > i {
							s[i*4+j] = attnx.Hidden
						}
						a[i*4+j] = math.Exp(s[i*4+j])
						sum += a[i*4+j]
					}
					for j := range 4 {
						a[i*4+j] /= sum
						for d := range width {
							y[i*width+d] += a[i*4+j] * v[j*width+d]
						}
					}
				}
				seen := slices.Clone(got[key("S", layer, h)])
				for i, x := range seen {
					seen[i] = max(x, attnx.Hidden)
				}
				for what, d := range map[string]float64{"S": apart(s, seen), "A": apart(a, got[key("A", layer, h)]), "H′": apart(y, got[key("H′", layer, h)])} {
					if d > 1e-9 {
						t.Errorf("%s, layer %d, head %d: %s differs by %g", name, layer, h, what, d)
					}
				}
			}
		}
		if e.Next == strings.Contains(name, "bert") {
			t.Errorf("%s: predicts the next token: %t", name, e.Next)
		}
	}
}

// A network may be built otherwise: what it does not have is missing. The second
// layer of this one has another number of heads, and no feed-forward network follows.
func TestExploreOwnNetwork(t *testing.T) {
	c := must(model.New(looking{}, 1))
	e, got := explored(t, c, []int64{3, 0, 5})
	if len(e.Layers) != 2 || e.Layers[0].Groups != 2 || e.Layers[1].Causal || e.Next {
		t.Errorf("layers %+v", e.Layers)
	}
	for _, want := range []string{"K 0 1", "A 0 3", "A 1 0", "X 0 -1", "X 1 -1"} {
		if got[want] == nil {
			t.Errorf("no %s in %d matrices", want, len(got))
		}
	}
	for at := range got {
		if strings.HasPrefix(at, "Z") || strings.HasPrefix(at, "H ") {
			t.Errorf("%s: the network has none", at)
		}
	}
	tok := must(tokens.Train(tokens.Word, "a b", 0))
	if _, err := attnx.Explore(must(model.New(MLP{In: 3, Hidden: 4, Out: 2}, 1)), tok, []int64{0}, 1, nil); err == nil {
		t.Error("a network without attention is explored")
	}
	broken := fmt.Errorf("full")
	if _, err := attnx.Explore(c, tok, []int64{0}, 1, func(*attnx.Exploration, attnx.Matrix) error { return broken }); err != broken {
		t.Errorf("the callback's error: %v", err)
	}
}

// sharing looks with queries of the text only: what X, K and V come from is not a
// layer, and the result goes nowhere but into the logits.
type sharing struct{}

func (sharing) Architecture() string { return "test/sharing" }

func (sharing) Forward(b *nn.Builder) {
	x := b.Embedding("words", b.Tokens(6), 9, 8, graph.Normal(0.7))
	b.Logits(b.Softmax(b.Attention("looks", nn.Attention{Heads: 2, Width: 4, Causal: true}, x, x, x), -1))
}

func TestExploreWithoutLayers(t *testing.T) {
	e, got := explored(t, must(model.New(sharing{}, 1)), []int64{3, 0, 5})
	if len(e.Layers) != 1 || got["Q 0 1"] == nil || got["H′ 0 1"] == nil || got["X 0 -1"] != nil || len(e.Predicted) != 3 || len(e.Predicted[0]) != 3 {
		t.Errorf("%d layers, %v predicted", len(e.Layers), e.Predicted)
	}
}
