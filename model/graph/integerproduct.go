package graph

import "github.com/attnx/attnx/format"

// integerProduct is a product that is computed in integers, as MatMulInteger of ONNX
// has it, and scaled to float32 afterwards: the sums of (x-zero)·(w-zero), times the
// product of the two scales.
type integerProduct struct {
	first  *Value // x-zero, INT32
	scale  *Value // of x
	weight *Value // the matrix w of integers
	outIn  bool
	way    []*Node // from the matrix to the product
}

// integerProducts finds them by the node that scales.
func integerProducts(g *Graph, stored map[*Value]bool) map[*Node]integerProduct {
	found := map[*Node]integerProduct{}
	for _, n := range g.Nodes {
		if n.Op != Op(Mul) || n.Results[0].DType != format.Float32 {
			continue
		}
		for i, sum := range n.Args {
			if p, ok := integerSum(sum, stored); ok {
				if p.scale = scaleOfFirst(n.Args[1-i], p.first); p.scale != nil {
					found[n] = p
				}
			}
		}
	}
	return found
}

// integerSum takes apart the sum of products of integers, converted to float32. The
// products are computed in another type, in which they are exact.
func integerSum(v *Value, stored map[*Value]bool) (p integerProduct, ok bool) {
	for range 2 { // to float32, to INT32
		if _, cast := Is[Cast](v); !cast {
			return p, false
		}
		v = v.Args()[0]
	}
	if _, ok := Is[MatMul](v); !ok {
		return p, false
	}
	first, ok := Is[Cast](v.Args()[0])
	if !ok || first.To != v.DType || !ofIntegers(v.Args()[0].Args()[0]) {
		return p, false
	}
	p.first, p.way = v.Args()[0].Args()[0], []*Node{v.Node}
	w := v.Args()[1]
	if !stored[w] || len(w.Shape) != 2 {
		return p, false
	}
	for !w.Leaf() {
		switch op := w.Op().(type) {
		case Cast:
		case Binary: // minus a zero point
			if op != Sub {
				return p, false
			}
		case Transpose:
			p.outIn = !p.outIn
		default:
			return p, false
		}
		p.way = append(p.way, w.Node)
		w = w.Args()[0]
	}
	p.weight = w
	return p, integers(w)
}

// scaleOfFirst returns the factor of a product of two scales that belongs to the first
// factor of an integer product: that of DynamicQuantizeLinear, or the first one, as ONNX
// Runtime's quantizer and its fused operators have it. It is nil if there are no two.
func scaleOfFirst(scales, first *Value) *Value {
	if scales.Op() != Op(Mul) {
		return nil
	}
	for _, s := range scales.Args() {
		if _, ok := Is[DynamicQuantizeLinear](s.Origin()); ok {
			return s
		}
	}
	if s := scales.Args()[0]; s.Shape.into(first.Shape) {
		return s
	}
	return nil
}

// usedOtherwise returns the matrices of integer products that the graph uses elsewhere too.
func usedOtherwise(g *Graph, summed map[*Node]integerProduct) map[*Value]bool {
	on, of := map[*Node]bool{}, map[*Value]*Value{} // the ways, and the matrices that their values are computed from
	for _, p := range summed {
		of[p.weight] = p.weight
		for i, n := range p.way {
			if on[n] = true; i > 0 {
				of[n.Results[0]] = p.weight
			}
		}
	}
	used := map[*Value]bool{}
	for _, n := range g.Nodes {
		for _, a := range n.Args {
			if w := of[a]; w != nil && !on[n] {
				used[w] = true
			}
		}
	}
	for _, o := range g.Outputs {
		if w := of[o.Value]; w != nil {
			used[w] = true
		}
	}
	return used
}

// IntegerFactors returns the matrices of products that are computed in integers, by the
// scaled result.
func IntegerFactors(g *Graph) map[*Value]*Value {
	found := map[*Value]*Value{}
	for n, p := range integerProducts(g, expanded(g)) {
		found[n.Results[0]] = p.weight
	}
	return found
}
