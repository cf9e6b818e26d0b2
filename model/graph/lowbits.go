package graph

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// LowBits is a matrix (rows,columns) that is kept as integers, in blocks of 32
// elements of a row with a scale each, as GGUF keeps them. With 8 bits an element is
// scale·(q-128). With 4 bits it is scale·(q-8), or scale·q + offset with offsets. Its
// parameters have the name of the weight and an ending:
//
//	.blocks  8 bits: UINT8 (rows,blocks,32); 4 bits: UINT8 (rows,blocks,16), of which the
//	         lower halves are the elements 0 to 15 of a block and the upper ones 16 to 31
//	.scale   FLOAT16 (rows,blocks,1)
//	.offset  FLOAT16 (rows,blocks,1)
type LowBits struct {
	Weight string `json:"weight"`           // its name
	Bits   int    `json:"bits"`             // 4 or 8
	Offset bool   `json:"offset,omitempty"` // 4 bits: blocks have offsets
}

// The ends of the names of the parameters of LowBits.
const (
	BlocksEnd = ".blocks"
	ScaleEnd  = ".scale"
	OffsetEnd = ".offset"
)

// lowBlock is the number of elements of a block.
const lowBlock = 32

// check refuses what cannot be in blocks.
func (l LowBits) check(w *Value) error {
	if l.Bits != 8 && (l.Bits != 4) || l.Offset && l.Bits != 4 {
		return fmt.Errorf("graph: weight %.80q in %d bits: take 4, or 8 without offsets", l.Weight, l.Bits)
	}
	if len(w.Shape) == 2 && w.DType == format.Float32 {
		if n, ok := w.Shape[1].Number(); ok && n%lowBlock == 0 {
			return nil
		}
	}
	return fmt.Errorf("graph: weight %.80q is %s: only matrices of float32 with rows of a multiple of %d elements have blocks", l.Weight, w.Type, lowBlock)
}

// AddLowBits returns the pass that replaces weights by their integers. The value
// that these stand for has the name of the weight.
func AddLowBits(all []LowBits) Pass {
	return func(g *Graph) (*Graph, error) {
		by := map[*Value]LowBits{}
		for _, l := range all {
			w := g.Lookup(l.Weight)
			if w == nil {
				return nil, fmt.Errorf("graph: no weight is called %.80q", l.Weight)
			}
			if _, ok := Is[Param](w); !ok {
				return nil, fmt.Errorf("graph: %.80q is no weight", l.Weight)
			}
			if err := l.check(w); err != nil {
				return nil, err
			}
			by[w] = l
		}
		return Rewrite(g, func(b *Builder, n *Node, _ []*Value) []*Value {
			if len(n.Results) == 0 {
				return nil
			}
			l, ok := by[n.Results[0]]
			if !ok {
				return nil
			}
			rows, _ := n.Results[0].Shape[0].Number()
			columns, _ := n.Results[0].Shape[1].Number()
			return []*Value{l.expand(b, rows, columns)}
		})
	}
}

// expand records the weight. Every number but the result is exact, so the result is
// that of scale·(q-8) and of scale·q + offset, rounded once.
func (l LowBits) expand(b *Builder, rows, columns int) *Value {
	count := columns / lowBlock
	root := b.root()
	float := func(end string) *Value {
		return b.Cast(root.Weight(l.Weight+end, format.Float16, rows, count, 1), format.Float32)
	}
	var q *Value
	if l.Bits == 8 {
		q = b.Sub(b.Cast(root.Weight(l.Weight+BlocksEnd, format.Uint8, rows, count, lowBlock), format.Float32), b.Scalar(128))
	} else {
		both := b.Cast(root.Weight(l.Weight+BlocksEnd, format.Uint8, rows, count, lowBlock/2), format.Float32)
		upper := b.apply(Floor, b.Mul(both, b.Scalar(1./16)))
		q = b.Concat(2, b.Sub(both, b.Mul(upper, b.Scalar(16))), upper)
		if !l.Offset {
			q = b.Sub(q, b.Scalar(8))
		}
	}
	w := b.Mul(q, float(ScaleEnd))
	if l.Offset {
		w = b.Add(w, float(OffsetEnd))
	}
	return b.Reshape(w, N(rows), N(columns))
}

// RemoveLowBits returns the pass that undoes AddLowBits: the weights are parameters
// again.
func RemoveLowBits(all []LowBits) Pass {
	return func(g *Graph) (*Graph, error) {
		by := map[string]bool{}
		for _, l := range all {
			by[l.Weight] = true
		}
		out, err := Rewrite(g, func(b *Builder, n *Node, _ []*Value) []*Value {
			if len(n.Results) != 1 || !by[n.Results[0].Name] {
				return nil
			}
			rows, _ := n.Results[0].Shape[0].Number()
			columns, _ := n.Results[0].Shape[1].Number()
			return []*Value{b.root().Param(n.Results[0].Name, Init{}, rows, columns)}
		})
		if err != nil {
			return nil, err
		}
		return Prune(out)
	}
}

// Integers reports whether a graph has matrices of integers of at most 8 bits, and by
// which operator it rounds to such integers what its products read; "" if it does not.
// RoundTo8Bits, which has no gradient, comes before others.
func Integers(g *Graph) (weights bool, rounds string) {
	matrix := func(v *Value) bool { return len(v.Shape) >= 2 && integers(v) }
	weights = slices.ContainsFunc(g.Params, matrix)
	for _, n := range g.Nodes {
		if _, small := n.Op.(Const); small && matrix(n.Results[0]) { // read as a constant, being small
			weights = true
		}
	}
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case RoundTo8Bits:
			return weights, op.Name()
		case LSTM: // its decomposition does
			if op.Quantized {
				return weights, RoundTo8Bits{}.Name()
			}
		case DynamicQuantizeLinear, QuantizeLinear:
			rounds = n.Op.Name()
		}
	}
	return weights, rounds
}

