package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
)

// DropoutInput begins the names of the inputs that AddDropout adds.
const DropoutInput = "dropout."

// Dropout is its argument, of which a step of training drops elements with the
// probability Ratio: see DropMasks.
type Dropout struct{ Ratio float64 }

// Name returns "Dropout".
func (Dropout) Name() string { return "Dropout" }

// Infer returns the type of the argument.
func (d Dropout) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if !(d.Ratio > 0 && d.Ratio < 1) {
		return nil, fmt.Errorf("a ratio of %g, expected more than 0 and less than 1", d.Ratio)
	}
	return args, expectFloat(args[0])
}

// Decompose implements Composite: nothing is dropped.
func (Dropout) Decompose(b *Builder, args []*Value) []*Value {
	return []*Value{b.Identity(args[0])}
}

// Ratios returns the probabilities of the Dropout nodes of a graph, in order: those of
// the masks of DropMasks.
func Ratios(g *Graph) (all []float64) {
	for _, n := range g.Nodes {
		if d, ok := n.Op.(Dropout); ok {
			all = append(all, d.Ratio)
		}
	}
	return all
}

// DropMasks is the pass that multiplies the argument of each Dropout by a mask, which is
// an input after the others. An element of a mask is 0 or 1/(1-ratio).
func DropMasks(g *Graph) (*Graph, error) {
	if Ratios(g) == nil {
		return g, nil
	}
	masks := 0
	return Rewrite(inputsFirst(g), func(b *Builder, n *Node, args []*Value) []*Value {
		if _, ok := n.Op.(Dropout); !ok {
			return nil
		}
		masks++
		return []*Value{b.Mul(args[0], b.root().Input(fmt.Sprintf("%s%d", DropoutInput, masks-1), args[0].DType, args[0].Shape...))}
	})
}

// inputsFirst returns the graph with its inputs before all else, so that they keep their
// numbers if others come.
func inputsFirst(g *Graph) *Graph {
	moved := *g
	isInput := func(n *Node) bool { _, ok := n.Op.(Input); return ok }
	moved.Nodes = nil
	for _, first := range []bool{true, false} {
		for _, n := range g.Nodes {
			if isInput(n) == first {
				moved.Nodes = append(moved.Nodes, n)
			}
		}
	}
	return &moved
}

// AddDropout returns the pass that multiplies what dropout applies to by masks, which
// are inputs after the others: the sum of the embeddings, what each branch adds to
// its residual stream, and the probabilities of attention, as in the networks of
// transformers (Srivastava and others 2014; Vaswani and others 2017, section 5.4).
// An element of a mask is 0 or 1/(1-p). A network without any of these is an error.
func AddDropout(g *Graph) (*Graph, error) {
	moved := inputsFirst(g)
	dropped := branches(moved)
	masks, before := 0, 0
	for _, in := range g.Inputs {
		if strings.HasPrefix(in.Name, DropoutInput) { // of DropMasks
			before++
		}
	}
	out, err := Rewrite(moved, func(b *Builder, n *Node, args []*Value) []*Value {
		drop := func(v *Value) *Value {
			masks++
			return b.Mul(v, b.root().Input(fmt.Sprintf("%s%d", DropoutInput, before+masks-1), v.DType, v.Shape...))
		}
		if a, ok := n.Op.(Attention); ok {
			p := a.parts(b, args)
			p.probs = drop(p.probs)
			return a.output(b, p, args)
		}
		switch i := dropped[n]; i {
		case 1, 2:
			args = slices.Clone(args)
			args[i-1] = drop(args[i-1])
			return b.Apply(n.Op, 1, args...)
		case sumOfEmbeddings:
			return []*Value{drop(b.Apply(n.Op, 1, args...)[0])}
		}
		return nil
	})
	if err == nil && masks == 0 {
		return nil, fmt.Errorf("dropout applies to attention, and to branches beside a residual stream: the network has neither")
	}
	return out, err
}

const sumOfEmbeddings = 3

// branches returns the sums of residual streams, with which argument, 1 or 2, is the
// branch; and those of embeddings.
func branches(g *Graph) map[*Node]int {
	product := map[*Value]bool{} // values that depend on a product
	depends := func(from, on *Value) bool {
		seen := map[*Value]bool{}
		stack := []*Value{from}
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if v == on {
				return true
			}
			if seen[v] || v.Leaf() {
				continue
			}
			seen[v] = true
			stack = append(stack, v.Args()...)
		}
		return false
	}
	found := map[*Node]int{}
	embeddings := map[*Value]*Node{}
	for _, n := range g.Nodes {
		name := n.Op.Name()
		inside := name == "MatMul" || name == "Gemm" || name == "Attention" || name == "Conv"
		for _, a := range n.Args {
			inside = inside || product[a]
		}
		for _, r := range n.Results {
			product[r] = inside
		}
		if n.Op != Op(Add) || !n.Results[0].DType.Float() || len(n.Results[0].Shape) < 2 {
			continue
		}
		x, y := n.Args[0], n.Args[1]
		switch {
		case x.Leaf() || y.Leaf():
		case !inside && n.Results[0].DType == format.Float32 && len(n.Results[0].Shape) == 3:
			for _, a := range n.Args {
				delete(found, embeddings[a]) // only the last sum
			}
			found[n], embeddings[n.Results[0]] = sumOfEmbeddings, n
		case !inside || !x.Shape.Equal(y.Shape):
		case product[y] && depends(y, x):
			found[n] = 2
		case product[x] && depends(x, y):
			found[n] = 1
		}
	}
	return found
}
