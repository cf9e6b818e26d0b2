package export

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// microsoft is the domain of ONNX Runtime's own operators.
const microsoft = onnx.Microsoft

// fusions says which nodes a graph with a past is written with where ONNX
// Runtime's own operators may be used. Each takes the place of several values:
//
//	GroupQueryAttention     heads apart, past and new keys, attention, heads together
//	SkipLayerNormalization  residual sum and the bias before it, normalization
//	FastGelu                bias and the tanh form of GELU
//
// GroupQueryAttention keeps a cache of fixed length in place: past and present
// are one buffer (B,H,M,D), M being the context, and row b of attention_mask
// (B,M') says by its sum how many tokens of sequence b there are with the new
// ones. There is no left padding: the new tokens of a sequence stand right
// behind its old ones. total_sequence_length is the constant M, so that no size
// has to be computed on the CPU and the shapes of a decoding run never change.
// It runs with batch 1 where there is more than one new token.
type fusions struct {
	nodes    map[*graph.Value]func(e *emitter) // the value in whose place a node is written, and how
	absorbed map[*graph.Value]bool             // values that are no longer computed
	needs    map[*graph.Value][]*graph.Value   // what the nodes read
	context  int                               // M
}

// fuse finds what can be fused in g, whose composite operators are whole. A
// graph in which some composite operator is left over is refused.
func fuse(g *graph.Graph) (*fusions, error) {
	f := &fusions{nodes: map[*graph.Value]func(*emitter){}, absorbed: map[*graph.Value]bool{}, needs: map[*graph.Value][]*graph.Value{}, context: longest(g)}
	if f.context < 1 {
		return nil, fmt.Errorf("export: nothing in the graph limits the length of a sequence: a cache in one buffer needs a length")
	}
	uses := map[*graph.Value]int{}
	for _, v := range g.Values {
		for _, a := range v.Args {
			uses[a]++
		}
	}
	outputs := map[*graph.Value]bool{}
	for _, o := range g.Outputs {
		outputs[o.Value] = true
	}
	once := func(v *graph.Value, op graph.Op) bool { return v.Op == op && uses[v] == 1 && !outputs[v] }
	for _, v := range g.Values {
		switch {
		case v.Op == graph.Reshape && once(v.Args[0], graph.Transpose) && once(v.Args[0].Args[0], graph.Attention):
			if err := f.attention(v, v.Args[0], v.Args[0].Args[0]); err != nil {
				return nil, err
			}
		case v.Op == graph.LayerNormalization && v.Args[0].Op == graph.Add && v.Args[0].Args[1].Shape.Equal(v.Shape) && v.Attr.Result == 0 && !f.absorbed[v.Args[0]]:
			f.skipLayerNormalization(v, once)
		case v.Op == graph.Gelu:
			f.fastGelu(v, once)
		}
	}
	for _, v := range g.Values {
		if slices.Contains([]graph.Op{graph.Attention, graph.SoftmaxCrossEntropyLoss}, v.Op) && !f.absorbed[v] {
			return nil, fmt.Errorf("export: %s %.80q has no form among ONNX Runtime's own operators", v.Op, v.Name)
		}
	}
	f.prune(g)
	return f, nil
}

// replace has a node written in the place of v, which reads needs; the values
// in gone are computed no longer.
func (f *fusions) replace(v *graph.Value, needs, gone []*graph.Value, write func(e *emitter)) {
	f.nodes[v], f.needs[v] = write, needs
	for _, x := range gone {
		f.absorbed[x] = true
	}
}

// HeadWidthError says that GroupQueryAttention does not run the network's heads:
// ONNX Runtime refuses a width that is no multiple of 8.
type HeadWidthError struct{ Width int }

func (e *HeadWidthError) Error() string {
	return fmt.Sprintf("export: the heads are %d wide, and ONNX Runtime's GroupQueryAttention runs multiples of 8 only: export without fusion", e.Width)
}

// attention fuses Attention and what stands around it into context (B,T,C).
func (f *fusions) attention(context, together, a *graph.Value) error {
	bad := fmt.Errorf("export: Attention %.80q is not that of a network with a past", a.Name)
	heads := func(v *graph.Value) *graph.Value { // (B,H,T,D) from (B,T,C)
		if v.Op != graph.Transpose || v.Args[0].Op != graph.Reshape {
			return nil
		}
		return v.Args[0].Args[0]
	}
	key, value := a.Args[1], a.Args[2]
	for _, x := range []*graph.Value{key, value} {
		if x.Op != graph.Concat || len(x.Args) != 2 || x.Args[0].Op != graph.Input {
			return bad
		}
	}
	q, k, v := heads(a.Args[0]), heads(key.Args[1]), heads(value.Args[1])
	if q == nil || k == nil || v == nil {
		return bad
	}
	gone := []*graph.Value{a, together, key, value, a.Args[0], key.Args[1], value.Args[1]}
	needs := []*graph.Value{q, k, v, key.Args[0], value.Args[0]}
	names := []string{q.Name, k.Name, v.Name}
	if packed(q, k, v) {
		needs[0], names = q.Args[0], []string{q.Args[0].Name, "", ""}
		needs = slices.Delete(needs, 1, 3)
		gone = append(gone, q, k, v)
	}
	f.needs[key], f.needs[value] = []*graph.Value{context}, []*graph.Value{context} // whoever reads them needs the node
	number, _ := a.Shape[1].Number()
	if d, _ := a.Shape[3].Number(); d%8 != 0 {
		return &HeadWidthError{Width: d}
	}
	f.replace(context, needs, gone, func(e *emitter) {
		e.contrib("GroupQueryAttention",
			append(names, key.Args[0].Name, value.Args[0].Name, e.lengths(), e.totalLength(f.context)),
			[]string{context.Name, key.Name, value.Name},
			onnx.IntAttr("num_heads", int64(number)), onnx.IntAttr("kv_num_heads", int64(number)), onnx.FloatAttr("scale", float32(a.Attr.Scale)))
	})
	return nil
}