// integers reports whether the type of v has at most 8 bits.
func integers(v *Value) bool {
	bits, _ := v.DType.Integer()
	return bits > 0 && bits <= 8
}

// expanded returns the values that follow from weights alone, and from integers of
// at most 8 bits among them.
func expanded(g *Graph) map[*Value]bool {
	fixed, whole := map[*Value]bool{}, map[*Value]bool{}
	found := map[*Value]bool{}
	for _, n := range g.Nodes {
		of, some := true, false
		switch n.Op.(type) {
		case Const: // small matrices are read as constants
			some = integers(n.Results[0]) && len(n.Results[0].Shape) >= 2
		case Param:
			some = integers(n.Results[0])
		default:
			of = len(n.Args) > 0
			for _, a := range n.Args {
				of, some = of && fixed[a], some || whole[a]
			}
		}
		for _, v := range n.Results {
			fixed[v], whole[v] = of, some
			found[v] = of && some && !v.Leaf() && v.DType.Float()
		}
	}
	return found
}

// ExpandAgain is the pass that has the backward pass of a training step expand
// weights of integers again, where it reads them: their values would otherwise stay in
// memory from the forward pass on, as large as the weights were before. A Where that
// selects between the integers and themselves, on a condition from the gradient that the
// weight is multiplied with, keeps runtimes from expanding them earlier, and from merging
// both.
func ExpandAgain(g *Graph) (*Graph, error) {
	loss, ok := g.Output(role.Of(role.Loss))
	if !ok || len(g.Outputs) == 1 {
		return g, nil
	}
	if !slices.ContainsFunc(g.Params, integers) {
		return g, nil
	}
	e := expansion{stored: expanded(g), now: map[*Value]*Value{}}
	behind := false
	return Rewrite(g, func(b *Builder, n *Node, args []*Value) []*Value {
		for i, a := range n.Args {
			e.now[a] = args[i]
		}
		if behind = behind || n == loss.Value.Node; !behind || len(n.Results) == 0 || e.stored[n.Results[0]] {
			return nil
		}
		var gate *Value
		wanted := false
		for i, a := range n.Args {
			if wanted = wanted || e.stored[a]; !e.stored[a] && !a.Leaf() && a.DType == format.Float32 {
				gate = args[i]
			}
		}
		if !wanted || gate == nil {
			return nil
		}
		again := b.Scope("again")
		c := again.Less(again.first(gate), again.Scalar(0))
		copies := map[*Value]*Value{}
		for i, a := range n.Args {
			if e.stored[a] {
				args[i] = e.again(again, a, c, copies)
			}
		}
		return b.Apply(n.Op, len(n.Results), args...)
	})
}

// expansion copies what weights of integers are expanded with.
type expansion struct {
	stored map[*Value]bool
	now    map[*Value]*Value // values in the new graph
}

// again returns a copy of v, computed from integers that pass a Where on c.
func (e expansion) again(b *Builder, v, c *Value, copies map[*Value]*Value) *Value {
	if copies[v] != nil {
		return copies[v]
	}
	out := e.now[v]
	if n := v.Node; !v.Leaf() {
		args := make([]*Value, len(n.Args))
		for i, a := range n.Args {
			args[i] = e.again(b, a, c, copies)
		}
		out = b.Apply(n.Op, len(n.Results), args...)[v.Index]
	} else if _, ok := Is[Param](v); ok && v.DType == format.Uint8 { // ONNX Runtime has no Where for INT8
		out = b.Where(c, out, out)
	}
	copies[v] = out
	return out
}

// first returns the first element of v, FLOAT32 (1).
func (b *Builder) first(v *Value) *Value {
	for axis := len(v.Shape) - 1; axis >= 0; axis-- {
		if v.Shape[axis] != N(1) {
			v = b.Slice(v, axis, N(0), N(1))
		}
	}
	if v = b.Reshape(v, N(1)); v.DType != format.Float32 {
		v = b.Cast(v, format.Float32)
	}
	return v
}

// EightBits is the pass that keeps integers of 4 bits, which checkpoints do not, in 8 where
// nothing but DequantizeLinear reads them.
func EightBits(g *Graph) (*Graph, error) {
	other := map[*Value]bool{}
	for _, n := range g.Nodes {
		for _, a := range n.Args {
			if _, ok := n.Op.(DequantizeLinear); !ok {
				other[a] = true
			}
		}
	}
	for _, o := range g.Outputs {
		other[o.Value] = true
	}
	return Rewrite(g, func(b *Builder, n *Node, _ []*Value) []*Value {
		if !leaf(n.Op) || len(n.Results) != 1 || other[n.Results[0]] {
			return nil
		}
		v := n.Results[0]
		switch op := n.Op.(type) {
		case Const:
			if t := Widened(op.Value); t.DType != v.DType {
				return []*Value{b.root().Const(t)}
			}
		case Param:
			shape, _ := v.Shape.Numbers()
			if t := Widened(format.Tensor{DType: v.DType}); t.DType != v.DType {
				return []*Value{b.root().Weight(v.Name, t.DType, shape...)}
			}
		}
		return nil
	})
}

// Widened returns a tensor with integers of 4 bits in 8; others as they are.
func Widened(t format.Tensor) format.Tensor {
	bits, signed := t.DType.Integer()
	if bits != 4 {
		return t
	}
	data := make([]byte, len(t.Data))
	for i, x := range t.Data {
		if data[i] = x & 15; signed {
			data[i] = byte(int8(x<<4) >> 4)
		}
	}
	if t.Data, t.DType = data, format.Uint8; signed {
		t.DType = format.Int8
	}
	return t
}
