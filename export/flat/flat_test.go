package flat_test

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/flat"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime/ref"
)

// network returns the graph of a network on ids (B,T): an embedding, what mix makes of it
// (B,T,2), and a head.
func network(t *testing.T, mix func(b *graph.Builder, x *graph.Value) *graph.Value) (*graph.Graph, []format.Tensor) {
	t.Helper()
	b := graph.NewBuilder()
	var weights []format.Tensor
	weight := func(name string, shape ...int) *graph.Value {
		n, _ := format.Elements(shape)
		values := make([]float64, n)
		for i := range values {
			values[i] = math.Sin(float64(7*i + len(weights)))
		}
		w, _, err := format.FromFloat64s(name, shape, values).Convert(format.Float32)
		if err != nil {
			t.Fatal(err)
		}
		weights = append(weights, w)
		return b.Weight(name, format.Float32, shape...)
	}
	ids := b.InputFor(role.Of(role.Tokens), format.Int64, graph.Sym("B"), graph.Sym("T"))
	x := mix(b, b.Gather(weight("wte", 5, 2), ids))
	b.OutputFor(role.Of(role.Logits), b.MatMul(x, weight("head", 2, 5)))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g, weights
}

// The flat graph has no ids, and gives the logits of the network for the same tokens.
func TestWrite(t *testing.T) {
	g, weights := network(t, func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Relu(b.Add(x, b.Mul(x, x))) })
	f, flatWeights, err := flat.Write(g, weights, 3)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := ref.New(g, weights)
	if err != nil {
		t.Fatal(err)
	}
	matrices, err := ref.New(f, flatWeights)
	if err != nil {
		t.Fatal(err)
	}
	tokens := []int64{4, 0, 2}
	hot := make([]float64, 15)
	for i, id := range tokens {
		hot[5*i+int(id)] = 1
	}
	name := role.Of(role.Logits).Name()
	want, err := whole.Run(map[string]format.Tensor{role.Of(role.Tokens).Name(): format.FromInt64s("", []int{1, 3}, tokens)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := matrices.Run(map[string]format.Tensor{flat.OneHotInput: format.FromFloat64s("", []int{3, 5}, hot)})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := want[name].AsFloat64s()
	b, err := got[name].AsFloat64s()
	if err != nil || len(a) != len(b) {
		t.Fatalf("%v: %v and %v", err, got[name].Shape, want[name].Shape)
	}
	for i := range a {
		if math.Abs(a[i]-b[i]) > 1e-12 {
			t.Errorf("logit %d is %g, expected %g", i, b[i], a[i])
		}
	}
}

// Tokens that are mixed other than by a product are refused, with the value's name.
func TestWriteRefuses(t *testing.T) {
	g, weights := network(t, func(b *graph.Builder, x *graph.Value) *graph.Value {
		return b.Name("mixed", b.Apply(graph.CumSum{Axis: 1}, 1, x)[0])
	})
	if _, _, err := flat.Write(g, weights, 3); err == nil || !strings.Contains(err.Error(), "mixed") || !strings.Contains(err.Error(), "flat") {
		t.Errorf("got %v", err)
	}
}
