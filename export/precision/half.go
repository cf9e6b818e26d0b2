package precision

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// Half returns m with weights, activations and the cache of keys and values in
// a floating-point type of 16 bits, and with float32 where whole lists. Values
// keep their names; where one is wanted in the other type it is cast once, to a
// value with the type behind its name. The model given stays as it is.
func Half(m *onnx.Model, to format.DType) (*onnx.Model, Numbers, error) {
	i := slices.IndexFunc(floats, func(f floatRow) bool { return f.in == to && f.out != onnx.Float })
	if i < 0 {
		return nil, Numbers{}, fmt.Errorf("export: %s is not a floating-point type of 16 bits: take float16 or bfloat16", to)
	}
	if v, ok := m.Metadata[MetaDType]; ok {
		return nil, Numbers{}, &NumbersError{Reason: "the model's numbers are " + v + " already", Remedy: "take the file as it was exported from the checkpoint"}
	}
	h := &halver{
		rewrite: newRewrite(m), row: floats[i], types: map[string]onnx.DataType{}, casts: map[string]string{},
		report: Numbers{DType: to, Remarks: slices.Clone(floats[i].remarks)},
	}
	if err := h.infer(); err != nil {
		return nil, Numbers{}, err
	}
	h.choose()
	if err := h.weights(); err != nil {
		return nil, Numbers{}, err
	}
	for _, n := range m.Graph.Nodes {
		h.add(n)
	}
	for _, n := range m.Graph.Nodes {
		if n.Domain == onnx.Microsoft && slices.Contains(inside, n.Op) {
			h.report.Remarks = append(h.report.Remarks, fmt.Sprintf("%s takes and gives %s: what it sums in is up to ONNX Runtime", n.Op, h.row.name))
		}
	}
	slices.Sort(h.report.Remarks)
	h.report.Remarks = slices.Compact(h.report.Remarks)
	out := h.model(map[string]string{MetaDType: h.row.name})
	h.declare(out.Graph)
	h.report.Kept = h.kept()
	return out, h.report, nil
}

// whole are the parts of a network that stay float32, and why.
var whole = []struct {
	what   string
	ops    []string
	reason string
}{
	{"softmax", []string{"Softmax", "LogSoftmax"}, "its sum of up to context terms would stop growing where a term is below the last digit"},
	{scoresAndMask, nil, "a hidden position is -1e9, which float16 does not have: it would be -Inf, and a row that is hidden " +
		"as a whole NaN; where a mask must be in the type it takes the type's lowest number, which is finite"},
	{"layer normalization", []string{"LayerNormalization"}, "mean and variance are sums over the width, and the sum of the layers before them grows with the depth"},
	{meanSquare, []string{"ReduceMean", "ReduceSum", "Sqrt"}, "the square of a number above 255 is beyond float16, and a sum over the width stops growing"},
	{angles, []string{"Sin", "Cos"}, "above 2048 float16 does not have every place of a token, and an angle would be off by whole turns"},
	{logitsProduct, nil, "at a logit of 100 neighbours in float16 are 0.06 apart, in bfloat16 0.5: the best token would be one of several"},
}

// The parts of whole that are found by where they stand.
const (
	scoresAndMask = "scores with their mask"
	meanSquare    = "mean square"
	angles        = "angles of positions"
	logitsProduct = "logits"
)

// inside are ONNX Runtime's own operators that hold a softmax or a
// normalization.
var inside = []string{"GroupQueryAttention", "SkipLayerNormalization"}

// elementwise are the operators that go with what they feed, where that stays
// float32: those between a mask or a product and the place that reads it.
var elementwise = []string{"Add", "Sum", "Sub", "Mul", "Where", "Slice", "Unsqueeze", "Expand", "Reshape", "Identity", "Gather", "Cast"}

// products are the operators that multiply matrices.
var products = []string{"MatMul", "Gemm", "MatMulNBits"}

// halver changes the floats of a model.
type halver struct {
	*rewrite
	row    floatRow
	types  map[string]onnx.DataType // of every value, in the old model
	float  map[string]bool          // values that stay float32
	part   map[*onnx.Node]string    // float32 nodes, and which entry of whole each belongs to
	casts  map[string]string        // values in the other type
	report Numbers
}

