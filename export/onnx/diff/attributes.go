package diff

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
	"github.com/attnx/attnx/internal/quote"
)

// attribute is what an attribute is, whether the file says it or not.
type attribute struct {
	*onnx.Attribute
	byDefault bool
}

// becameInputs lists attributes that later versions of an operator take as inputs
// (ONNX's Changelog.md).
var becameInputs = map[string][]struct {
	attribute string
	input     int
}{
	"Clip": {{"min", 1}, {"max", 2}}, "Dropout": {{"ratio", 1}}, "Pad": {{"pads", 1}, {"value", 2}}, "Reshape": {{"shape", 1}},
	"Slice": {{"starts", 1}, {"ends", 2}, {"axes", 3}}, "Split": {{"split", 1}}, "Squeeze": {{"axes", 1}}, "Unsqueeze": {{"axes", 1}},
	"TopK": {{"k", 1}}, "Upsample": {{"scales", 1}},
	"ReduceL1": {{"axes", 1}}, "ReduceL2": {{"axes", 1}}, "ReduceLogSum": {{"axes", 1}}, "ReduceLogSumExp": {{"axes", 1}}, "ReduceMax": {{"axes", 1}},
	"ReduceMean": {{"axes", 1}}, "ReduceMin": {{"axes", 1}}, "ReduceProd": {{"axes", 1}}, "ReduceSum": {{"axes", 1}}, "ReduceSumSquare": {{"axes", 1}},
}

// normalize sets the attributes of a node, in a form that does not depend on what
// the file leaves to defaults, nor on the version that made an attribute an input.
func (s *side) normalize(n *node) {
	domain := standard(n.Domain)
	op := schema.Lookup(domain, n.Op, s.opsets[domain])
	known := map[string]bool{}
	for i := range n.Attributes {
		a := &n.Attributes[i]
		known[a.Name] = true
		if a.Graph != nil || len(a.Graphs) > 0 {
			continue // compared as graphs
		}
		switch d := defaultOf(op, a.Name); {
		case s.asInput(n, a, d):
		case domain == "" && unsaid(n.Op, a):
		default:
			n.attributes = append(n.attributes, attribute{a, d != nil && equalAttributes(a, d)})
		}
	}
	if op != nil {
		for i := range op.Attributes {
			if d := op.Attributes[i].Default; d != nil && !known[d.Name] && !becomesInput(n, d.Name) {
				n.attributes = append(n.attributes, attribute{d, true})
			}
		}
	}
	slices.SortStableFunc(n.attributes, func(a, b attribute) int { return cmp.Compare(a.Name, b.Name) })
}

func defaultOf(op *schema.Operator, name string) *onnx.Attribute {
	if op == nil {
		return nil
	}
	if a := op.Attribute(name); a != nil {
		return a.Default
	}
	return nil
}

func becomesInput(n *node, name string) bool {
	if standard(n.Domain) != "" {
		return false
	}
	for _, row := range becameInputs[n.Op] {
		if row.attribute == name {
			return true
		}
	}
	return false
}

// asInput makes an attribute the input that later versions have in its place.
func (s *side) asInput(n *node, a, byDefault *onnx.Attribute) bool {
	if a.Ref != "" || !becomesInput(n, a.Name) {
		return false
	}
	if byDefault != nil && equalAttributes(a, byDefault) {
		return true // as without the input
	}
	t := tensorOf(a)
	if t == nil {
		return false
	}
	if n.Op == "TopK" {
		t.Dims = []int64{1}
	}
	for _, row := range becameInputs[n.Op] {
		if row.attribute != a.Name {
			continue
		}
		for len(n.ins) <= row.input {
			n.ins = append(n.ins, -1)
		}
		if n.ins[row.input] >= 0 {
			return false
		}
		n.ins[row.input] = s.value(value{maker: -1, stored: &stored{attribute: a.Name, tensor: t}})
		return true
	}
	return false
}

// unsaid reports whether an attribute says what holds without it (ONNX's
// Operators.md: these defaults depend on the rank, so the schema has none).
func unsaid(op string, a *onnx.Attribute) bool {
	all := func(x int64) bool { return !slices.ContainsFunc(a.Ints, func(v int64) bool { return v != x }) }
	windows := slices.Contains([]string{"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool", "LpPool"}, op)
	switch {
	case a.Type != onnx.AttrInts:
	case windows && (a.Name == "strides" || a.Name == "dilations"):
		return all(1)
	case windows && (a.Name == "pads" || a.Name == "output_padding"):
		return all(0)
	case strings.Contains(op, "Conv") && a.Name == "kernel_shape": // that of the weight
		return windows
	case op == "Transpose" && a.Name == "perm":
		for i, v := range a.Ints {
			if v != int64(len(a.Ints)-1-i) {
				return false
			}
		}
		return true
	}
	return false
}

