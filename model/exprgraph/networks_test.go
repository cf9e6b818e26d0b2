package exprgraph_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	. "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/model/exprgraph"
	"github.com/attnx/attnx/model/graph"
)

// The networks of these tests are written as Gorgonia's users write them. batch
// is the number of samples.

// mlp is a perceptron with a hidden layer.
func mlp(s *source, batch int) *Node {
	w0, b0 := s.weight("w0", -1, 1, 4, 6), s.weight("b0", -1, 1, 1, 6)
	w1, b1 := s.weight("w1", -1, 1, 6, 3), s.weight("b1", -1, 1, 1, 3)
	x := s.input("x", -1, 1, batch, 4)
	h := must(Tanh(must(BroadcastAdd(must(Mul(x, w0)), b0, nil, []byte{0}))))
	return must(SoftMax(must(BroadcastAdd(must(Mul(h, w1)), b1, nil, []byte{0}))))
}

// cnn is Gorgonia's example convnet, smaller and with a normalization.
func cnn(s *source, batch int) *Node {
	w0, w1 := s.weight("w0", -0.5, 0.5, 4, 1, 3, 3), s.weight("w1", -0.5, 0.5, 6, 4, 3, 3)
	w2, w3 := s.weight("w2", -0.5, 0.5, 6*2*2, 5), s.weight("w3", -0.5, 0.5, 5, 3)
	bias := s.weight("bias", -0.5, 0.5, 1, 4, 1, 1)
	scale, shift := s.weight("scale", 0.5, 1, 1, 6, 1, 1), s.weight("shift", -0.5, 0.5, 1, 6, 1, 1)
	mean, variance := s.dense(-0.5, 0.5, 6), s.dense(0.5, 2, 6)
	x := s.input("x", -1, 1, batch, 1, 8, 8)
	c0 := must(Conv2d(x, w0, tensor.Shape{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1}))
	a0 := must(Rectify(must(BroadcastAdd(c0, bias, nil, []byte{0, 2, 3}))))
	p0 := must(Dropout(must(MaxPool2D(a0, tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2})), 0.2))
	c1 := must(Conv2d(p0, w1, tensor.Shape{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1}))
	n1, _, _, op, err := BatchNorm(c1, scale, shift, 0.9, 0.1)
	if err != nil {
		panic(err)
	}
	if err := op.SetStats(mean, variance); err != nil {
		panic(err)
	}
	p1 := must(MaxPool2D(must(Rectify(n1)), tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
	d := p1.Shape()
	flat := must(Reshape(p1, tensor.Shape{d[0], d[1] * d[2] * d[3]}))
	return must(SoftMax(must(Mul(must(Rectify(must(Mul(flat, w2)))), w3))))
}

// pools has the operators of images that cnn lacks.
func pools(s *source, batch int) *Node {
	w := s.weight("w", -0.5, 0.5, 3, 2, 3, 2)
	x := s.input("x", -1, 1, batch, 2, 9, 7)
	y := must(LeakyRelu(must(Conv2d(x, w, tensor.Shape{3, 2}, []int{1, 0}, []int{2, 1}, []int{1, 2})), 0.1))
	y = must(AveragePool2D(y, tensor.Shape{2, 3}, []int{1, 1}, []int{1, 2}))
	y = must(MaxPool2D(must(Upsample2D(y, 2)), tensor.Shape{3, 3}, []int{1, 0, 0, 1}, []int{2, 2}))
	return must(Reshape(must(GlobalAveragePool2D(y)), tensor.Shape{batch, 3}))
}

// attention is a block of a transformer: embeddings of ids, one head for each of two
// parts of the features, a residual, layer normalization, and scores of the last
// dimension.
func attention(s *source, batch int) *Node {
	const tokens, width, heads, vocab = 5, 8, 2, 11
	table, places := s.weight("embedding", -1, 1, vocab, width), s.weight("places", -1, 1, 1, tokens, width)
	wq, wk := s.weight("wq", -0.5, 0.5, width, width), s.weight("wk", -0.5, 0.5, width, width)
	wv, wo := s.weight("wv", -0.5, 0.5, width, width), s.weight("wo", -0.5, 0.5, width, width)
	gain, shift := s.weight("gain", 0.5, 1, 1, width), s.weight("shift", -0.5, 0.5, 1, width)
	head := s.weight("head", -0.5, 0.5, width, vocab)

	ids := s.ids("ids", vocab, batch, tokens)
	x := must(Reshape(must(ByIndices(table, must(Ravel(ids)), 0)), tensor.Shape{batch, tokens, width}))
	x = must(BroadcastAdd(x, places, nil, []byte{0}))
	rows := must(Reshape(x, tensor.Shape{batch * tokens, width}))
	split := func(w *Node) *Node { // (batch,heads,tokens,width/heads)
		y := must(Reshape(must(Mul(rows, w)), tensor.Shape{batch, tokens, heads, width / heads}))
		return must(Transpose(y, 0, 2, 1, 3))
	}
	q, k, v := split(wq), split(wk), split(wv)
	scores := must(HadamardDiv(must(BatchedMatMul(q, k, false, true)), s.constant(math.Sqrt(width/heads))))
	mixed := must(Transpose(must(BatchedMatMul(must(SoftMax(scores, 3)), v)), 0, 2, 1, 3))
	y := must(Add(rows, must(Mul(must(Reshape(mixed, tensor.Shape{batch * tokens, width})), wo))))
	return must(Mul(layerNorm(s, y, gain, shift), head))
}

// layerNorm normalizes each row of a matrix.
func layerNorm(s *source, x, gain, shift *Node) *Node {
	column := func(f func(x *Node, along ...int) (*Node, error), x *Node) *Node {
		return must(KeepDims(x, false, func(x *Node) (*Node, error) { return f(x, 1) }))
	}
	d := must(BroadcastSub(x, column(Mean, x), nil, []byte{1}))
	deviation := must(Sqrt(must(Add(column(Mean, must(Square(d))), s.constant(1e-5)))))
	y := must(BroadcastHadamardDiv(d, deviation, nil, []byte{1}))
	return must(BroadcastAdd(must(BroadcastHadamardProd(y, gain, nil, []byte{0})), shift, nil, []byte{0}))
}

var networks = map[string]func(s *source, batch int) *Node{"mlp": mlp, "cnn": cnn, "pools": pools, "attention": attention}

func TestNetworks(t *testing.T) {
	for name, network := range networks {
		for _, of := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			t.Run(fmt.Sprint(name, "/", of), func(t *testing.T) {
				s := newSource(of, 3)
				out := network(s, 4)
				c := agrees(t, s, out)
				for _, p := range c.Graph.Params {
					if strings.HasPrefix(p.Name, "weight") || strings.HasPrefix(p.Name, "param") {
						t.Errorf("a weight is called %s", p.Name)
					}
				}
			})
		}
	}
}

