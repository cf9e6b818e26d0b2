package runtime

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// Device is one model opened where it runs, with tensors that stay there: what
// the decode loop needs of a runtime, and nothing else. Inputs and outputs go
// by their place in Inputs and Outputs. It is used by one goroutine at a time.
type Device interface {
	Inputs() []Value
	Outputs() []Value
	// Metadata returns the value of a key in the model's metadata; ok is false
	// if it has no such key.
	Metadata(key string) (value string, ok bool)

	// Alloc returns n bytes of the device's memory, all zero, that live until
	// Close.
	Alloc(n int) (Memory, error)
	// BindInput makes a tensor of the given shape that begins offset bytes into
	// m an input of the runs to come. The bytes are read when Run is called.
	BindInput(i int, m Memory, offset int, shape []int) error
	// BindOutput has the runs to come write an output there. An output that is
	// never bound is an error of Run.
	BindOutput(i int, m Memory, offset int, shape []int) error
	// Run computes every output from what is bound and returns when the
	// results are there to be read. A replay greater than 0 names a run whose
	// memory and shapes are those of every other run of that name: a device
	// that can records its work the first time and repeats it afterwards.
	Run(replay int) error

	// Write copies src to the device, Read copies from it.
	Write(m Memory, offset int, src []byte) error
	Read(m Memory, offset int, dst []byte) error
	// Close frees the model and the memory. Closing twice is no error.
	Close() error
}

// Memory is a stretch of a device's memory.
type Memory interface {
	// Bytes is the memory itself where the processor can read and write it,
	// nil where Device's Write and Read have to.
	Bytes() []byte
	// Size is the number of its bytes.
	Size() int
}

// Value describes one input or output that a model declares.
type Value struct {
	Name  string
	DType format.DType
	Shape []Dim // empty for a scalar, and where Ranked is false
	// Ranked is false where the file declares no shape at all.
	Ranked bool
}

// Dim is one declared dimension: a number or a name for a number that is
// known when the model runs.
type Dim struct {
	Size int    // elements; 0 is a size, and a named dimension has 0 here too
	Name string // such as "batch_size"; "?" where the file gives neither
}

// String returns the number or the name.
func (d Dim) String() string {
	if d.Name != "" {
		return d.Name
	}
	return strconv.Itoa(d.Size)
}

// String returns v as its name, type and shape: I64[batch_size,sequence_length].
// A hostile file's name or shape is cut short.
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
