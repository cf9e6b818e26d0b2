package placement

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
)

// attributes are a node's attributes by name, or the operator's defaults.
type attributes struct {
	node *onnx.Node
	op   *schema.Operator
}

// get returns an attribute's value, the default if the node has none, nil if there is
// neither.
func (a attributes) get(name string) *onnx.Attribute {
	for i := range a.node.Attributes {
		if x := &a.node.Attributes[i]; x.Name == name {
			return x
		}
	}
	if x := a.op.Attribute(name); x != nil {
		return x.Default
	}
	return nil
}

func (a attributes) text(name, otherwise string) string {
	if x := a.get(name); x != nil {
		return string(x.String)
	}
	return otherwise
}

func (a attributes) int(name string, otherwise int64) int64 {
	if x := a.get(name); x != nil {
		return x.Int
	}
	return otherwise
}

// ask returns what a kernel refuses of its node's attributes when it is made; "" if
// nothing.
type ask func(a attributes) string

// among asks for one of a few texts.
func among(name, otherwise string, values ...string) ask {
	return func(a attributes) string {
		if v := a.text(name, otherwise); !slices.Contains(values, v) {
			return fmt.Sprintf("attribute %.80q is %.80q, its kernel takes %s", name, v, strings.Join(values, ", "))
		}
		return ""
	}
}

// between asks for an integer in a range. An attribute that is missing is otherwise.
func between(name string, otherwise, least, most int64) ask {
	return func(a attributes) string {
		if v := a.int(name, otherwise); v < least || v > most {
			return fmt.Sprintf("attribute %.80q is %d, its kernel takes %d to %d", name, v, least, most)
		}
		return ""
	}
}

// from asks only from a version of the operator on.
func from(version int64, list ...ask) ask {
	return func(a attributes) string {
		if a.op.Since < version {
			return ""
		}
		return all(list...)(a)
	}
}

// all asks for several things.
func all(list ...ask) ask {
	return func(a attributes) string {
		for _, x := range list {
			if why := x(a); why != "" {
				return why
			}
		}
		return ""
	}
}

