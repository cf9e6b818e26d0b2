package graph

import "github.com/attnx/attnx/format"

// ProductsIn returns the pass that has products of float32 multiply numbers of another
// type: their factors are rounded to it, and their results are float32 again. Weights
// stay float32, and so does all that is no product, as PyTorch's autocast has it.
func ProductsIn(t format.DType) Pass {
	return func(g *Graph) (*Graph, error) {
		narrow := map[*Value]*Value{}
		return Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
			switch n.Op.(type) {
			case MatMul, Gemm:
			default:
				return nil
			}
			if n.Results[0].DType != format.Float32 {
				return nil
			}
			for i, a := range args {
				if narrow[a] == nil {
					narrow[a] = b.Cast(a, t)
				}
				args[i] = narrow[a]
			}
			return []*Value{b.Cast(b.Apply(n.Op, 1, args...)[0], format.Float32)}
		})
	}
}