// infer finds the element type of every value.
func (h *halver) infer() error {
	for _, v := range h.from.Graph.Inputs {
		h.types[v.Name] = v.DataType
	}
	for name, t := range h.tensors {
		h.types[name] = t.DataType
	}
	for _, n := range h.from.Graph.Nodes {
		t, err := h.result(n)
		if err != nil {
			return err
		}
		for _, o := range n.Outputs {
			if o != "" { // else a result left out
				h.types[o] = t
			}
		}
	}
	return nil
}

// result returns the type of a node's results.
func (h *halver) result(n *onnx.Node) (onnx.DataType, error) {
	for _, a := range n.Attributes {
		switch {
		case a.Type == onnx.AttrGraph:
			return 0, &NumbersError{Reason: fmt.Sprintf("node %.80q (%s) has a graph of its own", n.Name, n.Op), Remedy: "export it without an element type"}
		case n.Op == "Cast" && a.Name == "to":
			return onnx.DataType(a.Int), nil
		case a.Type == onnx.AttrTensor:
			return a.Tensor.DataType, nil
		}
	}
	switch n.Op {
	case "Shape":
		return onnx.Int64, nil
	case "ArgMax", "ArgMin":
		return onnx.Int64, nil
	case "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Not", "And", "Or", "Xor":
		return onnx.Bool, nil
	case "Where", "OneHot":
		return h.types[n.Inputs[len(n.Inputs)-1]], nil
	case "DynamicQuantizeLinear", "QuantizeLinear", "DequantizeLinear", "MatMulInteger":
		return 0, &NumbersError{Reason: n.Op + " takes float32 alone", Remedy: "take int8 without an element type, or int4 with it"}
	case "ConstantOfShape":
		return onnx.Float, nil // without a value
	}
	if len(n.Inputs) == 0 {
		return 0, &NumbersError{Reason: fmt.Sprintf("node %.80q (%s) reads nothing that shows its type", n.Name, n.Op), Remedy: "export it without an element type"}
	}
	return h.types[n.Inputs[0]], nil
}

// choose finds the nodes that stay float32: those that the table names, and
// going back from each what leads to it alone.
func (h *halver) choose() {
	h.part = map[*onnx.Node]string{}
	readers := map[string][]*onnx.Node{}
	for _, n := range h.from.Graph.Nodes {
		for _, in := range n.Inputs {
			readers[in] = append(readers[in], n)
		}
		for _, w := range whole {
			if n.Domain == "" && slices.Contains(w.ops, n.Op) && h.types[n.Outputs[0]] == onnx.Float {
				h.part[n] = w.what
			}
		}
	}
	outputs := map[string]bool{}
	for _, o := range h.from.Graph.Outputs {
		outputs[o.Name] = true
	}
	for _, n := range slices.Backward(h.from.Graph.Nodes) {
		if h.part[n] != "" || h.types[n.Outputs[0]] != onnx.Float {
			continue
		}
		if n.Outputs[0] == logits {
			h.part[n] = logitsProduct
			continue
		}
		if outputs[n.Outputs[0]] || !slices.Contains(elementwise, n.Op) && !slices.Contains(products, n.Op) {
			continue
		}
		// What goes to the softmax only; what goes to the logits only, up to
		// their product.
		goal := ""
		for i, r := range readers[n.Outputs[0]] {
			g := h.goal(r)
			if i > 0 && g != goal {
				g = ""
			}
			if goal = g; g == "" {
				break
			}
		}
		switch {
		case goal != "" && slices.Contains(elementwise, n.Op), goal == logitsProduct:
			h.part[n] = goal
		}
	}
	h.normalized()
	h.float = map[string]bool{}
	for n := range h.part {
		for _, o := range n.Outputs {
			h.float[o] = true
		}
	}
	for _, n := range h.from.Graph.Nodes {
		if slices.Contains([]string{"Constant", "ConstantOfShape", "Range"}, n.Op) {
			h.float[n.Outputs[0]] = true // cast by whoever reads it
		}
	}
}

