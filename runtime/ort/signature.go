package ort

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
)

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

// String returns v as "input_ids I64[batch_size,sequence_length]".
func (v Value) String() string {
	if !v.Ranked {
		return fmt.Sprintf("%s %s[...]", v.Name, v.DType)
	}
	dims := make([]string, len(v.Shape))
	for i, d := range v.Shape {
		dims[i] = d.String()
	}
	return fmt.Sprintf("%s %s[%s]", v.Name, v.DType, strings.Join(dims, ","))
}

// signature is what a model takes and gives.
type signature struct {
	inputs, outputs []Value
}

func list(values []Value) string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = v.String()
	}
	return strings.Join(s, ", ")
}
