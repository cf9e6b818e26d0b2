package train_test

import (
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
	attnx "github.com/attnx/attnx/runtime"
)

func tinyConfig(t *testing.T) arch.GPT2 {
	t.Helper()
	return train.TinyGPT2(65)
}

func firstWeights(t *testing.T, c nn.Network) (weights model.Weights, grads []format.Tensor) {
	t.Helper()
	g, err := nn.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	weights = model.NewWeights(g, 3)
	return weights, weights.Clone()
}

// TestDeterminism takes a step on one core and on several, twice each, with
// engines of their own: the same bits.
func TestDeterminism(t *testing.T) {
	c := tinyConfig(t)
	batch := randomBatch(12, c.Context, c.Vocab, 5)
	var first []string
	for _, cores := range []int{1, 2, 5, 1} {
		func() {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			e := newEngine(t, c, train.GorgoniaOptions{})
			weights, grads := firstWeights(t, c)
			for range 2 {
				if _, err := e.Step(weights, batch, grads); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, g := range grads {
					got = append(got, string(g.Data))
				}
				if first == nil {
					first = got
				}
				for i := range got {
					if got[i] != first[i] {
						t.Errorf("on %d cores the gradient of %s differs", cores, grads[i].Name)
					}
				}
			}
		}()
	}
}

// TestValueByValue compares every value inside both networks with the oracle.
func TestValueByValue(t *testing.T) {
	for _, name := range arch.Names() {
		for _, size := range [][2]int{{1, 1}, {3, 7}, {2, 16}} {
			sizes, err := arch.Preset("tiny")
			if err != nil {
				t.Fatal(err)
			}
			c, err := arch.New(name, sizes, 65)
			if err != nil {
				t.Fatal(err)
			}
			g, err := nn.Build(c)
			if err == nil {
				g, err = graph.MarkOutputs(g)
			}
			if err != nil {
				t.Fatal(err)
			}
			weights := model.NewWeights(g, 3)
			f, err := train.NewForward(g, weights)
			if err != nil {
				t.Fatal(err)
			}
			oracle, err := openOracle(g, weights)
			if err != nil {
				t.Fatal(err)
			}
			batch := randomBatch(size[0], size[1], 65, 9)
			inputs := map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", size[:], batch.IDs)}
			got, err := f.Run(inputs)
			if err != nil {
				t.Fatal(err)
			}
			want, err := oracle.Run(inputs)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Errorf("%d outputs, the oracle has %d", len(got), len(want))
			}
			for name, w := range want {
				if d := attnx.Compare(w, got[name].WithName(name)); !d.Within {
					t.Errorf("%T %v: %s: %v", c, size, name, d.FirstBad)
				}
			}
		}
	}
}

// TestNaN: a network whose weights are no numbers has such a loss, and nothing
// breaks.
func TestNaN(t *testing.T) {
	c := tinyConfig(t)
	e := newEngine(t, c, train.GorgoniaOptions{})
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat32} {
		weights, grads := firstWeights(t, c)
		for _, w := range weights {
			x, err := w.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			for i := range x {
				x[i] = float32(bad)
			}
		}
		loss, err := e.Step(weights, randomBatch(2, 5, c.Vocab, 1), grads)
		if err != nil || !math.IsNaN(loss) {
			t.Errorf("weights %g: loss %v, error %v", bad, loss, err)
		}
	}
	weights, grads := firstWeights(t, c)
	none := randomBatch(2, 5, c.Vocab, 1)
	for i := range none.Labels {
		none.Labels[i] = model.IgnoreIndex
	}
	if loss, err := e.Step(weights, none, grads); err != nil || !math.IsNaN(loss) {
		t.Errorf("no label that counts: loss %v, error %v", loss, err)
	}
}