// normalized adds the divisions by a root: what they give is near 1, whatever
// they read.
func (h *halver) normalized() {
	roots := map[string]bool{}
	for _, n := range h.from.Graph.Nodes {
		switch {
		case n.Op == "Sqrt" && h.part[n] == meanSquare:
			roots[n.Outputs[0]] = true
		case n.Op == "Div" && roots[n.Inputs[1]] && h.part[n] == "":
			h.part[n] = meanSquare
		}
	}
}

// logits is the output that keeps float32.
const logits = "logits"

// goal returns what a node that reads a value makes of it that stays float32.
func (h *halver) goal(reader *onnx.Node) string {
	switch part := h.part[reader]; {
	case part == "softmax", part == scoresAndMask:
		return scoresAndMask
	case part == meanSquare, part == angles:
		return part
	case part == logitsProduct && !slices.Contains(products, reader.Op):
		return logitsProduct
	}
	return ""
}

// weights converts the initializers. One that is read in float32 alone stays;
// so do the scales of a product of integers that stays: ONNX Runtime 1.30 packs
// them with the integers when it opens the file, and where a Cast stands
// between (with its optimizations off) it packs nothing and multiplies by 0.
func (h *halver) weights() error {
	halved, scales := map[string]bool{}, map[string]bool{}
	for _, n := range h.from.Graph.Nodes {
		for _, in := range n.Inputs {
			if h.part[n] == "" {
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
		if scales[name] || !halved[name] && !h.large(t) {
			h.float[name] = true
			continue
		}
		if err := h.weight(t); err != nil {
			return err
		}
	}
	return nil
}

// large reports whether t is a table that is stored in 16 bits though it is
// read in float32: the head. The mask is not, its -1e9 is why it is read so.
func (h *halver) large(t *onnx.Tensor) bool {
	for _, n := range h.from.Graph.Nodes {
		if h.part[n] == logitsProduct && slices.Contains(products, n.Op) && slices.Contains(n.Inputs, t.Name) && n.Op != "MatMulNBits" {
			return true
		}
	}
	return false
}

// weight converts one initializer.
func (h *halver) weight(t *onnx.Tensor) error {
	if t.External != nil {
		return &NumbersError{Tensor: t.Name, Reason: "its elements lie in another file", Remedy: "load them into the model first"}
	}
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

// isMask reports whether v is what is added to scores: 0, or below what the
// type has.
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

// home returns the type that a value has in the new model.
func (h *halver) home(name string) onnx.DataType {
	t := h.types[name]
	if t == onnx.Float && !h.float[name] {
		return h.row.out
	}
	return t
}

// in returns the name of a float value in the type want.
func (h *halver) in(name string, want onnx.DataType) string {
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

// add writes a node of the old model with what it reads in the type that it
// works in.
func (h *halver) add(n *onnx.Node) {
	made := *n
	made.Inputs = slices.Clone(n.Inputs)
	switch {
	case n.Op == "Cast": // reads any type
		if h.types[n.Outputs[0]] == onnx.Float {
			made.Attributes = []onnx.Attribute{onnx.IntAttr("to", int64(h.home(n.Outputs[0])))}
		}
	default:
		want := h.row.out
		if h.part[n] != "" {
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

// exactProduct returns the attributes of a MatMulNBits without leave to round
// activations. In float16 ONNX Runtime 1.30's CPU gives wrong results with it,
// other ones at other levels of optimization; GPUs do not use it.
func exactProduct(attrs []onnx.Attribute) []onnx.Attribute {
	return slices.DeleteFunc(slices.Clone(attrs), func(a onnx.Attribute) bool { return a.Name == "accuracy_level" })
}

// declare gives inputs, outputs and values their types.
func (h *halver) declare(g *onnx.Graph) {
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
func (h *halver) kept() []Kept {
	nodes := map[string]int{}
	for _, part := range h.part {
		nodes[part]++
	}
	var out []Kept
	for _, w := range whole {
		if n := nodes[w.what]; n > 0 {
			out = append(out, Kept{w.what, n, w.reason})
		}
	}
	return out
}
