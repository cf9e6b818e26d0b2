package precision

import (
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// Quantize is a form of weights as small integers.
type Quantize string

// The forms of weights.
const (
	// Int8 keeps weights as 8 bits with a scale for each output, and rounds
	// activations to 8 bits as they come: standard operators alone.
	Int8 Quantize = "int8"
	// Int4 keeps weights as 4 bits in blocks of 32: the operator MatMulNBits
	// of ONNX Runtime.
	Int4 Quantize = "int4"
)

// ParseQuantize returns the form of the given name.
func ParseQuantize(name string) (Quantize, error) {
	if q := Quantize(name); q == Int8 || q == Int4 {
		return q, nil
	}
	return "", fmt.Errorf("no quantization is called %.80q: take %s or %s", name, Int8, Int4)
}

// floatRow is an element type that a file's weights and activations can have.
type floatRow struct {
	name    string
	in      format.DType
	out     onnx.DataType
	lowest  float64 // the finite number furthest below 0
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

// ParseDType returns the floating-point type of the given name, as PyTorch and
// ONNX have it.
func ParseDType(name string) (format.DType, error) {
	for _, f := range floats {
		if f.name == name {
			return f.in, nil
		}
	}
	return format.Invalid, fmt.Errorf("no element type is called %.80q: take float32, float16 or bfloat16", name)
}

// The metadata of a file whose numbers are not float32.
const (
	MetaDType    = "attnx.dtype"    // float16 or bfloat16
	MetaQuantize = "attnx.quantize" // int8 or int4
)

// Numbers tells what a change of numbers did to a model.
type Numbers struct {
	DType    format.DType    // of weights and activations; format.Invalid where they are float32 still
	Rounding format.Rounding // of what took the type
	Quantize Quantize        // "" where no weights became integers
	Weights  int             // tensors that became integers
	// Error is the root mean square of what rounding to integers changed, over
	// that of the weights; WorstError the same of the tensor Worst.
	Error      float64
	Worst      string
	WorstError float64
	Kept       []Kept   // what did not change
	Remarks    []string // what a reader must know to run the file
}

// Kept is a part of a model that keeps its numbers, and why.
type Kept struct {
	What   string
	Nodes  int
	Reason string
}

// NumbersError says that the numbers of a model cannot become others.
type NumbersError struct {
	Tensor string // empty where it is the model's matter
	Reason string
	Remedy string
}

func (e *NumbersError) Error() string {
	if e.Tensor != "" {
		return fmt.Sprintf("export: tensor %.80q: %s; %s", e.Tensor, e.Reason, e.Remedy)
	}
	return fmt.Sprintf("export: %s; %s", e.Reason, e.Remedy)
}

// Form is the numbers that a model is to have.
type Form struct {
	DType    format.DType // of weights and activations; format.Invalid: float32
	Quantize Quantize     // weights as integers; "": as they are
}

// Changes reports whether a model has other numbers in this form than those of
// its checkpoint.
func (f Form) Changes() bool { return f.half() || f.Quantize != "" }

// Check returns a *NumbersError if no model can have these numbers.
func (f Form) Check() error {
	if f.Quantize == Int8 && f.half() {
		return &NumbersError{Reason: "DynamicQuantizeLinear takes float32 alone", Remedy: "take int8 without an element type, or int4 with it"}
	}
	if f.Quantize != "" && f.Quantize != Int8 && f.Quantize != Int4 {
		return &NumbersError{Reason: fmt.Sprintf("no quantization is called %.80q", f.Quantize), Remedy: fmt.Sprintf("take %s or %s", Int8, Int4)}
	}
	if f.DType != format.Invalid && !slices.ContainsFunc(floats, func(r floatRow) bool { return r.in == f.DType }) {
		return &NumbersError{Reason: fmt.Sprintf("%s is not a floating-point type of 16 bits", f.DType), Remedy: "take float16 or bfloat16"}
	}
	return nil
}

func (f Form) half() bool { return f.DType != format.Invalid && f.DType != format.Float32 }

// Apply gives a model the numbers of the form, as the graph that it was written
// from says where: integers first, which are made from the weights as they are.
// The model given stays as it is.
func (f Form) Apply(m *onnx.Model, from Source) (*onnx.Model, Numbers, error) {
	if err := f.Check(); err != nil {
		return nil, Numbers{}, err
	}
	var all Numbers
	var err error
	types := map[string]onnx.DataType{}
	if f.Quantize != "" {
		r := newRewrite(m, types)
		if m, all, err = quantized(r, from, f.Quantize); err != nil {
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
