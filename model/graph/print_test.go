package graph_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// networkText is network as Print should write it, line by line by hand; the
// hash is that of the float32 0.5, 00 00 00 3f.
var networkText = strings.TrimLeft(fmt.Sprintf(`
ids I64(B,T) = Input
table F32(5,4) = Param
x F32(B,T,4) = Gather(table, ids) axis=0
layer.scale F32(4) = Param
layer.bias F32(4) = Param
layer.layernormalization_1 F32(B,T,4) = LayerNormalization(x, layer.scale, layer.bias) epsilon=1e-05
layer.gelu_1 F32(B,T,4) = Gelu(layer.layernormalization_1)
layer.sum F32(B,T,4) = Add(layer.gelu_1, x)
unused F32(B,T,4) = Exp(x)
const.0.5 F32() = Const sha256=%x
mul_1 F32(B,T,4) = Mul(layer.sum, const.0.5)
output out = mul_1
`, sha256.Sum256([]byte{0, 0, 0, 0x3f})), "\n")

func TestPrint(t *testing.T) {
	if got := printed(t, mustGraph(t, network())); got != networkText {
		t.Errorf("printed\n%s\nwant\n%s", got, networkText)
	}
	if err := graph.Print(fullDisk{}, mustGraph(t, network())); !errors.Is(err, errFull) {
		t.Errorf("a failed write gives %v", err)
	}
}

var errFull = errors.New("disk full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

// Every attribute shows, so that no two graphs which compute different things
// print alike.
func TestPrintShowsAttributes(t *testing.T) {
	b := graph.NewBuilder()
	T := graph.Sym("T")
	x := b.Input("x", format.Float32, graph.N(2), graph.N(6), T)
	for _, c := range []struct {
		v    *graph.Value
		want string
	}{
		{b.Softmax(x, -1), "Softmax(x) axis=2"},
		{b.ReduceSum(x, true, 0, 1), "ReduceSum(x) axes=[0 1] keepdims=true"},
		{b.ReduceMean(x, false, -3), "ReduceMean(x) axes=[0] keepdims=false"},
		{b.Reshape(x, graph.N(12), T), "Reshape(x) shape=(12,T)"},
		{b.Transpose(x, 2, 0, 1), "Transpose(x) perm=[2 0 1]"},
		{b.Concat(1, x, x), "Concat(x, x) axis=1"},
		{b.Split(x, 1, 2, 4)[1], "Split(x) axis=1 sizes=[2 4] result=1"},
		{b.Slice(x, 1, graph.N(1), graph.N(3)), "Slice(x) axis=1 start=1 limit=3"},
		{b.Range(graph.Sym("P"), T.Add(graph.Sym("P"))), "Range() start=P limit=P+T"},
		{b.ConstantOfShape(-0.5, T, T), "ConstantOfShape() shape=(T,T) fill=-0.5"},
		{b.TriluUpper(x, T), "Trilu(x) upper=true k=T"},
	} {
		b.Output(c.v.Name, c.v)
		if text := printed(t, mustGraph(t, b)); !strings.Contains(text, " = "+c.want+"\n") {
			t.Errorf("%q is not in\n%s", c.want, text)
		}
	}
	y := b.Transpose(b.Reshape(x, graph.N(2), graph.N(3), graph.N(2), T), 0, 1, 3, 2)
	a := b.Attention(y, y, y, b.ConstantOfShape(0, T, T), 0.25)
	b.Output("a", a)
	b.Output("loss", b.SoftmaxCrossEntropyLoss(x, b.Input("labels", format.Int64, graph.N(2), T), -100))
	for _, want := range []string{" scale=0.25\n", " ignore_index=-100\n"} {
		if text := printed(t, mustGraph(t, b)); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestFingerprintIsTheHashOfThePrint(t *testing.T) {
	sum := sha256.Sum256([]byte(networkText))
	want := hex.EncodeToString(sum[:])
	for range 3 { // maps iterate in another order each time
		if got := graph.Fingerprint(mustGraph(t, network())); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestFingerprintSeesEveryChange(t *testing.T) {
	seen := map[string]string{graph.Fingerprint(mustGraph(t, network())): "nothing"}
	for name, change := range map[string]func(g *graph.Graph){
		"name":      func(g *graph.Graph) { g.Lookup("x").Name = "y" },
		"shape":     func(g *graph.Graph) { g.Inputs[0].Shape[0] = graph.Sym("N") },
		"type":      func(g *graph.Graph) { g.Inputs[0].DType = format.Int32 },
		"operator":  func(g *graph.Graph) { g.Lookup("unused").Op = graph.Log },
		"argument":  func(g *graph.Graph) { v := g.Lookup("layer.sum"); v.Args[0], v.Args[1] = v.Args[1], v.Args[0] },
		"attribute": func(g *graph.Graph) { g.Lookup("layer.layernormalization_1").Attr.Epsilon = 1e-6 },
		"constant": func(g *graph.Graph) {
			g.Lookup("const.0.5").Attr.Value = format.FromFloat32s("", []int{}, []float32{0.25})
		},
		"output":      func(g *graph.Graph) { g.Outputs[0].Value = g.Lookup("x") },
		"output name": func(g *graph.Graph) { g.Outputs[0].Name = "logits" },
	} {
		g := mustGraph(t, network())
		change(g)
		f := graph.Fingerprint(g)
		if other, taken := seen[f]; taken {
			t.Errorf("a change of %s gives the fingerprint of a change of %s", name, other)
		}
		seen[f] = name
	}
	// How a weight starts is no part of what the graph computes.
	g := mustGraph(t, network())
	g.Params[0].Attr.Init = graph.Constant(7)
	if seen[graph.Fingerprint(g)] != "nothing" {
		t.Error("the law of first weights changes the fingerprint")
	}
}
