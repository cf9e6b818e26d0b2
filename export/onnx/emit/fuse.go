package emit

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// microsoft is the domain of ONNX Runtime's own operators.
const microsoft = onnx.Microsoft

// fusions maps nodes of a graph with a past to ONNX Runtime's own operators.
// Each replaces several values:
//
//	GroupQueryAttention     split heads, rotation, past and new keys, attention, join heads
//	SkipLayerNormalization  residual sum and the bias before it, normalization
//	SkipSimplifiedLayerNormalization  the same, by the root mean square
//	FastGelu                bias and the tanh form of GELU
//
// GroupQueryAttention updates a cache of fixed length in place: past and
// present are one buffer (B,H,M,D), with M the context. The sum of row b of
// attention_mask (B,M') is the number of tokens of sequence b, including the
// new ones. There is no left padding: new tokens of a sequence follow its old
// ones. total_sequence_length is the constant M, so no size is computed on the
// CPU and the shapes of a decoding run never change. With more than one new
// token it requires batch 1.
type fusions struct {
	nodes    map[*graph.Value]func(e *emitter) // how to write the node that replaces a value
	absorbed map[*graph.Value]bool             // values that are no longer computed
	needs    map[*graph.Value][]*graph.Value   // inputs of the nodes
	context  int                               // M
}

// Fuse is Lower with ONNX Runtime's own operators, for a graph with a past: it
// keeps composite operators that can be fused. It rejects a graph if a causal
// attention cannot be fused. apart leaves rotations and norms by root mean square
// decomposed.
func Fuse(g *graph.Graph, apart bool) (Lowered, error) {
	g, err := graph.Apply(g, graph.SliceRanges)
	if err != nil {
		return Lowered{}, err
	}
	var kept map[string]bool
	if !apart {
		kept = whole(g)
	}
	if g, err = graph.Apply(g, graph.Decompose(func(n *graph.Node) bool { return kept[n.Name()] || canFuse(n) }), graph.Merge); err != nil {
		return Lowered{}, err
	}
	f := &fusions{nodes: map[*graph.Value]func(*emitter){}, absorbed: map[*graph.Value]bool{}, needs: map[*graph.Value][]*graph.Value{}, context: g.Context}
	if f.context < 1 {
		return Lowered{}, fmt.Errorf("export: the graph does not limit the length of a sequence: a cache in one buffer needs a length")
	}
	uses := map[*graph.Value]int{}
	for _, n := range g.Nodes {
		for _, a := range n.Args {
			uses[a]++
		}
	}
	outputs := map[*graph.Value]bool{}
	for _, o := range g.Outputs {
		outputs[o.Value] = true
	}
	once := func(v *graph.Value) bool { return uses[v] == 1 && !outputs[v] }
	for v := range g.Values() {
		switch op := v.Op().(type) {
		case graph.Reshape:
			if a := attended(v, once); a != nil {
				if err := f.attention(g, v, v.Args()[0], a); err != nil {
					return Lowered{}, err
				}
			}
		case graph.LayerNormalization:
			if sum := v.Args()[0]; v.Index == 0 && len(v.Args()) == 3 && sum.Op() == graph.Add && sameShape(sum.Args()) && !f.absorbed[sum] {
				f.skipLayerNormalization(v, op, once)
			}
		case graph.RMSNormalization:
			f.skipRMSNormalization(v, op, once)
		case graph.Gelu:
			if op.Approximate == "tanh" {
				f.fastGelu(v, once)
			}
		}
	}
	for v := range g.Values() {
		if a, ok := graph.Is[graph.Attention](v); ok && a.Causal && !f.absorbed[v] {
			return Lowered{}, fmt.Errorf("export: Attention %.80q cannot be written with ONNX Runtime's own operators", v.Name)
		}
	}
	f.prune(g)
	return Lowered{Graph: g, fused: f}, nil
}

// canFuse reports whether a composite operator can be written with ONNX
// Runtime's own operators, or has a node.
func canFuse(n *graph.Node) bool {
	switch op := n.Op.(type) {
	case graph.Attention:
		return op.Causal
	case graph.Gelu:
		return op.Approximate == "tanh"
	}
	return hasNode(n)
}

// attended returns the attention (B,H,T,D) whose joined heads are v, a Reshape
// to (B,T,C); nil if there is none.
func attended(v *graph.Value, once func(*graph.Value) bool) *graph.Value {
	together := v.Args()[0]
	if _, ok := graph.Is[graph.Transpose](together); !ok || !once(together) {
		return nil
	}
	a := together.Args()[0]
	if op, ok := graph.Is[graph.Attention](a); !ok || !op.Causal || !once(a) {
		return nil
	}
	return a
}

func sameShape(v []*graph.Value) bool { return v[0].Shape.Equal(v[1].Shape) }

// replace records that write writes a node in place of v, with inputs needs,
// and that the values in gone are no longer computed.
func (f *fusions) replace(v *graph.Value, needs, gone []*graph.Value, write func(e *emitter)) {
	f.nodes[v], f.needs[v] = write, needs
	for _, x := range gone {
		f.absorbed[x] = true
	}
}

