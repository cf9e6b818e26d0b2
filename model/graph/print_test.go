package graph_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// networkText is network as Print should write it, line by line by hand.
var networkText = strings.TrimLeft(`
attnx graph 1
ids I64(B,T) = Input
table F32(5,4) = Param init=normal(0,0.02)
x F32(B,T,4) = Gather(table, ids) axis=0
layer.scale F32(4) = Param init=normal(1,0)
layer.bias F32(4) = Param init=normal(0,0)
layer.layernormalization_1 F32(B,T,4) = LayerNormalization(x, layer.scale, layer.bias) epsilon=1e-05
layer.gelu_1 F32(B,T,4) = Gelu(layer.layernormalization_1) approximate="tanh"
layer.sum F32(B,T,4) = Add(layer.gelu_1, x)
unused F32(B,T,4) = Exp(x)
const.0.5 F32() = Const value=[0.5]
mul_1 F32(B,T,4) = Mul(layer.sum, const.0.5)
output out = mul_1
`, "\n")

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
		{b.ReduceSum(x, true, 0, 1), "ReduceSum(x) axes=[0,1] keepdims=true"},
		{b.ReduceMean(x, false, -3), "ReduceMean(x) axes=[0] keepdims=false"},
		{b.Reshape(x, graph.N(12), T), "Reshape(x) shape=(12,T)"},
		{b.Transpose(x, 2, 0, 1), "Transpose(x) perm=[2,0,1]"},
		{b.Concat(1, x, x), "Concat(x, x) axis=1"},
		{b.Split(x, 1, 2, 4)[1], "Split(x) axis=1 sizes=[2,4]"},
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
	a := b.Attention(graph.Attention{Scale: 0.25}, y, y, y, b.ConstantOfShape(0, T, T))
	b.Output("a", a)
	b.Output("loss", b.SoftmaxCrossEntropyLoss(x, b.Input("labels", format.Int64, graph.N(2), T), -100))
	for _, want := range []string{" scale=0.25\n", " ignore_index=-100\n"} {
		if text := printed(t, mustGraph(t, b)); !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// What a graph computes is the same under other names of its intermediate
// values, in another order, with a value computed twice, and however weights
// start.
func TestFingerprintIsOfTheStructure(t *testing.T) {
	want := graph.Fingerprint(mustGraph(t, network()))
	for name, change := range map[string]func(g *graph.Graph){
		"nothing": func(*graph.Graph) {},
		"name":    func(g *graph.Graph) { g.Lookup("x").Name = "y" },
		"init":    func(g *graph.Graph) { g.Params[0].Node.Op = graph.Param{Init: graph.Constant(7)} },
		"unused":  func(g *graph.Graph) { g.Lookup("unused").Node.Op = graph.Log },
		"order": func(g *graph.Graph) {
			last := len(g.Nodes) - 1
			g.Nodes = append(append(slices.Clone(g.Nodes[:8]), g.Nodes[9], g.Nodes[8]), g.Nodes[last])
		},
		"computed twice": func(g *graph.Graph) {
			x := g.Lookup("x")
			twin := &graph.Value{Name: "twin", Type: x.Type}
			twin.Node = &graph.Node{Op: x.Op(), Args: x.Args(), Results: []*graph.Value{twin}}
			g.Lookup("layer.sum").Node.Args[1] = twin
			g.Nodes = slices.Insert(slices.Clone(g.Nodes), 3, twin.Node)
		},
	} {
		g := mustGraph(t, network())
		change(g)
		if err := graph.Verify(g); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := graph.Fingerprint(g); got != want {
			t.Errorf("%s: the fingerprint changes", name)
		}
	}
}

func TestFingerprintSeesEveryChange(t *testing.T) {
	seen := map[string]string{graph.Fingerprint(mustGraph(t, network())): "nothing"}
	for name, change := range map[string]func(g *graph.Graph){
		"context":    func(g *graph.Graph) { g.Context = 7 },
		"shape":      func(g *graph.Graph) { g.Inputs[0].Shape[0] = graph.Sym("N") },
		"type":       func(g *graph.Graph) { g.Inputs[0].DType = format.Int32 },
		"role":       func(g *graph.Graph) { g.Inputs[0].Node.Op = graph.Input{Role: role.Of(role.Tokens)} },
		"input name": func(g *graph.Graph) { g.Inputs[0].Name = "tokens" },
		"parameter":  func(g *graph.Graph) { g.Params[0].Name = "embedding" },
		"operator":   func(g *graph.Graph) { g.Lookup("layer.sum").Node.Op = graph.Sub },
		"argument": func(g *graph.Graph) {
			args := g.Lookup("layer.sum").Node.Args
			args[0], args[1] = args[1], args[0]
		},
		"attribute": func(g *graph.Graph) {
			g.Lookup("layer.layernormalization_1").Node.Op = graph.LayerNormalization{Epsilon: 1e-6}
		},
		"constant": func(g *graph.Graph) {
			g.Lookup("const.0.5").Node.Op = graph.Const{Value: format.FromFloat32s("", []int{}, []float32{0.25})}
		},
		"output":      func(g *graph.Graph) { g.Outputs[0].Value = g.Lookup("x") },
		"output name": func(g *graph.Graph) { g.Outputs[0].Name = "logits" },
		"output role": func(g *graph.Graph) { g.Outputs[0].Role = role.Of(role.Logits) },
	} {
		g := mustGraph(t, network())
		change(g)
		f := graph.Fingerprint(g)
		if other, taken := seen[f]; taken {
			t.Errorf("a change of %s gives the fingerprint of a change of %s", name, other)
		}
		seen[f] = name
	}
}

// Of an operator with several results each is another value.
func TestFingerprintSeesWhichResult(t *testing.T) {
	build := func(part int) string {
		b := graph.NewBuilder()
		b.Output("y", b.Split(b.Input("x", format.Float32, graph.N(4)), 0, 2, 2)[part])
		return graph.Fingerprint(mustGraph(t, b))
	}
	if build(0) == build(1) {
		t.Error("two parts of a Split have one fingerprint")
	}
}
