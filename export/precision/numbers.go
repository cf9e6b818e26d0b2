package precision

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// Quantize is an integer type for weights.
type Quantize string

// Integer types for weights.
const (
	// Int8 stores weights in 8 bits with a scale for each output, and rounds
	// activations to 8 bits at run time. It uses standard operators only.
	Int8 Quantize = "int8"
	// Int4 stores weights in 4 bits in blocks of 32. It uses ONNX Runtime's
	// operator MatMulNBits.
	Int4 Quantize = "int4"
)

// ParseQuantize returns the named type.
func ParseQuantize(name string) (Quantize, error) {
	if q := Quantize(name); q == Int8 || q == Int4 {
		return q, nil
	}
	return "", fmt.Errorf("unknown quantization %.80q: take %s or %s", name, Int8, Int4)
}

// floatRow is an element type for weights and activations.
type floatRow struct {
	name    string
	in      format.DType
	out     onnx.DataType
	lowest  float64 // the lowest finite number
	remarks []string
}

var floats = []floatRow{
	{"float32", format.Float32, onnx.Float, -math.MaxFloat32, nil},
	{"float16", format.Float16, onnx.Float16, -65504, []string{
		"ONNX Runtime's CPU has few operators in float16 and casts around the others: it is for GPUs",
	}},
	{"bfloat16", format.BFloat16, onnx.BFloat16, -0x1.fep127, []string{
		"ONNX Runtime's CPU has no product in bfloat16 and refuses the file: it is for GPUs",
	}},
}

// ParseDType returns the named floating-point type, with the names of PyTorch
// and ONNX.
func ParseDType(name string) (format.DType, error) {
	for _, f := range floats {
		if f.name == name {
			return f.in, nil
		}
	}
	return format.Invalid, fmt.Errorf("unknown element type %.80q: take float32, float16 or bfloat16", name)
}

// Metadata of a file whose number types are not float32.
const (
	MetaDType    = "attnx.dtype"    // float16 or bfloat16
	MetaQuantize = "attnx.quantize" // int8 or int4
	MetaKeep     = "attnx.keep"     // a Keep
)

// Numbers reports the effect of changing a model's number types.
type Numbers struct {
	DType    format.DType    // of weights and activations; format.Invalid if they stayed float32
	Rounding format.Rounding // of the tensors that changed type
	Quantize Quantize        // "" if no weights became integers
	Weights  int             // tensors that became integers
	// Error is the root mean square change of the weights by rounding to
	// integers, relative to that of the weights; WorstError is that of the
	// tensor Worst.
	Error      float64
	Worst      string
	WorstError float64
	Kept       []Kept   // what did not change
	Remarks    []string // conditions for running the file
}

// Join adds what was measured of another part of the same model.
func (n *Numbers) Join(o Numbers) {
	n.DType, n.Quantize = o.DType, o.Quantize
	n.Rounding.Add(o.Rounding)
	if all := n.Weights + o.Weights; all > 0 {
		n.Error = math.Sqrt((float64(n.Weights)*n.Error*n.Error + float64(o.Weights)*o.Error*o.Error) / float64(all))
	}
	n.Weights += o.Weights
	if o.WorstError > n.WorstError {
		n.Worst, n.WorstError = o.Worst, o.WorstError
	}
	for _, k := range o.Kept {
		if i := slices.IndexFunc(n.Kept, func(have Kept) bool { return have.What == k.What }); i >= 0 {
			n.Kept[i].Nodes += k.Nodes
		} else {
			n.Kept = append(n.Kept, k)
		}
	}
	for _, r := range o.Remarks {
		if !slices.Contains(n.Remarks, r) {
			n.Remarks = append(n.Remarks, r)
		}
	}
}

// Kept is a part of a model whose numbers do not change, and the reason.
type Kept struct {
	What   string
	Nodes  int
	Reason string
}

// NumbersError reports that the number types of a model cannot be changed.
type NumbersError struct {
	Tensor string // empty if it is about the whole model
	Reason string
	Remedy string
}

// ErrNoProduct reports that a model has no weights that integers can replace.
var ErrNoProduct error = &NumbersError{Reason: "no product in the model has a matrix of weights as its second factor", Remedy: "export it without quantization"}

func (e *NumbersError) Error() string {
	if e.Tensor != "" {
		return fmt.Sprintf("export: tensor %.80q: %s; %s", e.Tensor, e.Reason, e.Remedy)
	}
	return fmt.Sprintf("export: %s; %s", e.Reason, e.Remedy)
}

// Form is the number types of a model.
type Form struct {
	DType    format.DType // of weights and activations; format.Invalid: float32
	Quantize Quantize     // weights as integers; "": unchanged
	Keep     Keep         // weights that do not get these integers; "": none
}

// Changes reports whether the form differs from that of a checkpoint.
func (f Form) Changes() bool { return f.half() || f.Quantize != "" }

// Check returns a *NumbersError if no model can have this form.
func (f Form) Check() error {
	if f.Quantize == Int8 && f.half() {
		return &NumbersError{Reason: "DynamicQuantizeLinear supports float32 only", Remedy: "take int8 without an element type, or int4 with it"}
	}
	if f.Quantize != "" && f.Quantize != Int8 && f.Quantize != Int4 {
		return &NumbersError{Reason: fmt.Sprintf("unknown quantization %.80q", f.Quantize), Remedy: fmt.Sprintf("take %s or %s", Int8, Int4)}
	}
	if err := f.Keep.check(f.Quantize); err != nil {
		return err
	}
	if f.DType != format.Invalid && !slices.ContainsFunc(floats, func(r floatRow) bool { return r.in == f.DType }) {
		return &NumbersError{Reason: fmt.Sprintf("%s is not a floating-point type of 16 bits", f.DType), Remedy: "take float16 or bfloat16"}
	}
	return nil
}

func (f Form) half() bool { return f.DType != format.Invalid && f.DType != format.Float32 }

// Apply converts a model to the form. from is its source graph, which decides
// what changes. It quantizes first, from the original weights. It does not
// change m.
func (f Form) Apply(m *onnx.Model, from Source) (*onnx.Model, Numbers, error) {
	if err := f.Check(); err != nil {
		return nil, Numbers{}, err
	}
	var all Numbers
	var err error
	types := map[string]onnx.DataType{}
	if f.Quantize != "" {
		r := newRewrite(m, types)
		if m, all, err = quantized(r, from, f); err != nil {
			return nil, Numbers{}, err
		}
	}
	if f.half() {
		var n Numbers
		if m, n, err = half(newRewrite(m, types), from, f.DType); err != nil {
			return nil, Numbers{}, err
		}
		all.DType, all.Rounding = n.DType, n.Rounding
		all.Kept, all.Remarks = append(all.Kept, n.Kept...), append(all.Remarks, n.Remarks...)
	}
	return m, all, nil
}