// HeadWidthError reports that GroupQueryAttention cannot run the network's
// heads: ONNX Runtime requires a multiple of 8.
type HeadWidthError struct{ Width int }

func (e *HeadWidthError) Error() string {
	return fmt.Sprintf("export: the heads are %d wide, and ONNX Runtime's GroupQueryAttention runs multiples of 8 only: export without fusion", e.Width)
}

// attention fuses Attention and the nodes around it to context (B,T,C).
func (f *fusions) attention(g *graph.Graph, context, together, a *graph.Value) error {
	op, _ := graph.Is[graph.Attention](a)
	bad := fmt.Errorf("export: Attention %.80q does not belong to a network with a past", a.Name)
	key, value := a.Args()[1], a.Args()[2]
	for _, x := range []*graph.Value{key, value} {
		if _, ok := graph.Is[graph.Concat](x); !ok || len(x.Args()) != 2 {
			return bad
		}
		if _, ok := graph.Is[graph.Input](x.Args()[0]); !ok {
			return bad
		}
	}
	mask := g.Input(role.Of(role.AttentionMask))
	if mask == nil || len(a.Args()) != 4 {
		return bad
	}
	heads, _ := a.Shape[1].Number()
	groups, _ := key.Shape[1].Number()
	if d, _ := a.Shape[3].Number(); d%8 != 0 {
		return &HeadWidthError{Width: d}
	}
	queries, keys, rotation := unrotated(a.Args()[0], key.Args()[1])
	q, k, v := headsOf(queries), headsOf(keys), headsOf(value.Args()[1])
	gone := []*graph.Value{a, together, key, value}
	needs := []*graph.Value{key.Args()[0], value.Args()[0], mask}
	if rotation.places != nil {
		gone = append(gone, a.Args()[0], key.Args()[1])
		needs = append(needs, rotation.places)
	}
	packed := packed(q, k, v)
	if packed {
		needs = append(needs, q.joined.Args()[0])
		gone = append(gone, q.joined, k.joined, v.joined)
	}
	for _, h := range []joinedHeads{q, k, v} {
		switch {
		case packed:
		case h.joined != nil:
			needs = append(needs, h.joined)
		default:
			needs = append(needs, h.apart)
		}
		if h.joined != nil {
			gone = append(gone, h.apart)
		}
	}
	f.needs[key], f.needs[value] = []*graph.Value{context}, []*graph.Value{context} // readers of key and value need the node
	f.replace(context, needs, gone, func(e *emitter) {
		inputs := []string{"", "", ""}
		if packed {
			inputs[0] = q.joined.Args()[0].Name
		} else {
			for i, h := range []joinedHeads{q, k, v} {
				inputs[i] = e.sideBySide(h)
			}
		}
		attrs := []onnx.Attribute{onnx.IntAttr("num_heads", int64(heads)), onnx.IntAttr("kv_num_heads", int64(groups)), onnx.FloatAttr("scale", float32(op.Scale))}
		if op.Window > 0 {
			attrs = append(attrs, onnx.IntAttr("local_window_size", int64(op.Window)))
		}
		inputs = append(inputs, key.Args()[0].Name, value.Args()[0].Name, e.lengths(mask.Name), e.totalLength(f.context))
		if rotation.places != nil {
			cos, sin := e.tables(rotation, f.context)
			inputs = append(inputs, cos, sin, rotation.places.Name)
			attrs = append(attrs, onnx.IntAttr("do_rotary", 1), flag("rotary_interleaved", rotation.op.Interleaved))
		}
		e.contrib("GroupQueryAttention", inputs, []string{context.Name, key.Name, value.Name}, attrs...)
	})
	return nil
}

// joinedHeads are split heads, (B,H,T,D), and the value (B,T,C) from which
// Reshape and Transpose made them; joined is nil if other operators did, for
// example a rotation by positions.
type joinedHeads struct{ apart, joined *graph.Value }

func headsOf(v *graph.Value) joinedHeads {
	if t, ok := graph.Is[graph.Transpose](v); ok && slices.Equal(t.Perm, []int{0, 2, 1, 3}) {
		if r := v.Args()[0]; len(r.Args()) == 1 {
			if _, ok := graph.Is[graph.Reshape](r); ok && len(r.Args()[0].Shape) == 3 {
				return joinedHeads{v, r.Args()[0]}
			}
		}
	}
	return joinedHeads{apart: v}
}

// sideBySide returns the name of the heads as (B,T,C).
func (e *emitter) sideBySide(h joinedHeads) string {
	if h.joined != nil {
		return h.joined.Name
	}
	name := h.apart.Name + ".side_by_side"
	if !e.shared[name] {
		e.shared[name] = true
		e.node("Transpose", name+".transposed", []string{h.apart.Name}, onnx.IntsAttr("perm", 0, 2, 1, 3))
		heads, _ := h.apart.Shape[1].Number()
		width, _ := h.apart.Shape[3].Number()
		e.node("Reshape", name, []string{name + ".transposed", e.integers(0, 0, int64(heads*width))})
	}
	return name
}

