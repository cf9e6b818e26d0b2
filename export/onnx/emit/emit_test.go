package emit_test

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx/emit"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// lstm returns the graph of an LSTM over three steps of width 2.
func lstm(t *testing.T, quantized bool) (*graph.Graph, []format.Tensor) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(3), graph.N(1), graph.N(2))
	var weights []format.Tensor
	weight := func(name string, shape ...int) *graph.Value {
		n, _ := format.Elements(shape)
		w, _, err := format.FromFloat64s(name, shape, make([]float64, n)).Convert(format.Float32)
		if err != nil {
			t.Fatal(err)
		}
		weights = append(weights, w)
		return b.Weight(name, format.Float32, shape...)
	}
	op := graph.LSTM{Quantized: quantized, Activations: "Sigmoid Tanh Tanh"}
	h, c := weight("h", 1, 2), weight("c", 1, 2)
	b.Output("y", b.Apply(op, 1, x, weight("w", 8, 2), weight("r", 8, 2), weight("b", 16), b.Unending(graph.N(1)), h, c, weight("p", 6))[0])
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g, weights
}

// An LSTM is one node. A quantized one, which ONNX Runtime reads from files of others,
// rounds its factors as no operator of the standard does, and is refused by that name:
// written as an LSTM it would compute something else.
func TestQuantizedLSTM(t *testing.T) {
	for _, quantized := range []bool{false, true} {
		g, weights := lstm(t, quantized)
		lowered, err := emit.Lower(g)
		if err == nil {
			_, err = lowered.Model(weights, emit.Form{Opset: 21})
		}
		if !quantized {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "RoundTo8Bits") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
	}
}

// Every initializer that is written has a reader: ONNX Runtime warns of others.
func TestNoUnusedInitializer(t *testing.T) {
	b := graph.NewBuilder()
	b.Input("x", format.Float32, graph.Sym("n"))
	b.Output("y", b.Range(graph.N(0), graph.Sym("n")))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	lowered, err := emit.Lower(g)
	if err != nil {
		t.Fatal(err)
	}
	m, err := lowered.Model(nil, emit.Form{Opset: 21})
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		for _, in := range n.Inputs {
			used[in] = true
		}
	}
	for _, w := range m.Graph.Initializers {
		if !used[w.Name] {
			t.Errorf("nothing reads %s", w.Name)
		}
	}
	if len(m.Graph.Initializers) < 3 {
		t.Errorf("%d initializers", len(m.Graph.Initializers))
	}
}
