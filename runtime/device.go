package runtime

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// Device is a model opened on the device that runs it, with tensors that stay
// there. It has only the methods that the decode loop needs. Inputs and outputs
// are numbered by their index in Inputs and Outputs. Only one goroutine may use
// it at a time.
type Device interface {
	Inputs() []Value
	Outputs() []Value
	// Metadata returns the value of a key in the model's metadata; ok is false if
	// the key is missing.
	Metadata(key string) (value string, ok bool)

	// Alloc returns n zeroed bytes of the device's memory, which live until Close.
	Alloc(n int) (Memory, error)
	// BindInput makes the tensor of the given shape, offset bytes into m, an input
	// of the following runs. Run reads the bytes.
	BindInput(i int, m Memory, offset int, shape []int) error
	// BindOutput makes the following runs write an output there. Run returns an
	// error if an output was never bound.
	BindOutput(i int, m Memory, offset int, shape []int) error
	// Run computes every output from the bound inputs and returns when the results
	// can be read. A replay greater than 0 identifies runs with the same memory and
	// shapes: a device may record its work in the first of them and repeat it in
	// the others.
	Run(replay int) error

	// Write copies src to the device; Read copies from the device.
	Write(m Memory, offset int, src []byte) error
	Read(m Memory, offset int, dst []byte) error
	// Close frees the model and the memory. A second Close does nothing.
	Close() error
}

// Memory is a block of a device's memory.
type Memory interface {
	// Bytes returns the memory itself if the processor can read and write it.
	// Otherwise it returns nil, and the memory is accessed through Device's Write
	// and Read.
	Bytes() []byte
	// Size is the size in bytes.
	Size() int
}

// Value describes one input or output that a model declares.
type Value struct {
	Name  string
	DType format.DType
	Shape []Dim // empty for a scalar, and if Ranked is false
	// Ranked is false if the file declares no shape.
	Ranked bool
}

// Dim is one declared dimension: a number, or the name of a size that is known
// only when the model runs.
type Dim struct {
	Size int    // in elements; 0 is a valid size, and named dimensions have 0 too
	Name string // such as "batch_size"; "?" if the file gives neither a size nor a name
}

// String returns the number or the name.
func (d Dim) String() string {
	if d.Name != "" {
		return d.Name
	}
	return strconv.Itoa(d.Size)
}

// String returns v as its name, type and shape: I64[batch_size,sequence_length].
// It shortens long names and shapes, which a hostile file may contain.
func (v Value) String() string {
	name := quote.Line(v.Name, 80)
	if !v.Ranked {
		return fmt.Sprintf("%s %s[...]", name, v.DType)
	}
	var dims []string
	for _, d := range v.Shape[:min(len(v.Shape), 16)] {
		dims = append(dims, quote.Line(d.String(), 40))
	}
	if len(v.Shape) > 16 {
		dims = append(dims, "...")
	}
	return fmt.Sprintf("%s %s[%s]", name, v.DType, strings.Join(dims, ","))
}
