package exprgraph

import (
	"math"
	"slices"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// unaries are the functions of one argument, by what they print.
var unaries = map[string]func(n *node, x *graph.Value) *graph.Value{
	"abs": of(graph.Abs), "ceil": of(graph.Ceil), "floor": of(graph.Floor), "sin": of(graph.Sin), "cos": of(graph.Cos),
	"exp": of(graph.Exp), "ln": of(graph.Log), "neg": of(graph.Neg), "sqrt": of(graph.Sqrt), "inv": of(graph.Reciprocal),
	"tanh": of(graph.Tanh), "sigmoid": of(graph.Sigmoid), "softplus": of(graph.Softplus),
	"sign":    sign,
	"square":  func(n *node, x *graph.Value) *graph.Value { return n.b.Mul(x, x) },
	"cube":    func(n *node, x *graph.Value) *graph.Value { return n.b.Mul(n.b.Mul(x, x), x) },
	"invSqrt": func(n *node, x *graph.Value) *graph.Value { return n.b.Reciprocal(n.b.Sqrt(x)) },
	"log2":    func(n *node, x *graph.Value) *graph.Value { return n.b.Div(n.b.Log(x), n.like(x, math.Ln2)) },
	"log1p":   func(n *node, x *graph.Value) *graph.Value { return n.b.Log(n.b.Add(x, n.like(x, 1))) },
	"expm1":   func(n *node, x *graph.Value) *graph.Value { return n.b.Sub(n.b.Exp(x), n.like(x, 1)) },
}

func of(f graph.Unary) func(n *node, x *graph.Value) *graph.Value {
	return func(n *node, x *graph.Value) *graph.Value { return n.apply(f, x) }
}

// sign of a scalar is 1 for 0 in Gorgonia, of a tensor it is 0.
func sign(n *node, x *graph.Value) *graph.Value {
	if n.bool("argTensor") {
		return n.b.Sign(x)
	}
	return n.b.Where(n.b.Less(x, n.like(x, 0)), n.like(x, -1), n.like(x, 1))
}

func readUnary(n *node) *graph.Value {
	f, ok := unaries[n.text()]
	if !ok {
		n.refuse("end the network before it", "attnx does not read the function %.40q", n.text())
	}
	return f(n, n.arg(0))
}

// binaries are the functions of two arguments, by what they print.
var binaries = map[string]graph.Binary{
	"+": graph.Add, "-": graph.Sub, "⊙": graph.Mul, "÷": graph.Div, "^": graph.Pow,
	"<": graph.Less, ">": graph.Greater, "<=": graph.LessOrEqual, ">=": graph.GreaterOrEqual, "==": graph.Equal, "!=": graph.Equal,
}

// symbol returns the function of an elemBinOp: "+". It prints retSame behind it.
func symbol(op gorgonia.Op) string {
	s, _, _ := strings.Cut(printed(op), " ")
	return s
}

func readBinary(n *node) *graph.Value {
	if x := n.rectified(n.node); x != nil {
		return n.b.Relu(n.value(x))
	}
	name := symbol(n.node.Op())
	f, ok := binaries[name]
	if !ok {
		n.refuse("end the network before it", "attnx does not read the function %.40q", name)
	}
	v := n.binary(f)
	if name == "!=" {
		v = n.b.Not(v)
	}
	if v.DType == format.Bool && n.bool("retSame") {
		v = n.b.Cast(v, n.dtype(n.node))
	}
	return v
}

// binary records a function of both arguments. In Gorgonia only a scalar is
// repeated. A vector, a column and a row of the same length are the same to it,
// where ONNX would broadcast. The node then has the shape of the argument with more
// dimensions, the value that of the first.
func (n *node) binary(f graph.Binary) *graph.Value {
	if v := n.broadcast(f, 0); v != nil {
		return v
	}
	if v := n.broadcast(f, 1); v != nil {
		return v
	}
	x, y := n.arg(0), n.arg(1)
	if !x.Shape.Equal(y.Shape) && len(x.Shape) > 0 && len(y.Shape) > 0 {
		if first := n.concrete(x.Shape); !slices.Equal(first, n.shape()) {
			n.refuse("reshape the first argument", "Gorgonia gives the node the shape %v and its value the shape %v", n.shape(), first)
		}
		y = n.fit(y)
	}
	return n.apply(f, x, y)
}

// broadcast records a function whose argument i is repeated to the shape of the other
// one, and need not be. It returns nil if that is not so.
func (n *node) broadcast(f graph.Binary, i int) *graph.Value {
	x, is := n.repeats[n.args[i]]
	if _, both := n.repeats[n.args[1-i]]; !is || both || n.values[n.args[i]] != nil {
		return nil
	}
	y := n.arg(1 - i)
	if !y.Shape.Equal(x.to) {
		return nil
	}
	if i == 0 {
		return n.apply(f, x.value, y)
	}
	return n.apply(f, y, x.value)
}

// rectified returns the argument of gorgonia.Rectify if n is its result, x ⊙ (x ≥ 0):
// nil otherwise.
func (r *reading) rectified(n *gorgonia.Node) *gorgonia.Node {
	if !isElementwise(n.Op(), "⊙") {
		return nil
	}
	args := r.children(n)
	if len(args) != 2 || !isElementwise(args[1].Op(), ">=") || !structOf(args[1].Op()).FieldByName("retSame").Bool() {
		return nil
	}
	compared := r.children(args[1])
	if len(compared) != 2 || compared[0] != args[0] || !r.dtype(args[0]).Float() || compared[1].Op() == nil {
		return nil
	}
	zero := r.node(compared[1])
	if !zero.constant() || len(zero.shape()) > 0 {
		return nil
	}
	x, err := r.tensor(compared[1], compared[1].Value(), []int{}).AsFloat64s()
	if err != nil || !slices.Equal(x, []float64{0}) {
		return nil
	}
	return args[0]
}

// isElementwise reports whether op is the elemBinOp that prints symbol.
func isElementwise(op gorgonia.Op, text string) bool {
	return op != nil && typeName(structOf(op)) == "elemBinOp" && symbol(op) == text
}
