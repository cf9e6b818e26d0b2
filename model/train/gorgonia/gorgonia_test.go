package gorgonia_test

import (
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	attnx "github.com/attnx/attnx/runtime"
)

func firstWeights(g *graph.Graph) (weights model.Weights, grads []format.Tensor) {
	weights = model.NewWeights(g, 3)
	return weights, weights.Clone()
}

// TestDeterminism takes a step on one core and on several, twice each, with
// engines of their own: the same bits.
func TestDeterminism(t *testing.T) {
	c := gorgonia.TinyGPT2(t, 65)
	batch := randomBatch(12, c.Context(), c.Vocab(), 5)
	var first []string
	for _, cores := range []int{1, 2, 5, 1} {
		func() {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			e := newEngine(t, c.Graph, gorgonia.Options{})
			weights, grads := firstWeights(c.Graph)
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

// TestValueByValue compares every value inside the networks with the oracle.
func TestValueByValue(t *testing.T) {
	networks := map[string]nn.Network{"own": ownNetwork{Vocab: 65, Context: 16}}
	for _, name := range arch.Names() {
		networks[name] = gorgonia.PresetNetwork(t, "tiny", name, 65)
	}
	for name, network := range networks {
		for _, size := range [][2]int{{1, 1}, {3, 7}, {2, 16}} {
			c, err := model.Of(network)
			if err != nil {
				t.Fatal(err)
			}
			g, err := graph.MarkOutputs(c.Graph)
			if err != nil {
				t.Fatal(err)
			}
			weights := model.NewWeights(g, 3)
			f, err := gorgonia.NewForward(g, weights)
			if err != nil {
				t.Fatal(err)
			}
			oracle, err := openOracle(g, weights)
			if err != nil {
				t.Fatal(err)
			}
			batch := randomBatch(size[0], size[1], c.Vocab(), 9)
			inputs := map[string]format.Tensor{}
			for _, in := range g.Inputs {
				inputs[in.Name] = batch[role.Tokens]
				if in.Role().Kind != role.Tokens { // a mask with holes, and two segments
					inputs[in.Name] = alternating(in.Name, size[0], size[1])
				}
			}
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
			for value, w := range want {
				if d := attnx.CompareWithin(1e-4, w, got[value].WithName(value)); !d.Within {
					t.Errorf("%s %v: %s: %v", name, size, value, d.FirstBad)
				}
			}
		}
	}
}

// alternating returns integers (rows, columns) of 1 and 0, 1 at the beginning of
// each row.
func alternating(name string, rows, columns int) format.Tensor {
	x := make([]int64, rows*columns)
	for i := range x {
		if at := i % columns; at%3 == 0 || (i/columns+at)%2 == 0 {
			x[i] = 1
		}
	}
	return format.FromInt64s(name, []int{rows, columns}, x)
}

// TestNaN: a network whose weights are no numbers has such a loss, and nothing
// breaks.
func TestNaN(t *testing.T) {
	c := gorgonia.TinyGPT2(t, 65)
	e := newEngine(t, c.Graph, gorgonia.Options{})
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat32} {
		weights, grads := firstWeights(c.Graph)
		for _, w := range weights {
			x, err := w.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			for i := range x {
				x[i] = float32(bad)
			}
		}
		loss, err := e.Step(weights, randomBatch(2, 5, c.Vocab(), 1), grads)
		if err != nil || !math.IsNaN(loss) {
			t.Errorf("weights %g: loss %v, error %v", bad, loss, err)
		}
	}
	weights, grads := firstWeights(c.Graph)
	none := randomBatch(2, 5, c.Vocab(), 1)
	for i := range none[role.Labels].Elements() {
		set(t, none[role.Labels], i, model.IgnoreIndex)
	}
	if loss, err := e.Step(weights, none, grads); err != nil || !math.IsNaN(loss) {
		t.Errorf("no label that counts: loss %v, error %v", loss, err)
	}
}

// TestRefusals names what is wrong before anything is computed.
func TestRefusals(t *testing.T) {
	c := gorgonia.TinyGPT2(t, 65)
	e := newEngine(t, c.Graph, gorgonia.Options{})
	good := func() train.Batch { return randomBatch(2, 5, c.Vocab(), 1) }
	with := func(k role.Kind, i int, x int64) train.Batch {
		b := good()
		set(t, b[k], i, x)
		return b
	}
	weights, grads := firstWeights(c.Graph)
	before := weights.Clone()
	for i := range grads {
		clear(grads[i].Data)
	}
	for want, step := range map[string]func() error{
		"input_ids[1,2] is 65: it must be from 0 to 64": func() error {
			_, err := e.Step(weights, with(role.Tokens, 7, 65), grads)
			return err
		},
		"input_ids[0,0] is -1": func() error {
			_, err := e.Loss(weights, with(role.Tokens, 0, -1))
			return err
		},
		"labels[0,3] is 70": func() error {
			_, err := e.Step(weights, with(role.Labels, 3, 70), grads)
			return err
		},
		"labels[0,3] is -99": func() error {
			_, err := e.Step(weights, with(role.Labels, 3, -99), grads)
			return err
		},
		`"labels": I64[2 5] expects 80 bytes, has 72`: func() error {
			b := good()
			labels := b[role.Labels]
			labels.Data = labels.Data[8:]
			b[role.Labels] = labels
			_, err := e.Step(weights, b, grads)
			return err
		},
		`no tensor for the input "input_ids"`: func() error {
			_, err := e.Step(weights, train.Batch{}, grads)
			return err
		},
		"the batch is empty": func() error {
			_, err := e.Step(weights, train.TextBatch(0, 5, nil, nil), grads)
			return err
		},
		`"labels" is F32, expects I64`: func() error {
			b := good()
			b[role.Labels] = format.FromFloat32s("labels", []int{2, 5}, make([]float32, 10))
			_, err := e.Step(weights, b, grads)
			return err
		},
		"the batch has 3 tensors, the graph takes 2": func() error {
			b := good()
			b[role.AttentionMask] = b[role.Tokens]
			_, err := e.Step(weights, b, grads)
			return err
		},
		`input "labels" has shape [2 4], but T is 5 elsewhere`: func() error {
			b := good()
			b[role.Labels] = format.FromInt64s("labels", []int{2, 4}, make([]int64, 8))
			_, err := e.Step(weights, b, grads)
			return err
		},
		`weight "wpe.weight": the network has "wte.weight" in its place`: func() error {
			_, err := e.Step(weights[1:], good(), grads)
			return err
		},
		`weight "ln_f.bias": it is missing`: func() error {
			_, err := e.Step(weights[:len(weights)-1], good(), grads)
			return err
		},
		`weight "more": the network has no such weight`: func() error {
			_, err := e.Step(append(weights[:len(weights):len(weights)], weights[0].WithName("more")), good(), grads)
			return err
		},
		"out of their order": func() error {
			_, err := e.Step(weights, good(), []format.Tensor{grads[1], grads[0]})
			return err
		},
		`weight "h.0.ln_1.weight": the network has "wte.weight" in its place`: func() error {
			bad := weights.Clone()
			bad[2], bad[0] = bad[0], bad[2]
			_, err := e.Step(bad, good(), grads)
			return err
		},
		"axis 0": func() error { // longer than the context
			_, err := e.Step(weights, randomBatch(1, c.Context()+1, c.Vocab(), 1), grads)
			return err
		},
		"expects I64": func() error {
			f, err := gorgonia.NewForward(c.Graph, weights)
			if err != nil {
				return err
			}
			_, err = f.Run(map[string]format.Tensor{"input_ids": format.FromFloat32s("input_ids", []int{1, 1}, []float32{1})})
			return err
		},
		"is missing": func() error {
			f, err := gorgonia.NewForward(c.Graph, weights)
			if err != nil {
				return err
			}
			_, err = f.Run(nil)
			return err
		},
		"no scalar output \"loss\"": func() error {
			_, err := gorgonia.New(c.Graph, gorgonia.Options{})
			return err
		},
		"is closed": func() error {
			e := newEngine(t, c.Graph, gorgonia.Options{})
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
	c := gorgonia.TinyGPT2(t, 65)
	f, err := gorgonia.NewForward(c.Graph, model.NewWeights(c.Graph, 3))
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
		if n := gorgonia.KeptPrograms(f); n > 4 {
			t.Errorf("%d programs are kept", n)
		}
	}
}

// plain is an operator of a user's own that nothing decomposes.
type plain struct{}

func (plain) Name() string                                  { return "Plain" }
func (plain) Infer(args []graph.Type) ([]graph.Type, error) { return args, nil }

// TestUnknownOperator: what the engine cannot compute is said before a run, with
// the value.
func TestUnknownOperator(t *testing.T) {
	b := graph.NewBuilder()
	b.Output("y", b.Name("odd", b.Apply(plain{}, 1, b.Param("x", graph.Normal(1), 2))[0]))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	f, err := gorgonia.NewForward(g, model.NewWeights(g, 1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Run(nil)
	if want := `Plain is not supported by the Gorgonia engine (value "odd")`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestLargeConstants: what is too large to be computed ahead is computed.
func TestLargeConstants(t *testing.T) {
	const n = 1<<20 + 1
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32)
	last := func(v *graph.Value) *graph.Value { return b.Slice(v, 0, graph.N(n-1), graph.N(n)) }
	b.Output("filled", last(b.Mul(x, b.ConstantOfShape(2.5, graph.N(n)))))
	b.Output("counted", last(b.Add(b.Cast(b.Range(graph.N(3), graph.N(n+3)), format.Float32), x)))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	f, err := gorgonia.NewForward(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		out, err := f.Run(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{}, []float32{2})})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float32{"filled": 5, "counted": n + 2 + 2} {
			if got, err := out[name].Float32s(); err != nil || len(got) != 1 || got[0] != want {
				t.Errorf("%s ends with %v (%v), want %v", name, got, err, want)
			}
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
		"ids[1] is 3: it must be from 0 to 2": func(b *graph.Builder, ids *graph.Value) *graph.Value { // before the run: an input
			return b.Apply(graph.Gather{Axis: 1}, 1, b.Param("table", graph.Normal(1), 6, 3), ids)[0]
		},
		"columns[1] is 6: it must be from 0 to 2": func(b *graph.Builder, ids *graph.Value) *graph.Value {
			return b.Apply(graph.Gather{Axis: 1}, 1, b.Param("table", graph.Normal(1), 7, 3), b.Name("columns", b.Add(ids, ids)))[0]
		},
		"classes[1] is 6: it must be from 0 to 5": func(b *graph.Builder, ids *graph.Value) *graph.Value {
			b.Param("table", graph.Normal(1), 6)
			return b.OneHot(b.Name("classes", b.Add(ids, ids)), 6)
		},
		"places[0] is 2: it must be from 0 to 1": func(b *graph.Builder, ids *graph.Value) *graph.Value {
			return b.ScatterElements(b.ConstantOfShape(0, graph.N(2)), b.Name("places", b.Add(ids, ids)), b.Param("table", graph.Normal(1), 2), 0)
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
		f, err := gorgonia.NewForward(g, model.NewWeights(g, 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Run(map[string]format.Tensor{"ids": format.FromInt64s("ids", []int{2}, []int64{1, 3})})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// set writes an element of a tensor of integers.
func set(t *testing.T, x format.Tensor, i int, to int64) {
	t.Helper()
	e, err := x.Int64s()
	if err != nil {
		t.Fatal(err)
	}
	e[i] = to
}
