package precision

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// half returns the model of r in a 16-bit floating-point type: weights,
// activations and the cache of keys and values. Parts in float32Parts stay
// float32. Values keep their names. A value needed in the other type is cast
// once, to a value with the type appended to its name. A network with a recurrent
// operator is a *NumbersError.
func half(r *rewrite, from Source, to format.DType) (*onnx.Model, Numbers, error) {
	m := r.from
	for _, n := range from.Graph.Nodes {
		switch n.Op.(type) {
		case graph.LSTM, graph.GRU:
			return nil, Numbers{}, &NumbersError{
				Reason: fmt.Sprintf("%.80s: ONNX Runtime's CPU has %s in float32 only, and its weights are nearly all of such a network", n.Name(), n.Op.Name()),
				Remedy: "export it in float32, or with int8 products",
			}
		}
	}
	i := slices.IndexFunc(floats, func(f floatRow) bool { return f.in == to })
	h := &converter{
		rewrite: r, row: floats[i], plan: from.plan(), origin: map[string]*graph.Node{}, float: map[string]bool{},
		counts: map[string]int{}, products: map[string]bool{}, casts: map[string]string{},
		report: Numbers{DType: to, Remarks: slices.Clone(floats[i].remarks)},
	}
	h.know()
	for _, v := range from.Graph.Inputs {
		if v.Role().Kind == role.SourceStates { // as an encoder returns them: behind a norm, which stays
			h.float[v.Name] = true
		}
	}
	h.choose()
	if err := h.weights(); err != nil {
		return nil, Numbers{}, err
	}
	r.nodes = nil
	for _, n := range m.Graph.Nodes {
		h.add(n)
	}
	for _, n := range m.Graph.Nodes {
		if n.Domain == onnx.Microsoft && slices.Contains(inside, n.Op) {
			h.report.Remarks = append(h.report.Remarks, fmt.Sprintf("%s has inputs and outputs in %s: ONNX Runtime decides the type of its sums", n.Op, h.row.name))
		}
	}
	slices.Sort(h.report.Remarks)
	h.report.Remarks = slices.Compact(h.report.Remarks)
	out := h.model(map[string]string{MetaDType: h.row.name})
	h.declare(out.Graph)
	h.report.Kept = h.kept()
	return out, h.report, nil
}