// TestRefusals names what is wrong before anything is computed.
func TestRefusals(t *testing.T) {
	c := tinyConfig(t)
	e := newEngine(t, c, train.GorgoniaOptions{})
	good := func() train.Batch { return randomBatch(2, 5, c.Vocab, 1) }
	with := func(f func(b *train.Batch)) train.Batch {
		b := good()
		f(&b)
		return b
	}
	weights, grads := firstWeights(t, c)
	before := weights.Clone()
	for i := range grads {
		clear(grads[i].Data)
	}
	for want, step := range map[string]func() error{
		"input_ids[1,2] is 65: it must be from 0 to 64": func() error {
			_, err := e.Step(weights, with(func(b *train.Batch) { b.IDs[7] = 65 }), grads)
			return err
		},
		"input_ids[0,0] is -1": func() error {
			_, err := e.Loss(weights, with(func(b *train.Batch) { b.IDs[0] = -1 }))
			return err
		},
		"labels[0,3] is 70": func() error {
			_, err := e.Step(weights, with(func(b *train.Batch) { b.Labels[3] = 70 }), grads)
			return err
		},
		"labels[0,3] is -99": func() error {
			_, err := e.Step(weights, with(func(b *train.Batch) { b.Labels[3] = -99 }), grads)
			return err
		},
		"has 10 ids and 9 labels": func() error {
			_, err := e.Step(weights, with(func(b *train.Batch) { b.Labels = b.Labels[1:] }), grads)
			return err
		},
		"a batch of 0 sequences": func() error {
			_, err := e.Step(weights, train.Batch{}, grads)
			return err
		},
		"the network has \"wte.weight\" in its place": func() error {
			_, err := e.Step(weights[1:], good(), grads)
			return err
		},
		"room for": func() error {
			_, err := e.Step(weights, good(), grads[1:])
			return err
		},
		"in its place": func() error {
			bad := weights.Clone()
			bad[2], bad[0] = bad[0], bad[2]
			_, err := e.Step(bad, good(), grads)
			return err
		},
		"axis 0": func() error { // longer than the context
			_, err := e.Step(weights, randomBatch(1, c.Context+1, c.Vocab, 1), grads)
			return err
		},
		"wants I64": func() error {
			g, err := nn.Build(c)
			if err != nil {
				return err
			}
			f, err := train.NewForward(g, weights)
			if err != nil {
				return err
			}
			_, err = f.Run(map[string]format.Tensor{"input_ids": format.FromFloat32s("input_ids", []int{1, 1}, []float32{1})})
			return err
		},
		"is missing": func() error {
			g, err := nn.Build(c)
			if err != nil {
				return err
			}
			f, err := train.NewForward(g, weights)
			if err != nil {
				return err
			}
			_, err = f.Run(nil)
			return err
		},
		"no input \"labels\"": func() error {
			g, err := nn.Build(c)
			if err != nil {
				return err
			}
			_, err = train.NewGorgonia(g, train.GorgoniaOptions{})
			return err
		},
		"is closed": func() error {
			e := newEngine(t, c, train.GorgoniaOptions{})
			if err := e.Close(); err != nil {
				return err
			}
			_, err := e.Loss(weights, good())
			return err
		},
	} {
		if err := step(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q in one line", err, want)
		}
	}
	for i := range grads {
		for _, b := range grads[i].Data {
			if b != 0 {
				t.Fatalf("a refused step wrote the gradient of %s", grads[i].Name)
			}
		}
	}
	if weights.Hash() != before.Hash() {
		t.Error("a step changed the weights")
	}
	if _, err := e.Step(weights, good(), grads); err != nil {
		t.Errorf("after all refusals: %v", err)
	}
}

// TestManyShapes goes through more shapes than are kept, and back.
func TestManyShapes(t *testing.T) {
	c := tinyConfig(t)
	g, err := nn.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := train.NewForward(g, model.NewWeights(g, 3))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]string{}
	for _, length := range []int{1, 2, 3, 4, 5, 6, 7, 1, 2, 7, 1} {
		out, err := f.Run(map[string]format.Tensor{"input_ids": format.FromInt64s("input_ids", []int{1, length}, make([]int64, length))})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(out["logits"].Data); seen[length] == "" {
			seen[length] = got
		} else if seen[length] != got {
			t.Errorf("length %d gives other logits the second time", length)
		}
		if n := train.KeptPrograms(f); n > 4 {
			t.Errorf("%d programs are kept", n)
		}
	}
}

// TestComputedIDs: what cannot be checked before the run is checked in it.
func TestComputedIDs(t *testing.T) {
	for want, build := range map[string]func(b *graph.Builder, ids *graph.Value) *graph.Value{
		"add_1[1] is 6: it must be from 0 to 5": func(b *graph.Builder, ids *graph.Value) *graph.Value {
			return b.Gather(b.Param("table", graph.Normal(1), 6, 2), b.Add(ids, ids))
		},
		"picked[1] is 6: it must be from 0 to 5": func(b *graph.Builder, ids *graph.Value) *graph.Value {
			return b.GatherElements(b.Param("table", graph.Normal(1), 6), b.Name("picked", b.Add(ids, ids)), 0)
		},
		"labels[1] is 6": func(b *graph.Builder, ids *graph.Value) *graph.Value {
			labels := b.Reshape(b.Add(ids, ids), graph.Numbers(1, 2)...)
			return b.SoftmaxCrossEntropyLoss(b.Param("table", graph.Normal(1), 1, 6, 2), labels, -100)
		},
		"division by the 0 at element 0": func(b *graph.Builder, ids *graph.Value) *graph.Value {
			b.Param("table", graph.Normal(1), 6)
			return b.Cast(b.Div(ids, b.Sub(ids, ids)), format.Float32)
		},
	} {
		b := graph.NewBuilder()
		b.Output("y", build(b, b.Input("ids", format.Int64, graph.N(2))))
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		f, err := train.NewForward(g, model.NewWeights(g, 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Run(map[string]format.Tensor{"ids": format.FromInt64s("ids", []int{2}, []int64{1, 3})})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
