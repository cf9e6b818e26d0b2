package precision

import (
	"fmt"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Factors returns the matrices of g, by name, that are (out,in) factors of products,
// tables in whose rows ids are looked up, or both, and nothing else: those that Packed
// takes in blocks.
func Factors(g *graph.Graph) map[string]bool {
	q := &quantizer{tied: map[string]bool{}}
	q.find(g)
	looked := tables(g)
	factors := map[string]bool{}
	for _, name := range looked {
		factors[name] = true
	}
	for _, m := range q.products {
		factors[m.name] = m.transposed
	}
	for _, n := range g.Nodes {
		_, turned := n.Op.(graph.Transpose)
		_, product := q.products[n.Name()]
		_, rows := looked[n.Name()]
		for i, a := range n.Args {
			if !turned && !(product && i == 1) && !(rows && i == 0) {
				delete(factors, a.Name)
			}
			if t, ok := graph.Is[graph.Transpose](a); ok && len(t.Perm) == 2 && !(product && i == 1) {
				delete(factors, a.Args()[0].Name)
			}
		}
	}
	for _, o := range g.Outputs {
		delete(factors, o.Value.Name)
	}
	return factors
}

// tables returns the matrices of weights in whose rows ids are looked up, by the name
// of the rows.
func tables(g *graph.Graph) map[string]string {
	found := map[string]string{}
	for _, n := range g.Nodes {
		if op, ok := n.Op.(graph.Gather); ok && op.Axis == 0 && isWeight(n.Args[0]) {
			found[n.Name()] = n.Args[0].Name
		}
	}
	return found
}

// Packed returns m, which was written from a graph, with some matrices in their
// blocks. Their products are MatMulNBits, an operator of ONNX Runtime, in float32. An
// offset of a block adds the sum of the block's inputs times the offset:
//
//	y[n] = Σ_k x[k]·scale·(q[n,k]-8) + Σ_b offset[b,n] · Σ_{k in b} x[k]
//
// On a CPU it multiplies in float32 by integers of 4 bits only. One of 8 bits is two of
// these, and the product has twice the inputs:
//
//	scale·(q-128) = 16·scale·(q>>4 - 8) + scale·(q&15)
//
// The initializers of these matrices in m may be empty.
func Packed(m *onnx.Model, from Source, blocks map[string]format.Blocks) *onnx.Model {
	r := newRewrite(m, map[string]onnx.DataType{})
	q := &quantizer{rewrite: r, tied: map[string]bool{}}
	q.find(from.Graph)
	looked := tables(from.Graph)
	rank := map[string]int{} // of the first argument of a product, of the ids of rows
	for _, n := range from.Graph.Nodes {
		if _, ok := q.products[n.Name()]; ok {
			rank[n.Name()] = len(n.Args[0].Shape)
		}
		if _, ok := looked[n.Name()]; ok {
			rank[n.Name()] = len(n.Args[1].Shape)
		}
	}
	p := &packing{quantizer: q, twice: map[string]string{}, sums: map[string]string{}}
	for _, n := range m.Graph.Nodes {
		out := n.Outputs[0]
		product, ok := q.products[out]
		table, rows := looked[out]
		b, packed := blocks[product.name]
		t, packedRows := blocks[table]
		switch {
		case ok && packed:
			p.product(n.Inputs[0], out, product.name, b, rank[out])
		case rows && packedRows:
			p.rows(n.Inputs[1], out, table, t, rank[out])
		case ok && product.transposed: // a Transpose would be computed when the file is opened, for twice the memory
			q.nodes = append(q.nodes, fusedMatMul(n.Name, n.Inputs[0], product.name, out, onnx.IntAttr("transB", 1)))
		default:
			q.nodes = append(q.nodes, n)
		}
	}
	return q.model(nil)
}

// fusedMatMul returns a product in an operator that ONNX Runtime joins with no other.
func fusedMatMul(name, a, b, out string, attrs ...onnx.Attribute) *onnx.Node {
	return &onnx.Node{Domain: onnx.Microsoft, Op: "FusedMatMul", Name: name, Inputs: []string{a, b}, Outputs: []string{out}, Attributes: attrs}
}

// packing writes nodes that read matrices in blocks.
type packing struct {
	*quantizer
	twice map[string]string // values with their last axis repeated
	sums  map[string]string // sums over the blocks of values
}

// blockTensors is a matrix in blocks as initializers.
type blockTensors struct {
	integers, scales, zeros, offsets string // zeros are "" for 8
	blocks                           int    // of a row, those of both halves
}

// tensors stores a matrix once.
func (p *packing) tensors(weight string, b format.Blocks) blockTensors {
	t := blockTensors{integers: weight + ".blocks", scales: weight + ".scale", blocks: b.Count()}
	scales := b.Scales
	if b.Wide {
		t.blocks, t.zeros = 2*t.blocks, p.zeros(b.Rows, b.Count())
	}
	if b.Offsets != nil {
		t.offsets = weight + ".offset"
	}
	if p.quantizer.tensors[t.integers] != nil {
		return t
	}
	if b.Wide {
		scales = make([]float32, 0, 2*len(b.Scales))
		for r := range b.Rows {
			row := b.Scales[r*b.Count():][:b.Count()]
			for _, s := range row {
				scales = append(scales, 16*s)
			}
			scales = append(scales, row...)
		}
	}
	rows, count := int64(b.Rows), int64(t.blocks)
	p.put(&onnx.Tensor{Name: t.integers, DataType: onnx.Uint8, Dims: []int64{rows, count, int64(b.Size / 2)}, Raw: b.Integers})
	p.put(shared(t.scales, []int64{rows, count}, scales))
	if b.Offsets != nil {
		p.put(shared(t.offsets, []int64{int64(b.Count()), rows}, b.Offsets))
	}
	return t
}

// zeros returns the name of the integers of 4 bits that stand for 0: 8 for the upper
// halves of a row, 0 for the lower ones.
func (p *packing) zeros(rows, count int) string {
	name := fmt.Sprintf("zeros.%d.%d", rows, count)
	if p.quantizer.tensors[name] == nil {
		raw := make([]byte, rows*count) // half a byte for each of 2·count
		for i := range rows {
			for b := range count {
				raw[i*count+b/2] |= 8 << (4 * (b % 2))
			}
		}
		p.put(&onnx.Tensor{Name: name, DataType: onnx.Uint8, Dims: []int64{int64(rows), int64(count)}, Raw: raw})
	}
	return name
}

// product writes the product of x, of a rank, with a matrix, named y.
func (p *packing) product(x, y, weight string, b format.Blocks, rank int) {
	t := p.tensors(weight, b)
	product, factor, in := y, x, b.Columns
	if t.offsets != "" {
		product = p.name(y + ".scaled")
	}
	if b.Wide {
		if in *= 2; p.twice[x] == "" {
			p.twice[x] = p.node("Concat", p.name(x+".twice"), []string{x, x}, onnx.IntAttr("axis", -1))
		}
		factor = p.twice[x]
	}
	inputs := []string{factor, t.integers, t.scales}
	if t.zeros != "" {
		inputs = append(inputs, t.zeros)
	}
	p.nodes = append(p.nodes, &onnx.Node{
		Domain: onnx.Microsoft, Op: "MatMulNBits", Name: product, Inputs: inputs, Outputs: []string{product},
		Attributes: []onnx.Attribute{
			onnx.IntAttr("K", int64(in)), onnx.IntAttr("N", int64(b.Rows)), onnx.IntAttr("bits", 4), onnx.IntAttr("block_size", int64(b.Size)),
		},
	})
	if t.offsets == "" {
		return
	}
	count, key := int64(b.Count()), fmt.Sprintf("%s\x00%d", x, b.Size)
	if p.sums[key] == "" {
		apart := p.node("Reshape", p.name(x+".blocks"), []string{x, p.constant(append(make([]int64, rank-1), count, int64(b.Size))...)})
		p.sums[key] = p.node("ReduceSum", p.name(x+".sums"), []string{apart, p.constant(-1)}, onnx.IntAttr("keepdims", 0)) // (...,count)
	}
	shift := p.name(y + ".offset")
	p.nodes = append(p.nodes, fusedMatMul(shift, p.sums[key], t.offsets, shift))
	p.node("Add", y, []string{product, shift})
}

// rows writes the lookup of ids, of a rank, in the rows of a matrix, named y.
func (p *packing) rows(ids, y, weight string, b format.Blocks, rank int) {
	t := p.tensors(weight, b)
	axis, last := onnx.IntAttr("axis", 0), p.constant(-1)
	shape := func(more ...int64) string { return p.constant(append(make([]int64, rank), more...)...) }
	blocks, size := int64(t.blocks), int64(b.Size)
	packed := p.integers("Gather", p.name(y+".blocks"), []string{t.integers, ids}, axis)               // (...,blocks,size/2)
	whole := p.node("Reshape", p.name(y+".whole"), []string{p.halves(y, packed), shape(blocks, size)}) // (...,blocks,size)
	zeros := make([]float32, t.blocks)
	for i := range zeros {
		if !b.Wide || i < b.Count() {
			zeros[i] = 8
		}
	}
	zero := fmt.Sprintf("zero.%d.%t", t.blocks, b.Wide)
	p.put(shared(zero, []int64{blocks, 1}, zeros))
	around := p.node("Sub", p.name(y+".around_0"), []string{whole, zero})
	scale := p.node("Gather", p.name(y+".scale"), []string{t.scales, ids}, axis) // (...,blocks)
	value := p.node("Mul", p.name(y+".scaled"), []string{around, p.node("Unsqueeze", p.name(y+".column"), []string{scale, last})})
	if b.Wide {
		halves := p.node("Reshape", p.name(y+".halves"), []string{value, shape(2, int64(b.Count()), size)})
		value = p.node("ReduceSum", p.name(y+".both"), []string{halves, p.constant(int64(rank))}, onnx.IntAttr("keepdims", 0))
	}
	if t.offsets != "" {
		turn := []int64{}
		for i := range rank {
			turn = append(turn, int64(i+1))
		}
		offset := p.node("Gather", p.name(y+".offset"), []string{t.offsets, ids}, onnx.IntAttr("axis", 1)) // (blocks,...)
		offset = p.node("Transpose", p.name(y+".offsets"), []string{offset}, onnx.IntsAttr("perm", append(turn, 0)...))
		value = p.node("Add", p.name(y+".shifted"), []string{value, p.node("Unsqueeze", p.name(y+".offset_column"), []string{offset, last})})
	}
	p.node("Reshape", y, []string{value, shape(int64(b.Columns))})
}

// shared returns a float32 initializer in the memory of v.
func shared(name string, dims []int64, v []float32) *onnx.Tensor {
	return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims, Raw: format.FromFloat32s(name, []int{len(v)}, v).Data}
}