// packed reports whether q, k and v are the thirds of one value, in this order:
// the form in which GroupQueryAttention takes them unsplit.
func packed(q, k, v *graph.Value) bool {
	for i, x := range []*graph.Value{q, k, v} {
		if x.Op != graph.Split || x.Args[0] != q.Args[0] || x.Attr.Result != i || len(x.Attr.Sizes) != 3 {
			return false
		}
	}
	return true
}

// skipLayerNormalization fuses v, the sum that it normalizes, and the bias that
// is added right before.
func (f *fusions) skipLayerNormalization(v *graph.Value, once func(*graph.Value, graph.Op) bool) {
	sum := v.Args[0]
	skip, inputs := sum.Args[1], []*graph.Value{sum.Args[0], sum.Args[1], v.Args[1], v.Args[2]}
	gone := []*graph.Value{sum}
	if once(skip, graph.Add) && len(skip.Args[1].Shape) == 1 {
		gone = append(gone, skip)
		inputs[1] = skip.Args[0]
		inputs = append(inputs, skip.Args[1])
	}
	f.replace(v, inputs, gone, func(e *emitter) {
		e.contrib("SkipLayerNormalization", names(inputs), []string{v.Name, "", "", sum.Name}, onnx.FloatAttr("epsilon", float32(v.Attr.Epsilon)))
	})
	f.needs[sum] = []*graph.Value{v} // whoever reads the sum needs the node
}

// fastGelu fuses v and the bias before it.
func (f *fusions) fastGelu(v *graph.Value, once func(*graph.Value, graph.Op) bool) {
	inputs, gone := []*graph.Value{v.Args[0]}, []*graph.Value(nil)
	if x := v.Args[0]; once(x, graph.Add) && len(x.Args[1].Shape) == 1 {
		inputs, gone = x.Args, append(gone, x)
	}
	f.replace(v, inputs, gone, func(e *emitter) { e.contrib("FastGelu", names(inputs), []string{v.Name}) })
}

// write writes the node in whose place v is, if there is one; it returns false
// where v has a node of its own.
func (f *fusions) write(e *emitter, v *graph.Value) bool {
	if node := f.nodes[v]; node != nil && !f.absorbed[v] {
		node(e)
		return true
	}
	return f.absorbed[v]
}

// prune drops what no output needs any more.
func (f *fusions) prune(g *graph.Graph) {
	needed := map[*graph.Value]bool{}
	var visit func(v *graph.Value)
	visit = func(v *graph.Value) {
		if needed[v] {
			return
		}
		needed[v] = true
		from, fused := f.needs[v]
		if !fused {
			from = v.Args
		}
		for _, x := range from {
			visit(x)
		}
	}
	for _, o := range g.Outputs {
		visit(o.Value)
	}
	for _, v := range g.Values {
		if !needed[v] && v.Op != graph.Input {
			f.absorbed[v] = true
		}
	}
}

func names(values []*graph.Value) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.Name
	}
	return out
}

// contrib adds a node of ONNX Runtime's own operators, named after its first
// output.
func (e *emitter) contrib(op string, inputs, outputs []string, attrs ...onnx.Attribute) {
	e.out.Nodes = append(e.out.Nodes, &onnx.Node{Domain: microsoft, Op: op, Name: outputs[0], Inputs: inputs, Outputs: outputs, Attributes: attrs})
}

// lengths returns the name of GroupQueryAttention's seqlens_k, int32 (B): the
// number of tokens of each sequence, the new ones included, less 1.
func (e *emitter) lengths() string {
	const name = "seqlens_k"
	if !e.shared[name] {
		e.shared[name] = true
		e.node("ReduceSum", "attention_mask.sum", []string{"attention_mask", e.integers(1)}, onnx.IntAttr("keepdims", 0))
		e.node("Sub", "attention_mask.last", []string{"attention_mask.sum", e.integers(1)})
		e.node("Cast", name, []string{"attention_mask.last"}, onnx.IntAttr("to", int64(onnx.Int32)))
	}
	return name
}

// totalLength returns the name of GroupQueryAttention's total_sequence_length,
// an int32 scalar that it reads on the CPU.
func (e *emitter) totalLength(n int) string {
	const name = "total_sequence_length"
	if !e.shared[name] {
		e.shared[name] = true
		e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Int32, Raw: binary.LittleEndian.AppendUint32(nil, uint32(n))})
	}
	return name
}

// fusedDims are the names of the axes that GroupQueryAttention's cache has
// other than the graph.
var fusedDims = map[string]string{"past_key_values": "max_sequence_length", "present": "max_sequence_length", "attention_mask": "total_sequence_length"}

// declare returns what the file says of an input or output of a fused graph.
func (f *fusions) declare(i onnx.ValueInfo) onnx.ValueInfo {
	kind, _, _ := strings.Cut(i.Name, ".")
	for axis, d := range i.Dims {
		if name := fusedDims[kind]; name != "" && d.Open && axis > 0 {
			i.Dims[axis].Param = name
		}
	}
	return i
}
