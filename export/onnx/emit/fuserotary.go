package emit

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// whole returns which composite operators of g, by the names of their nodes, stay
// whole because one of ONNX Runtime's own operators computes them together with
// their neighbours: RMSNormalization behind a residual sum, and the rotation of an
// attention's queries and keys.
func whole(g *graph.Graph) map[string]bool {
	keep, summed := map[string]bool{}, map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case graph.RMSNormalization:
			if sum := n.Args[0]; residual(sum) && !summed[sum] {
				summed[sum], keep[n.Name()] = true, true
			}
		case graph.Attention:
			if q, k := n.Args[0], n.Args[1].Args(); op.Causal && len(k) == 2 && rotated(q, k[1]) {
				keep[q.Node.Name()], keep[k[1].Node.Name()] = true, true
			}
		}
	}
	return keep
}

// residual reports whether v is the sum of two values (B,T,C).
func residual(v *graph.Value) bool {
	return v.Op() == graph.Add && len(v.Shape) == 3 && sameShape(v.Args())
}

// rotated reports whether q and k are rotated alike, in a way that
// GroupQueryAttention can do itself. It takes a position for each token of each
// text, and rotates R elements of a head if D is a multiple of 16 and R/2 of 8.
func rotated(q, k *graph.Value) bool {
	a, ok := graph.Is[graph.RotaryEmbedding](q)
	b, also := graph.Is[graph.RotaryEmbedding](k)
	if !ok || !also || a != b || q.Args()[1] != k.Args()[1] || q.Args()[2] != k.Args()[2] {
		return false
	}
	angles, constant := q.Args()[2].Constant()
	d, known := q.Shape[3].Number()
	return constant && known && angles.DType == format.Float32 && len(q.Args()[1].Shape) == 2 && d%16 == 0 && angles.Shape[0]%8 == 0
}

// turn is how GroupQueryAttention rotates queries and keys; the zero turn is not
// at all.
type turn struct {
	op     graph.RotaryEmbedding
	places *graph.Value // (B,T)
	angles []float32    // at position 1
	name   string       // of the angles
}

// unrotated returns queries and keys before their rotation, and the rotation.
func unrotated(q, k *graph.Value) (*graph.Value, *graph.Value, turn) {
	op, ok := graph.Is[graph.RotaryEmbedding](q)
	if !ok || !rotated(q, k) {
		return q, k, turn{}
	}
	constant, _ := q.Args()[2].Constant()
	angles, _ := constant.Float32s() // rotated has looked at the type
	return q.Args()[0], k.Args()[0], turn{op, q.Args()[1], angles, q.Args()[2].Name}
}

// tables returns the names of cosine and sine, (M,R/2) each, of the angles at the
// positions 0 to M-1.
func (e *emitter) tables(t turn, length int) (cos, sin string) {
	cos, sin = t.name+".cos", t.name+".sin"
	if t.op.Scale != 1 {
		cos, sin = fmt.Sprint(cos, "_", t.op.Scale), fmt.Sprint(sin, "_", t.op.Scale)
	}
	if e.shared[cos] {
		return cos, sin
	}
	e.shared[cos] = true
	table := func(name string, of func(float64) float64) {
		raw := make([]byte, 0, 4*length*len(t.angles))
		for p := range length {
			for _, a := range t.angles {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(of(float64(p)*float64(a))*t.op.Scale)))
			}
		}
		e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: []int64{int64(length), int64(len(t.angles))}, Raw: raw})
	}
	table(cos, math.Cos)
	table(sin, math.Sin)
	return cos, sin
}

// skipRMSNormalization fuses v, the residual sum that it normalizes, and the bias
// added just before.
func (f *fusions) skipRMSNormalization(v *graph.Value, op graph.RMSNormalization, once func(*graph.Value) bool) {
	sum := v.Args()[0]
	inputs, gone := []*graph.Value{sum.Args()[0], sum.Args()[1], v.Args()[1]}, []*graph.Value{sum}
	if skip := sum.Args()[1]; biased(skip) && once(skip) {
		gone = append(gone, skip)
		inputs[1] = skip.Args()[0]
		inputs = append(inputs, skip.Args()[1])
	}
	f.replace(v, inputs, gone, func(e *emitter) {
		e.contrib("SkipSimplifiedLayerNormalization", names(inputs), []string{v.Name, "", "", sum.Name}, onnx.FloatAttr("epsilon", float32(op.Epsilon)))
	})
	f.needs[sum] = []*graph.Value{v} // readers of the sum need the node
}
