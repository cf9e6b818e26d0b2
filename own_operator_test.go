package attnx_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
	"github.com/attnx/attnx/runtime/ref"
)

// Mish is an operator that attnx does not have: x·tanh(softplus(x·Beta))
// (arXiv:1908.08681). This is all there is of it.
type Mish struct {
	Beta float64
}

func (Mish) Name() string { return "Mish" }

func (Mish) Infer(args []graph.Type) ([]graph.Type, error) {
	if len(args) != 1 || !args[0].DType.Float() {
		return nil, fmt.Errorf("it takes one floating-point argument")
	}
	return args, nil
}

func (m Mish) Decompose(b *graph.Builder, args []*graph.Value) []*graph.Value {
	soft := b.Apply(graph.Softplus, 1, b.Mul(args[0], b.Scalar(m.Beta)))[0]
	return []*graph.Value{b.Mul(args[0], b.Name("gate", b.Tanh(soft)))}
}

// ownNetwork looks up a row for each token, applies Mish, and scores every
// token.
func ownNetwork(t *testing.T) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder()
	b.Context(8)
	ids := b.InputFor(role.Of(role.Tokens), format.Int64, graph.Sym("B"), graph.Sym("T"))
	x := b.Gather(b.Param("wte", graph.Normal(1), 5, 4), ids)
	y := b.Name("active", b.Apply(Mish{Beta: 1.5}, 1, x)[0])
	b.OutputFor(role.Of(role.Logits), b.Name("logits", b.MatMul(y, b.Param("head", graph.Normal(1), 4, 5))))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func ids(name string, shape []int, x ...int64) format.Tensor {
	return format.FromInt64s(name, shape, x)
}

// An operator of a user's own is one definition: it is printed and parsed,
// decomposed, differentiated, evaluated, exported, run and trained like ours.
func TestOwnOperator(t *testing.T) {
	g := ownNetwork(t)
	weights := model.NewWeights(g, 1)
	tokens := map[string]format.Tensor{"input_ids": ids("input_ids", []int{2, 3}, 0, 1, 2, 3, 4, 0)}

	t.Run("text", func(t *testing.T) {
		var text, again strings.Builder
		if err := graph.Print(&text, g); err != nil {
			t.Fatal(err)
		}
		if want := "active F32(B,T,4) = Mish(gather_1) beta=1.5\n"; !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
		if _, err := graph.Parse(text.String()); err == nil || !strings.Contains(err.Error(), `no operator "Mish"`) {
			t.Errorf("parsed without the definition: %v", err)
		}
		parsed, err := graph.Parse(text.String(), Mish{})
		if err != nil {
			t.Fatal(err)
		}
		if err := graph.Print(&again, parsed); err != nil || again.String() != text.String() {
			t.Errorf("printed again\n%s\nwas\n%s", again.String(), text.String())
		}
		if graph.Fingerprint(parsed) != graph.Fingerprint(g) {
			t.Error("the fingerprint changes")
		}
		if op, ok := graph.Is[Mish](parsed.Lookup("active")); !ok || op.Beta != 1.5 {
			t.Errorf("the operator is %v", parsed.Lookup("active").Op())
		}
	})

	oracle, err := ref.New(g, weights)
	check(err)
	want, err := oracle.Run(tokens)
	check(err)

	t.Run("oracle", func(t *testing.T) {
		table, _ := weights[0].Float32s()
		head, _ := weights[1].Float32s()
		got, _ := want["logits"].Float64s()
		for i, id := range []int{0, 1, 2, 3, 4, 0} {
			for j := range 5 {
				sum := 0.0
				for k := range 4 {
					x := float64(table[4*id+k])
					sum += x * math.Tanh(math.Log1p(math.Exp(1.5*x))) * float64(head[5*k+j])
				}
				if math.Abs(got[5*i+j]-sum) > 1e-12 {
					t.Errorf("logit %d of token %d is %g, the formula gives %g", j, i, got[5*i+j], sum)
				}
			}
		}
	})

	t.Run("decomposition", func(t *testing.T) {
		d, err := graph.DecomposeAll(g)
		check(err)
		if d.Lookup("active.gate") == nil {
			t.Error("no value is called active.gate")
		}
		for _, n := range d.Nodes {
			if n.Op.Name() == "Mish" {
				t.Error("Mish is left")
			}
		}
	})

	t.Run("checkpoint", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "c")
		c := &model.Checkpoint{Arch: "own", Config: []byte(`{"model_type":"own"}`), Graph: g, Weights: weights}
		check(c.Save(path)) // with operators that its reader knows
		back, err := model.Load(path)
		check(err)
		again, err := ref.New(back.Graph, back.Weights)
		check(err)
		got, err := again.Run(tokens)
		check(err)
		if d := runtime.CompareWithin(1e-12, want["logits"], got["logits"]); !d.Within {
			t.Errorf("read back it computes something else: %s %v", d.Reason, d.FirstBad)
		}
	})

	t.Run("export", func(t *testing.T) {
		lib, err := library.FindOrInstall(context.Background(), "", nil)
		if err != nil {
			t.Skipf("ONNX Runtime is not here: %v", err)
		}
		data, err := export.Bytes(g, weights, export.Plain{})
		check(err)
		s, err := ort.OpenBytes(data, ort.Options{Library: lib.Path})
		check(err)
		defer s.Close()
		got, err := s.Run(tokens)
		check(err)
		if d := runtime.CompareWithin(1e-4, want["logits"], got["logits"]); !d.Within {
			t.Errorf("ONNX Runtime: %s %v", d.Reason, d.FirstBad)
		}
	})

	t.Run("training", func(t *testing.T) {
		loss, err := model.WithLoss(g)
		check(err)
		batch := train.TextBatch(2, 3, []int64{0, 1, 2, 3, 4, 0}, []int64{1, 2, 3, 4, 0, -100})
		engine, err := gorgonia.New(loss, gorgonia.Options{})
		check(err)
		defer engine.Close()
		derived, err := graph.Apply(loss, graph.Bind(map[string]int{"B": 2, "T": 3}), graph.Grad("loss"))
		check(err)
		learned := model.NewWeights(g, 1)
		first, last := 0.0, 0.0
		for step := range 60 {
			grads := make([]format.Tensor, len(learned))
			for i, w := range learned {
				grads[i] = format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements()))
			}
			value, err := engine.Step(learned, batch, grads)
			check(err)
			if step == 0 {
				first = value
				o, err := ref.New(derived, learned)
				check(err)
				exact, err := o.Run(map[string]format.Tensor{"input_ids": tokens["input_ids"], "labels": batch[role.Labels]})
				check(err)
				for _, g := range grads {
					name := role.GradientOf(g.Name).Name()
					if d := runtime.CompareWithin(1e-4, exact[name].WithName(name), g.WithName(name)); !d.Within {
						t.Errorf("%s: Gorgonia and the oracle differ: %s %v", name, d.Reason, d.FirstBad)
					}
				}
			}
			last = value
			for i, w := range learned {
				x, _ := w.Float32s()
				d, _ := grads[i].Float32s()
				for j := range x {
					x[j] -= 0.5 * d[j]
				}
				learned[i] = format.FromFloat32s(w.Name, w.Shape, x)
			}
		}
		if !(last < first/4) {
			t.Errorf("the loss is %g after 60 steps, was %g", last, first)
		}
	})
}
