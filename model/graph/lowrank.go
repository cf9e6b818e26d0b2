package graph

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// LowRank is a change of a matrix by the product of two of low rank (Hu and
// others 2021, "LoRA", arXiv:2106.09685): a product x·W becomes
// x·W + Scale·(x·Aᵀ)·Bᵀ, with A (rank,in) and B (out,rank).
type LowRank struct {
	Weight string // name of W
	A, B   string // names of the two
	Rank   int
	Scale  float64
}

// Factor is a weight that AddLowRank can change.
type Factor struct {
	Weight *Value // a parameter, what a matrix of integers stands for, or that matrix
	OutIn  bool   // it is (out,in) and not (in,out)
}

// Factors returns the weights that AddLowRank can change, in the order of the graph:
// matrices that are factors of products with a vector for each position, and nothing
// else.
func Factors(g *Graph) (all []Factor) {
	turned, other := map[*Value]bool{}, map[*Value]bool{}
	stored := expanded(g)
	summed := integerProducts(g, stored)
	for _, n := range g.Nodes {
		for i, a := range n.Args {
			if w, swapped := factor(n, i, stored); w != nil {
				turned[w] = swapped
			} else if _, ok := n.Op.(Transpose); !ok || len(a.Shape) != 2 {
				other[a] = true
			}
		}
	}
	for _, o := range g.Outputs {
		other[o.Value] = true
	}
	used := usedOtherwise(g, summed)
	for _, p := range summed {
		turned[p.weight], other[p.weight] = p.outIn, used[p.weight]
	}
	for v := range g.Values() {
		if swapped, ok := turned[v]; ok && !other[v] {
			all = append(all, Factor{v, swapped})
		}
	}
	return all
}

// Matrices returns the Factors by name, and whether they are (out,in).
func Matrices(g *Graph) map[string]bool {
	found := map[string]bool{}
	for _, f := range Factors(g) {
		found[f.Weight.Name] = f.OutIn
	}
	return found
}

// factor returns the weight that is the second factor of a product, and whether
// it is transposed first; nil if argument i is none. stored are the values that
// integers stand for.
func factor(n *Node, i int, stored map[*Value]bool) (w *Value, swapped bool) {
	switch op := n.Op.(type) {
	case MatMul:
	case Gemm:
		if op.TransA {
			return nil, false
		}
		swapped = op.TransB
	default:
		return nil, false
	}
	if i != 1 || integral(n.Results[0]) {
		return nil, false
	}
	w = n.Args[1]
	if t, ok := Is[Transpose](w); ok && len(t.Perm) == 2 && t.Perm[0] == 1 {
		w, swapped = w.Args()[0], !swapped
	}
	if _, ok := Is[Param](w); !ok && !stored[w] || len(w.Shape) != 2 {
		return nil, false
	}
	return w, swapped
}

// AddLowRank returns the pass that adds the changes, with their parameters.
func AddLowRank(all []LowRank) Pass {
	return func(g *Graph) (*Graph, error) {
		byWeight, stored := map[string]LowRank{}, expanded(g)
		matrices, summed := Matrices(g), integerProducts(g, stored)
		now := map[*Value]*Value{}
		for _, l := range all {
			if _, ok := matrices[l.Weight]; !ok {
				return nil, fmt.Errorf("graph: weight %.80q is no factor of products alone", l.Weight)
			}
			byWeight[l.Weight] = l
		}
		params := map[string][2]*Value{} // Aᵀ and Bᵀ
		return Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
			for i, a := range n.Args {
				now[a] = args[i]
			}
			w, swapped := factor(n, 1, stored)
			p, whole := summed[n]
			if whole {
				w, swapped = p.weight, p.outIn
			}
			if w == nil {
				return nil
			}
			l, ok := byWeight[w.Name]
			if !ok {
				return nil
			}
			in, out := w.Shape[0], w.Shape[1]
			if swapped {
				in, out = out, in
			}
			ab, ok := params[w.Name]
			if !ok {
				from, _ := in.Number()
				to, _ := out.Number()
				root := b.root()
				ab = [2]*Value{root.Param(l.A, Init{}, l.Rank, from), root.Param(l.B, Init{}, to, l.Rank)}
				for i := range ab {
					ab[i] = b.Transpose(ab[i], 1, 0)
				}
				params[w.Name] = ab
			}
			x := args[0]
			if whole {
				x = b.Mul(b.Cast(now[p.first], format.Float32), now[p.scale])
			}
			y := b.Apply(n.Op, 1, args...)[0]
			return []*Value{b.Add(y, b.Mul(b.MatMul(b.MatMul(x, ab[0]), ab[1]), b.Scalar(l.Scale)))}
		})
	}
}

// RemoveLowRank returns the pass that undoes AddLowRank.
func RemoveLowRank(all []LowRank) Pass {
	return func(g *Graph) (*Graph, error) {
		second := map[string]bool{}
		for _, l := range all {
			second[l.B] = true
		}
		change := func(v *Value) bool {
			if v.Op() != Op(Mul) {
				return false
			}
			m := v.Args()[0]
			if _, ok := Is[MatMul](m); !ok {
				return false
			}
			t := m.Args()[1]
			_, ok := Is[Transpose](t)
			return ok && second[t.Args()[0].Name]
		}
		out, err := Rewrite(g, func(_ *Builder, n *Node, args []*Value) []*Value {
			if n.Op == Op(Add) && change(n.Args[1]) {
				return args[:1]
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return Prune(out)
	}
}