// equalAttributes compares two values. Graphs are compared elsewhere.
func equalAttributes(a, b *onnx.Attribute) bool {
	floats := func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) }
	if a.Type != b.Type || a.Ref != b.Ref {
		return false
	}
	switch a.Type {
	case onnx.AttrFloat:
		return floats(a.Float, b.Float)
	case onnx.AttrInt:
		return a.Int == b.Int
	case onnx.AttrString:
		return bytes.Equal(a.String, b.String)
	case onnx.AttrTensor:
		return equalTensors(a.Tensor, b.Tensor)
	case onnx.AttrFloats:
		return slices.EqualFunc(a.Floats, b.Floats, floats)
	case onnx.AttrInts:
		return slices.Equal(a.Ints, b.Ints)
	case onnx.AttrStrings:
		return slices.EqualFunc(a.Strings, b.Strings, bytes.Equal)
	case onnx.AttrTensors:
		return slices.EqualFunc(a.Tensors, b.Tensors, equalTensors)
	case onnx.AttrSparse, onnx.AttrSparses:
		return slices.EqualFunc(a.Sparse, b.Sparse, func(x, y *onnx.SparseTensor) bool {
			return slices.Equal(x.Dims, y.Dims) && equalTensors(x.Values, y.Values) && equalTensors(x.Indices, y.Indices)
		})
	case onnx.AttrType, onnx.AttrTypes:
		return slices.EqualFunc(a.Types, b.Types, func(x, y *onnx.Type) bool { return x.String() == y.String() })
	}
	return true
}

// equalTensors compares tensors whose elements are in the file, as those of
// attributes are.
func equalTensors(a, b *onnx.Tensor) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.DataType == b.DataType && slices.Equal(a.Dims, b.Dims) && bytes.Equal(a.Raw, b.Raw) && slices.EqualFunc(a.Strings, b.Strings, bytes.Equal) &&
		(a.External == nil) == (b.External == nil) && (a.External == nil || a.External.Location == b.External.Location && a.External.Offset == b.External.Offset)
}

// hash returns a hash of a value.
func (a attribute) hash() hash {
	h := seed.text(a.Name).text(a.Ref).add(hash(a.Type)).add(hash(math.Float32bits(a.Float))).add(hash(a.Int)).text(string(a.String))
	for _, v := range a.Floats {
		h = h.add(hash(math.Float32bits(v)))
	}
	for _, v := range a.Ints {
		h = h.add(hash(v))
	}
	for _, v := range a.Strings {
		h = h.text(string(v))
	}
	for _, t := range append(slices.Clone(a.Tensors), a.Tensor) {
		if t != nil {
			h = h.add(hash(t.DataType)).text(string(t.Raw))
		}
	}
	return h
}

// shownElements bounds the elements of an attribute that a report shows.
const shownElements = 8

// text returns a value for a report.
func (a attribute) text() string {
	text := valueText(a.Attribute)
	if a.byDefault {
		text += " (the default)"
	}
	return text
}

func valueText(a *onnx.Attribute) string {
	if a.Ref != "" {
		return "attribute " + quote.Line(a.Ref, 80) + " of the function"
	}
	switch a.Type {
	case onnx.AttrFloat:
		return float(a.Float)
	case onnx.AttrInt:
		return strconv.FormatInt(a.Int, 10)
	case onnx.AttrString:
		return quote.String(string(a.String))
	case onnx.AttrFloats:
		return list(a.Floats, float)
	case onnx.AttrInts:
		return list(a.Ints, func(v int64) string { return strconv.FormatInt(v, 10) })
	case onnx.AttrStrings:
		return list(a.Strings, func(v []byte) string { return quote.String(string(v)) })
	case onnx.AttrTensor:
		if a.Tensor != nil {
			return (&stored{tensor: a.Tensor}).text()
		}
	case onnx.AttrType, onnx.AttrTypes:
		return list(a.Types, (*onnx.Type).String)
	case onnx.AttrTensors:
		return fmt.Sprintf("%d tensors", len(a.Tensors))
	}
	return a.Type.String()
}

func float(v float32) string { return strconv.FormatFloat(float64(v), 'g', -1, 32) }

func list[T any](values []T, text func(T) string) string {
	var texts []string
	for _, v := range values[:min(len(values), shownElements)] {
		texts = append(texts, text(v))
	}
	if more := len(values) - shownElements; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more", more))
	}
	return "[" + strings.Join(texts, ",") + "]"
}