// inside lists ONNX Runtime's own operators that contain a softmax or a
// normalization.
var inside = []string{"GroupQueryAttention", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"}

// converter changes the float types of a model.
type converter struct {
	*rewrite
	row      floatRow
	plan     *plan
	origin   map[string]*graph.Node // nodes of the graph, by name of their first result
	float    map[string]bool        // values that stay float32
	counts   map[string]int         // float32 nodes, and which of float32Parts each belongs to
	products map[string]bool        // weights of products that stay float32
	casts    map[string]string      // values in the other type
	report   Numbers
}

// know records the element type of every value, from the graph.
func (h *converter) know() {
	for _, v := range h.from.Graph.Inputs {
		h.types[v.Name] = v.DataType
	}
	for name, t := range h.tensors {
		h.types[name] = t.DataType
	}
	g := h.plan.Graph
	for _, n := range g.Nodes {
		h.origin[n.Name()] = n
		for _, r := range n.Results {
			if r.DType == format.Float32 {
				h.types[r.Name] = onnx.Float
			}
		}
	}
	for _, o := range g.Outputs {
		h.origin[o.Name] = o.Value.Node // under another name it is a separate node
		if o.Value.DType == format.Float32 {
			h.types[o.Name] = onnx.Float
		}
	}
}

// part returns the entry of float32Parts that a node of the model belongs to.
func (h *converter) part(n *onnx.Node) string {
	if of := h.origin[n.Outputs[0]]; of != nil {
		return h.plan.part[of]
	}
	return ""
}

// choose finds the values that stay float32.
func (h *converter) choose() {
	for _, n := range h.from.Graph.Nodes {
		part := h.part(n)
		if part != "" {
			h.counts[part]++
		}
		if part != "" || h.made(n) {
			for _, o := range n.Outputs {
				h.float[o] = true
			}
		}
		// The head is stored in 16 bits although it is read in float32. A mask
		// is not: its -1e9 is the reason for reading it in float32.
		if of := h.origin[n.Outputs[0]]; part == logitsProduct && isProduct(of.Op) && n.Op != "MatMulNBits" {
			for _, in := range n.Inputs {
				h.products[in] = true
			}
		}
	}
}

// made reports whether a node creates numbers without numeric inputs. Its
// readers cast the result.
func (h *converter) made(n *onnx.Node) bool {
	of := h.origin[n.Outputs[0]]
	if of == nil {
		return false
	}
	_, made := of.Op.(graph.ConstantOfShape)
	return made
}

// weights converts the initializers, except those read only in float32. The
// scales of an integer product that stays also stay: ONNX Runtime 1.30 packs
// them with the integers when it opens the file, and with a Cast in between
// (with optimizations off) it packs nothing and multiplies by 0.
func (h *converter) weights() error {
	halved, scales := map[string]bool{}, map[string]bool{}
	for _, n := range h.from.Graph.Nodes {
		for _, in := range n.Inputs {
			if h.part(n) == "" && !h.exact(n) {
				halved[in] = true
			} else if n.Op == "MatMulNBits" {
				scales[in] = true
			}
		}
	}
	for _, name := range h.order {
		t := h.tensors[name]
		if t.DataType != onnx.Float {
			continue
		}
		if scales[name] || !halved[name] && !h.products[name] {
			h.float[name] = true
			continue
		}
		if err := h.weight(t); err != nil {
			return err
		}
	}
	return nil
}

// weight converts one initializer.
func (h *converter) weight(t *onnx.Tensor) error {
	v, err := finiteFloats(t)
	if err != nil {
		return err
	}
	lowest := h.row.lowest
	if isMask(v, lowest) {
		v = slices.Clone(v)
		for i, x := range v {
			v[i] = max(x, float32(lowest))
		}
	}
	out, rounding, err := format.FromFloat32s(t.Name, []int{len(v)}, v).Convert(h.row.in)
	if err != nil {
		return err
	}
	if rounding.Overflowed > 0 {
		return &NumbersError{
			Tensor: t.Name,
			Reason: fmt.Sprintf("%d of its values are beyond the largest %s, %g", rounding.Overflowed, h.row.name, -lowest),
			Remedy: "take bfloat16, which has the range of float32",
		}
	}
	h.report.Rounding.Add(rounding)
	h.put(&onnx.Tensor{Name: t.Name, DataType: h.row.out, Dims: t.Dims, Raw: out.Data})
	return nil
}

// isMask reports whether v is added to scores: each number is 0 or below the
// lowest number of the type.
func isMask(v []float32, lowest float64) bool {
	some := false
	for _, x := range v {
		switch {
		case float64(x) < lowest:
			some = true
		case x != 0:
			return false
		}
	}
	return some
}

// home returns the type of a value in the new model.
func (h *converter) home(name string) onnx.DataType {
	t := h.types[name]
	if t == onnx.Float && !h.float[name] {
		return h.row.out
	}
	return t
}

// in returns the name of a float value cast to the type want.
func (h *converter) in(name string, want onnx.DataType) string {
	if h.types[name] != onnx.Float || h.home(name) == want {
		return name
	}
	if c := h.casts[name]; c != "" {
		return c
	}
	c := h.name(name + "." + want.String())
	h.casts[name] = c
	return h.node("Cast", c, []string{name}, onnx.IntAttr("to", int64(want)))
}

// exact reports whether a node computes something else from floating-point
// numbers: a comparison, or the index of the largest.
func (h *converter) exact(n *onnx.Node) bool {
	of := h.origin[n.Outputs[0]]
	return of != nil && !isFloat(of)
}

// add writes a node of the old model with its inputs in the type in which it
// works.
func (h *converter) add(n *onnx.Node) {
	made := *n
	made.Inputs = slices.Clone(n.Inputs)
	switch {
	case n.Op == "Cast": // accepts any type
		if h.types[n.Outputs[0]] == onnx.Float {
			made.Attributes = []onnx.Attribute{onnx.IntAttr("to", int64(h.home(n.Outputs[0])))}
		}
	default:
		want := h.row.out
		if h.part(n) != "" || h.exact(n) {
			want = onnx.Float
		}
		for i, in := range n.Inputs {
			made.Inputs[i] = h.in(in, want)
		}
		if n.Op == "MatMulNBits" && want != onnx.Float {
			made.Attributes = exactProduct(n.Attributes)
		}
	}
	h.nodes = append(h.nodes, &made)
}

// exactProduct returns the attributes of a MatMulNBits without permission to
// round activations. With it, ONNX Runtime 1.30's CPU gives wrong results in
// float16 that depend on the optimization level; GPUs do not use it.
func exactProduct(attrs []onnx.Attribute) []onnx.Attribute {
	return slices.DeleteFunc(slices.Clone(attrs), func(a onnx.Attribute) bool { return a.Name == "accuracy_level" })
}

// declare sets the types of inputs, outputs and values.
func (h *converter) declare(g *onnx.Graph) {
	for _, list := range []*[]onnx.ValueInfo{&g.Inputs, &g.Outputs, &g.Values} {
		*list = slices.Clone(*list)
		for i, v := range *list {
			if v.DataType == onnx.Float {
				(*list)[i].DataType = h.home(v.Name)
			}
		}
	}
}

// kept lists what stayed float32.
func (h *converter) kept() []Kept {
	var out []Kept
	for _, w := range float32Parts {
		if n := h.counts[w.what]; n > 0 {
			out = append(out, Kept{w.what, n, w.reason})
		}
	}
	return out
}
