package compare

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/internal/quote"
)

// numberOf returns the number for a text that describes a value completely.
func (c *comparison) numberOf(what string) int {
	n, ok := c.numbers[what]
	if !ok {
		n = len(c.numbers) + 1
		c.numbers[what] = n
	}
	return n
}

// number assigns a number to every value of a model. Values get the same
// number if the same operator with the same attributes computes them from the
// same inputs.
func (c *comparison) number(s *side) {
	give := func(name string, n int) {
		if settled, ok := c.settled[name]; ok && s == c.file {
			n = settled
		}
		s.numbers[name] = n
		s.known[n] = true
	}
	for _, in := range s.Graph.Inputs {
		if s.tensors[in.Name] == nil { // old files list initializers too
			give(in.Name, c.numberOf("input "+in.Name))
		}
	}
	for _, n := range s.Graph.Nodes {
		if constant(n) != nil {
			continue
		}
		if c.transparent(s, n) {
			give(n.Outputs[0], s.numbers[n.Inputs[0]])
			continue
		}
		inputs := make([]int, len(n.Inputs))
		for i, in := range n.Inputs {
			inputs[i] = s.numbers[in] // 0: omitted, or undefined
		}
		if commutes(n) {
			slices.Sort(inputs)
		}
		what := fmt.Sprint(operator(n), attributes(n, s.Opset()), inputs)
		for i, out := range n.Outputs {
			if out != "" {
				give(out, c.numberOf(fmt.Sprint(what, " result ", i)))
			}
		}
	}
}

// commutes reports whether the order of a node's inputs does not matter.
func commutes(n *onnx.Node) bool {
	return n.Domain == "" && slices.Contains([]string{"Add", "Mul", "Sum", "And", "Or", "Equal"}, n.Op)
}

// defaults are the default attributes of the operators that export writes,
// from ONNX's and ONNX Runtime's operator lists.
var defaults = map[string]map[string]string{
	"AveragePool":        {"auto_pad": `"NOTSET"`, "ceil_mode": "0", "count_include_pad": "0"},
	"BatchNormalization": {"epsilon": number(1e-5), "momentum": number(0.9), "training_mode": "0"},
	"Cast":               {"saturate": "1"},
	"Concat":             {},
	"Conv":               {"auto_pad": `"NOTSET"`, "group": "1"},
	"Gather":             {"axis": "0"},
	"GatherElements":     {"axis": "0"},
	"Gemm":               {"alpha": "1", "beta": "1", "transA": "0", "transB": "0"},
	"LayerNormalization": {"axis": "-1", "epsilon": number(1e-5), "stash_type": "1"},
	"LogSoftmax":         {"axis": "-1"},
	"MaxPool":            {"auto_pad": `"NOTSET"`, "ceil_mode": "0", "storage_order": "0"},
	"OneHot":             {"axis": "-1"},
	"ReduceMean":         {"keepdims": "1", "noop_with_empty_axes": "0"},
	"ReduceSum":          {"keepdims": "1", "noop_with_empty_axes": "0"},
	"Reshape":            {"allowzero": "0"},
	"ScatterElements":    {"axis": "0", "reduction": `"none"`},
	"Shape":              {"start": "0"},
	"Softmax":            {"axis": "-1"},
	"Split":              {"axis": "0"},
	"com.microsoft.GroupQueryAttention": {
		"causal": "1", "do_rotary": "0", "k_quant_type": `"NONE"`, "kv_cache_bit_width": "0", "local_window_size": "-1",
		"qk_norm_epsilon": number(1e-6), "qk_output": "0", "rotary_interleaved": "0", "sliding_window_cache": "0",
		"smooth_softmax": "-1", "softcap": "0", "v_quant_type": `"NONE"`,
	},
	"com.microsoft.MatMulNBits": {"accuracy_level": "0", "bits": "4", "weight_prepacked": "0"},
}

// attributes returns the attributes of a node, sorted, without those equal to
// their defaults.
func attributes(n *onnx.Node, opset int64) []string {
	var out []string
	for _, a := range n.Attributes {
		v := value(a)
		byDefault, ok := defaults[operator(n)][a.Name]
		if opset < 13 && (n.Op == "Softmax" || n.Op == "LogSoftmax") {
			byDefault = "1"
		}
		if !ok || v != byDefault {
			out = append(out, a.Name+" "+v)
		}
	}
	slices.Sort(out)
	return out
}

// value formats an attribute's value so that different values give different
// texts.
func value(a onnx.Attribute) string {
	switch a.Type {
	case onnx.AttrFloat:
		return number(a.Float)
	case onnx.AttrInt:
		return fmt.Sprint(a.Int)
	case onnx.AttrString:
		return strconv.Quote(string(a.String))
	case onnx.AttrInts:
		return fmt.Sprint(a.Ints)
	case onnx.AttrFloats:
		all := make([]string, len(a.Floats))
		for i, x := range a.Floats {
			all[i] = number(x)
		}
		return fmt.Sprint(all)
	case onnx.AttrStrings:
		return fmt.Sprintf("%x", a.Strings)
	case onnx.AttrTensor:
		return fmt.Sprintf("%d %v %x", a.Tensor.DataType, a.Tensor.Dims, a.Tensor.Raw)
	}
	return fmt.Sprintf("a graph %p", a.Graph) // always different
}

// number formats a float; NaN by its bits.
func number(x float32) string {
	if x != x {
		return fmt.Sprintf("NaN %#x", math.Float32bits(x))
	}
	return fmt.Sprintf("%.9g", x)
}

// attributesDiffer describes the first difference in the attributes of two
// nodes of one operator, or returns "".
func (c *comparison) attributesDiffer(f, w *onnx.Node) string {
	have, want := attributes(f, c.file.Opset()), attributes(w, c.want.Opset())
	if slices.Equal(have, want) {
		return ""
	}
	only := func(a, b []string) string {
		out := slices.DeleteFunc(slices.Clone(a), func(x string) bool { return slices.Contains(b, x) })
		return quote.Line(strings.Join(out, ", "), 200)
	}
	switch have, want := only(have, want), only(want, have); {
	case want == "":
		return fmt.Sprintf("has the attribute %s, export writes none", have)
	case have == "":
		return fmt.Sprintf("lacks the attribute %s, which export writes", want)
	default:
		return fmt.Sprintf("has the attribute %s, export writes %s", have, want)
	}
}
