package gorgonia_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	attnx "github.com/attnx/attnx/runtime"
)

// ownNetwork is a network that attnx does not ship, in the manner of Llama and
// Mistral: grouped queries with rotary positions, a window in one layer, RMSNorm
// and a gated feed-forward network.
type ownNetwork struct {
	Vocab, Context int
}

func (ownNetwork) Architecture() string { return "own" }

func (n ownNetwork) Forward(b *nn.Builder) {
	const width, heads, groups, inner = 8, 4, 2, 12
	normal := graph.Normal(0.3)
	x := b.Embedding("wte", b.Tokens(n.Context), n.Vocab, width, graph.Normal(1)) // (B,T,C)
	for layer := range 2 {
		s := b.Scope(fmt.Sprint("layer.", layer))
		y := s.RMSNorm("norm_1", x, width, 1e-5)
		q := s.Project("q", y, width, width, normal)
		k := s.Project("k", y, width, width/heads*groups, normal)
		v := s.Project("v", y, width, width/heads*groups, normal)
		attention := nn.Attention{Heads: heads, KVHeads: groups, Width: width / heads, Causal: true, Window: 3 * layer, Rotary: &nn.Rotary{Theta: 100}}
		x = s.Add(x, s.Project("o", s.Attention("attn", attention, q, k, v), width, width, normal))
		y = s.RMSNorm("norm_2", x, width, 1e-5)
		y = s.Mul(s.SiLU(s.Project("gate", y, width, inner, normal)), s.Project("up", y, width, inner, normal))
		x = s.Add(x, s.Project("down", y, inner, width, normal))
	}
	b.Logits(b.Name("logits", b.Project("head", b.RMSNorm("norm", x, width, 1e-5), width, n.Vocab, normal)))
}

// TestOwnNetworkGradients compares the gradients that the engine finds with those
// that the graph's own differentiation writes and the oracle evaluates.
func TestOwnNetworkGradients(t *testing.T) {
	c, err := model.New(ownNetwork{Vocab: 11, Context: 8}, 3)
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, c.Graph, gorgonia.Options{})
	for _, size := range [][2]int{{1, 2}, {2, 5}, {3, 8}} {
		derived, err := graph.Apply(gorgonia.LossOf(t, c.Graph), graph.Bind(map[string]int{"B": size[0], "T": size[1]}), graph.Grad("loss"))
		if err != nil {
			t.Fatal(err)
		}
		oracle, err := openOracle(derived, c.Weights)
		if err != nil {
			t.Fatal(err)
		}
		batch := randomBatch(size[0], size[1], c.Vocab(), 7)
		want, err := oracle.Run(map[string]format.Tensor{
			"input_ids": batch[role.Tokens], "labels": batch[role.Labels],
		})
		if err != nil {
			t.Fatal(err)
		}
		grads := c.Weights.Clone()
		loss, err := e.Step(c.Weights, batch, grads)
		if err != nil {
			t.Fatal(err)
		}
		got := []format.Tensor{format.FromFloat32s("loss", []int{}, []float32{float32(loss)})}
		for _, g := range grads {
			got = append(got, g.WithName(role.GradientOf(g.Name).Name()))
		}
		if len(got) != len(want) {
			t.Errorf("%d numbers, the oracle has %d", len(got), len(want))
		}
		for _, g := range got {
			if d := attnx.CompareWithin(1e-4, want[g.Name].WithName(g.Name), g); !d.Within {
				t.Errorf("%v: %s: %s %v", size, g.Name, d.Reason, d.FirstBad)
			}
		}
	}
}

// TestOwnNetworkTrains trains a network of a user's own, saves it in the middle,
// reads it without its definition and continues: the same bytes as in one run.
func TestOwnNetworkTrains(t *testing.T) {
	ids := make([]int64, 600)
	for i := range ids {
		ids[i] = int64(i * i % 11)
	}
	data, err := train.NewText(ids, 8)
	if err != nil {
		t.Fatal(err)
	}
	o := train.DefaultOptions(100)
	o.LR, o.MinLR, o.Warmup = 1e-2, 1e-3, 2
	run := func(c *model.Checkpoint, until int) (saved *model.Checkpoint, losses []float64) {
		e := newEngine(t, c.Graph, gorgonia.Options{})
		r, err := train.New(c, e, data, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		err = r.Run(ctx, func(e train.Event) error {
			if losses = append(losses, e.Loss); e.Step == until {
				stop()
			}
			return nil
		})
		if err != nil && err != context.Canceled {
			t.Fatal(err)
		}
		if saved, err = r.Checkpoint(nil); err != nil {
			t.Fatal(err)
		}
		return saved, losses
	}
	start := func() *model.Checkpoint {
		c, err := train.Start(ownNetwork{Vocab: 11, Context: 8}, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	whole, losses := run(start(), 100)
	if first, last := losses[0], losses[len(losses)-1]; !(last < first/4) {
		t.Errorf("the loss is %g after %d steps, was %g", last, len(losses), first)
	}
	half, _ := run(start(), 17)
	path := filepath.Join(t.TempDir(), "half")
	if err := half.Save(path); err != nil {
		t.Fatal(err)
	}
	read, err := model.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if read.Step != 17 || read.Arch != "own" || !strings.Contains(string(read.Config), `"Vocab":11`) {
		t.Errorf("step %d of %s %s", read.Step, read.Arch, read.Config)
	}
	rest, _ := run(read, 100)
	for i, w := range whole.Weights {
		if !bytes.Equal(w.Data, rest.Weights[i].Data) {
			t.Errorf("%s differs after a resume", w.Name)
		}
	}
}