// packed reports whether q, k and v are the parts of one value, in this order,
// so that GroupQueryAttention can read that value.
func packed(q, k, v joinedHeads) bool {
	for i, h := range []joinedHeads{q, k, v} {
		if h.joined == nil || q.joined == nil {
			return false
		}
		split, ok := graph.Is[graph.Split](h.joined)
		if !ok || h.joined.Node != q.joined.Node || h.joined.Index != i || len(split.Sizes) != 3 {
			return false
		}
	}
	return true
}

// skipLayerNormalization fuses v, the sum that it normalizes, and the bias
// added just before.
func (f *fusions) skipLayerNormalization(v *graph.Value, op graph.LayerNormalization, once func(*graph.Value) bool) {
	sum := v.Args()[0]
	skip := sum.Args()[1]
	inputs := []*graph.Value{sum.Args()[0], skip, v.Args()[1], v.Args()[2]}
	gone := []*graph.Value{sum}
	if biased(skip) && once(skip) {
		gone = append(gone, skip)
		inputs[1] = skip.Args()[0]
		inputs = append(inputs, skip.Args()[1])
	}
	f.replace(v, inputs, gone, func(e *emitter) {
		e.contrib("SkipLayerNormalization", names(inputs), []string{v.Name, "", "", sum.Name}, onnx.FloatAttr("epsilon", float32(op.Epsilon)))
	})
	f.needs[sum] = []*graph.Value{v} // readers of the sum need the node
}

// biased reports whether v is a sum with a vector.
func biased(v *graph.Value) bool { return v.Op() == graph.Add && len(v.Args()[1].Shape) == 1 }

// fastGelu fuses v and the bias before it.
func (f *fusions) fastGelu(v *graph.Value, once func(*graph.Value) bool) {
	inputs, gone := []*graph.Value{v.Args()[0]}, []*graph.Value(nil)
	if x := v.Args()[0]; biased(x) && once(x) {
		inputs, gone = x.Args(), append(gone, x)
	}
	f.replace(v, inputs, gone, func(e *emitter) { e.contrib("FastGelu", names(inputs), []string{v.Name}) })
}

// write writes the node that replaces n; it returns false if n has its own
// node.
func (f *fusions) write(e *emitter, n *graph.Node) bool {
	v := n.Results[0]
	if node := f.nodes[v]; node != nil && !f.absorbed[v] {
		node(e)
		return true
	}
	return !slices.ContainsFunc(n.Results, func(v *graph.Value) bool { return !f.absorbed[v] })
}

// has reports whether n is part of one of ONNX Runtime's operators, or not
// written.
func (f *fusions) has(n *graph.Node) bool {
	if f == nil {
		return false
	}
	v := n.Results[0]
	return f.nodes[v] != nil || !slices.ContainsFunc(n.Results, func(v *graph.Value) bool { return !f.absorbed[v] })
}

// prune drops unused nodes.
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
			from = v.Args()
		}
		for _, x := range from {
			visit(x)
		}
	}
	for _, o := range g.Outputs {
		visit(o.Value)
	}
	for v := range g.Values() {
		if _, in := graph.Is[graph.Input](v); !in && !needed[v] {
			f.absorbed[v] = true
		}
	}
}

// contrib adds a node of one of ONNX Runtime's own operators, named after its
// first output.
func (e *emitter) contrib(op string, inputs, outputs []string, attrs ...onnx.Attribute) {
	e.out.Nodes = append(e.out.Nodes, &onnx.Node{Domain: microsoft, Op: op, Name: outputs[0], Inputs: inputs, Outputs: outputs, Attributes: attrs})
}

// lengths returns the name of GroupQueryAttention's seqlens_k, int32 (B): the
// number of tokens of each sequence, including the new ones, minus 1.
func (e *emitter) lengths(mask string) string {
	const name = "seqlens_k"
	if !e.shared[name] {
		e.shared[name] = true
		e.node("ReduceSum", mask+".sum", []string{mask, e.integers(1)}, onnx.IntAttr("keepdims", 0))
		e.node("Sub", mask+".last", []string{mask + ".sum", e.integers(1)})
		e.node("Cast", name, []string{mask + ".last"}, onnx.IntAttr("to", int64(onnx.Int32)))
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

// fusedDims names the dimensions of GroupQueryAttention's cache that differ
// from the graph.
var fusedDims = map[role.Kind]string{
	role.PastKey: "max_sequence_length", role.PastValue: "max_sequence_length",
	role.PresentKey: "max_sequence_length", role.PresentValue: "max_sequence_length", role.AttentionMask: "total_sequence_length",
}

// declare returns the declaration of an input or output of a fused graph.
func (f *fusions) declare(i onnx.ValueInfo) onnx.ValueInfo {
	r, _ := role.FromName(i.Name)
	for axis, d := range i.Dims {
		if name := fusedDims[r.Kind]; name != "" && d.Open && axis > 0 {
			i.Dims[axis].Param = name
		}
	}
	return i
}
