package onnxgo_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/conform"
	"github.com/attnx/attnx/runtime/onnxgo"
	"github.com/attnx/attnx/runtime/ref"
)

func open(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
	data, err := export.Bytes(g, weights, export.Flat{})
	if err != nil {
		return nil, err
	}
	return onnxgo.OpenBytes(data)
}

// Both networks on the flat profile against PyTorch and the oracle. The suite
// of single operators is not for onnx-go: it runs the flat form of a network
// and nothing else.
func TestNetworks(t *testing.T) {
	build := func(c fixtures.Config) (*graph.Graph, error) {
		n, err := arch.Parse(c.Arch, c.JSON())
		if err != nil {
			return nil, err
		}
		return nn.Build(n)
	}
	oracle := func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) { return ref.New(g, weights) }
	conform.Networks(t, open, conform.Options{}, build, oracle)
}

func tiny(t *testing.T) (*onnxgo.Session, *ref.Oracle) {
	t.Helper()
	g, err := nn.Build(tinyGPT2)
	if err != nil {
		t.Fatal(err)
	}
	weights := model.NewWeights(g, 3)
	data, err := export.Bytes(g, weights, export.Flat{Length: 6})
	if err != nil {
		t.Fatal(err)
	}
	s, err := onnxgo.OpenBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	o, err := ref.New(g, weights)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

func TestRunRefuses(t *testing.T) {
	s, _ := tiny(t)
	if s.Length() != 6 {
		t.Errorf("length %d, exported with 6", s.Length())
	}
	ids := func(v ...int64) format.Tensor { return format.FromInt64s("input_ids", []int{1, len(v)}, v) }
	for _, c := range []struct {
		name, want string
		in         map[string]format.Tensor
	}{
		{"no input", "expects one input", nil},
		{"another input", "expects one input", map[string]format.Tensor{"x": ids(1)}},
		{"rank 1", "expects one input", map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{1}, []int64{1})}},
		{"floats", "F32", map[string]format.Tensor{"input_ids": format.FromFloat32s("input_ids", []int{1, 1}, []float32{1})}},
		{"too long", "7 tokens for a file of fixed length 6", map[string]format.Tensor{"input_ids": ids(1, 2, 3, 4, 5, 6, 7)}},
		{"an id too high", "input_ids[0,1] is 11: it must be from 0 to 10", map[string]format.Tensor{"input_ids": ids(1, 11)}},
		{"a negative id", "input_ids[0,0] is -1", map[string]format.Tensor{"input_ids": ids(-1)}},
	} {
		if _, err := s.Run(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	// After all the refusals it still runs.
	if _, err := s.Run(map[string]format.Tensor{"input_ids": ids(1, 2)}); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Run(map[string]format.Tensor{"input_ids": ids(1)}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed session: %v", err)
	}
}

// Several models run for the first time at once, and one by several goroutines.
// bothSides is a network whose tokens see the ones after them.
type bothSides struct{ whole bool }

func (bothSides) Architecture() string { return "test/bothsides" }

func (n bothSides) Forward(b *nn.Builder) {
	init := graph.Normal(0.5)
	x := b.Embedding("tokens", b.Tokens(6), 7, 4, init)
	x = b.Add(x, b.Embedding("positions", b.Positions(), 6, 4, init))
	x = b.Attention("look", nn.Attention{Heads: 1, Width: 4}, x, x, x)
	if n.whole {
		x = b.Reshape(b.Slice(x, 1, graph.N(0), graph.N(1)), nn.B, graph.N(4))
	}
	b.Logits(b.Project("head", x, 4, 7, init))
}

// A network that sees padding runs full texts only. The session finds out by
// itself, since the file does not say so.
func TestPaddingThatIsSeen(t *testing.T) {
	for _, n := range []nn.Network{bothSides{}, bothSides{whole: true}} {
		g, err := nn.Build(n)
		if err != nil {
			t.Fatal(err)
		}
		weights := model.NewWeights(g, 3)
		data, err := export.Bytes(g, weights, export.Flat{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := onnxgo.OpenBytes(data)
		if err != nil {
			t.Fatal(err)
		}
		o, err := ref.New(g, weights)
		if err != nil {
			t.Fatal(err)
		}
		run := func(ids ...int64) error {
			in := map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{1, len(ids)}, ids)}
			got, err := s.Run(in)
			if err != nil {
				return err
			}
			want, err := o.Run(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := runtime.CompareWithin(1e-4, want["logits"], got["logits"]); !d.Within {
				t.Errorf("%+v, %v: %s %v", n, ids, d.Reason, d.FirstBad)
			}
			return nil
		}
		if err := run(1, 2, 3, 4, 5); !errors.Is(err, onnxgo.ErrPadding) {
			t.Errorf("%+v: a shorter text: %v", n, err)
		}
		if err := run(1, 2, 3, 4, 5, 6); err != nil {
			t.Error(err)
		}
		if err := run(1); !errors.Is(err, onnxgo.ErrPadding) {
			t.Errorf("%+v: one token: %v", n, err)
		}
		s.Close()
	}
}

func TestConcurrentRuns(t *testing.T) {
	var wg sync.WaitGroup
	for range 3 {
		s, o := tiny(t)
		for n := 1; n <= 4; n++ {
			wg.Go(func() {
				in := runtime.NewCase(2, n, 11, uint64(n)).Inputs()
				want, err := o.Run(in)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := s.Run(in)
				if err != nil {
					t.Error(err)
					return
				}
				if d := runtime.CompareWithin(1e-4, want["logits"], got["logits"]); !d.Within {
					t.Errorf("length %d: %s %v", n, d.Reason, d.FirstBad)
				}
			})
		}
	}
	wg.Wait()
}

func TestOpenRefuses(t *testing.T) {
	g, err := nn.Build(tinyGPT2)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := export.Bytes(g, model.NewWeights(g, 1), export.Plain{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":           {nil, "onnx-go"},
		"text":              {[]byte("this is no model"), "onnx-go"},
		"the plain profile": {plain, "onnx-go"},
	} {
		if _, err := onnxgo.OpenBytes(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := onnxgo.Open("missing.onnx"); err == nil || !strings.Contains(err.Error(), "missing.onnx") {
		t.Errorf("a missing file: %v", err)
	}
}

// tinyGPT2 is the smallest preset of GPT-2, for 11 tokens.
var tinyGPT2 = arch.GPT2{Vocab: 11, Context: 16, Width: 32, Layers: 2, Heads: 2, Inner: 128, Epsilon: 1e-5}