// operators returns how many nodes of each operator a graph has.
func operators(g *graph.Graph) map[string]int {
	count := map[string]int{}
	for _, n := range g.Nodes {
		count[n.Op.Name()]++
	}
	return count
}

// What Gorgonia makes of several nodes is one operator of the graph.
func TestConvolutionIsOneOperator(t *testing.T) {
	s := newSource(tensor.Float32, 3)
	c := agrees(t, s, cnn(s, 2))
	count := operators(c.Graph)
	if count["Conv"] != 2 || count["Relu"] != 3 || count["MaxPool"] != 2 || count["BatchNormalization"] != 1 || count["Transpose"] != 0 || count["Dropout"] != 0 {
		t.Errorf("its operators are %v", count)
	}
}

// A network with a named batch computes at another batch what the same network
// computes that Gorgonia makes for it.
func TestNamedDimension(t *testing.T) {
	for name, network := range networks {
		for _, sizes := range [][2]int{{3, 7}, {7, 3}, {2, 1}, {13, 4}} {
			t.Run(fmt.Sprint(name, sizes), func(t *testing.T) {
				made, run := newSource(tensor.Float64, 3), newSource(tensor.Float64, 3)
				out := network(made, sizes[0])
				x := made.inputs[0]
				dims := make([]string, len(x.Shape()))
				dims[0] = "B"
				c, err := exprgraph.Read(exprgraph.Network{Inputs: made.inputs, Outputs: Nodes{out}, Dims: map[*Node][]string{x: dims}})
				if err != nil {
					t.Fatal(err)
				}
				other := network(run, sizes[1])
				in := given(run.inputs)
				want, err := byGorgonia(run.g, Nodes{other})
				if err != nil {
					t.Fatal(err)
				}
				same(t, c, in, want, 1e-9)
			})
		}
	}
}