// resizing is what UpsampleBase asks (onnxruntime/core/providers/cpu/tensor/upsamplebase.h).
func resizing(a attributes) string {
	mode := a.text("mode", "nearest")
	switch {
	case a.int("antialias", 0) != 0 && mode == "nearest":
		return "antialias with the mode nearest"
	case a.int("exclude_outside", 0) != 0 && mode != "cubic" && (mode != "linear" || a.int("antialias", 0) == 0):
		return fmt.Sprintf("exclude_outside with the mode %.80q", mode)
	case mode != "nearest":
		return ""
	}
	return among("nearest_mode", "round_prefer_floor", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil")(a)
}

// padded asks that pads are smaller than the kernel
// (onnxruntime/core/providers/cpu/nn/pool_attributes.h).
func padded(a attributes) string {
	kernel, pads := a.get("kernel_shape"), a.get("pads")
	if kernel == nil || pads == nil {
		return ""
	}
	for i, p := range pads.Ints {
		if n := len(kernel.Ints); n > 0 && p >= kernel.Ints[i%n] {
			return fmt.Sprintf("pads %v are not smaller than the kernel %v", pads.Ints, kernel.Ints)
		}
	}
	return ""
}

// permutation asks that perm has each axis up to its length once
// (onnxruntime/core/providers/cpu/tensor/transpose.h).
func permutation(a attributes) string {
	perm := a.get("perm")
	if perm == nil {
		return ""
	}
	sorted := slices.Sorted(slices.Values(perm.Ints))
	for i, p := range sorted {
		if p != int64(i) {
			return fmt.Sprintf("perm %v is no permutation", perm.Ints)
		}
	}
	return ""
}

// saturating asks that saturate is set only for numbers of 8 bits
// (onnxruntime/core/providers/cpu/tensor/cast_op.cc).
func saturating(a attributes) string {
	to := onnx.DataType(a.int("to", 0))
	if a.int("saturate", 1) != 0 || slices.Contains([]onnx.DataType{onnx.Float8E4M3FN, onnx.Float8E4M3FNUZ, onnx.Float8E5M2, onnx.Float8E5M2FNUZ}, to) {
		return ""
	}
	return fmt.Sprintf("saturate with elements of %s", to)
}

// attending asks for a positive scale, and for a mode of the fourth output if there is
// one (onnxruntime/core/providers/cpu/llm/attention.cc).
func attending(a attributes) string {
	if len(a.node.Outputs) > 3 && a.node.Outputs[3] != "" {
		if why := between("qk_matmul_output_mode", 0, 0, 3)(a); why != "" {
			return why
		}
	}
	if x := a.get("scale"); x != nil && !(x.Float > 0) && !math.IsNaN(float64(x.Float)) {
		return fmt.Sprintf("scale is %g, its kernel takes positive ones", x.Float)
	}
	return ""
}

var (
	pads      = among("auto_pad", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "")
	pools     = all(pads, padded)
	recurrent = all(
		between("hidden_size", 0, 1, math.MaxInt32), among("direction", "forward", "forward", "reverse", "bidirectional"),
		between("layout", 0, 0, 0)) // CUDA's asks for it (onnxruntime/core/providers/cuda/rnn/cudnn_rnn_base.h)
	flag = func(name string) ask { return between(name, 0, 0, 1) }
)

// asked lists what the kernels of the standard domain ask of attributes when ONNX
// Runtime makes them, which no schema has. The file must be refused then, though it
// is valid ONNX.
var asked = map[string]ask{
	"Attention":   attending,
	"AveragePool": pools, "MaxPool": pools, "LpPool": pools, "Conv": pads, "ConvTranspose": pads, "ConvInteger": pads, "QLinearConv": pads,
	"BitShift":     among("direction", "", "LEFT", "RIGHT"),
	"Cast":         from(19, saturating),
	"CumSum":       all(flag("exclusive"), flag("reverse")),
	"DepthToSpace": from(11, among("mode", "DCR", "DCR", "CRD")),
	"GridSample": all(
		func(a attributes) string {
			if a.op.Since < 20 {
				return among("mode", "bilinear", "bilinear", "nearest", "bicubic")(a)
			}
			return among("mode", "linear", "linear", "nearest", "cubic")(a)
		}, among("padding_mode", "zeros", "zeros", "border", "reflection")),
	"GRU": recurrent, "LSTM": recurrent, "RNN": recurrent,
	"LpNormalization":   between("p", 2, 1, 2),
	"LRN":               between("size", 0, 1, math.MaxInt64),
	"NonMaxSuppression": flag("center_point_box"),
	"Pad":               among("mode", "constant", "constant", "reflect", "edge", "wrap"),
	"Resize": all(among("mode", "nearest", "nearest", "linear", "cubic"), from(11,
		among("coordinate_transformation_mode", "half_pixel", "asymmetric", "pytorch_half_pixel", "tf_half_pixel_for_nn", "align_corners", "tf_crop_and_resize", "half_pixel", "half_pixel_symmetric"), resizing)),
	"RoiAlign":        all(among("mode", "avg", "avg", "max"), from(16, among("coordinate_transformation_mode", "half_pixel", "half_pixel", "output_half_pixel"))),
	"RotaryEmbedding": all(between("rotary_embedding_dim", 0, 0, math.MaxInt32), between("num_heads", 0, 0, math.MaxInt32)),
	"TensorScatter":   among("mode", "linear", "linear", "circular"),
	"Transpose":       permutation,
	"Upsample":        among("mode", "nearest", "nearest", "linear"),
}

// refusedByKernel returns what the node's kernel refuses of its attributes.
func refusedByKernel(n *onnx.Node, op *schema.Operator) string {
	if f := asked[n.Op]; f != nil && standard(n.Domain) == "" {
		return f(attributes{n, op})
	}
	return ""
}
