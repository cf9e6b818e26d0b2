//go:build cgo

package ort

// #include <stdlib.h>
// #include "datum.h"
import "C"

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

var _ runtime.DataSession = (*Data)(nil)

// Data is a model whose inputs and outputs are of any kind: tensors of numbers and
// of strings, sequences and maps. Only one goroutine may use it at a time, except for
// Stop.
type Data struct {
	d       *Device
	takes   declared.Signature
	outputs []string
}

// OpenData opens the ONNX file at path for values of any kind. Weights in sibling
// files are read from its folder.
func OpenData(path string, o Options) (*Data, error) {
	takes, err := declared.ReadFile(path, checkDivisors)
	var other *declared.KindError
	if err != nil && !errors.As(err, &other) {
		return nil, err
	}
	if err := usable(takes); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if o.CUDA.Graphs {
		return nil, errors.New("CUDA: Graphs is for OpenDevice")
	}
	d, err := openWith(path, declared.Signature{}, o, path, nil) // nothing is bound
	if err != nil {
		return nil, err
	}
	takes.Foreign = o.Foreign
	s := &Data{d: d, takes: takes}
	for _, v := range takes.Outputs {
		s.outputs = append(s.outputs, v.Name)
	}
	return s, nil
}

// RunData implements runtime.DataSession. An id outside the table in which the model
// looks it up is a *format.RangeError.
func (s *Data) RunData(inputs map[string]runtime.Datum) (map[string]runtime.Datum, error) {
	if s.d.c == nil {
		return nil, s.d.closed()
	}
	defer goruntime.KeepAlive(s.d)
	if err := s.check(inputs); err != nil {
		return nil, fmt.Errorf("%s: %w", s.d.name, err)
	}
	var held cMemory
	defer held.free()
	var values values
	defer values.drop()
	n, m := len(s.takes.Inputs), len(s.outputs)
	names, in := held.array(n), (**C.OrtValue)(held.zeroed((n+1)*pointerSize))
	for i, v := range s.takes.Inputs {
		value, err := values.of(inputs[v.Name], &held)
		if err != nil {
			return nil, fmt.Errorf("%s: input %.80q: %w", s.d.name, v.Name, err)
		}
		unsafe.Slice(names, n)[i], unsafe.Slice(in, n)[i] = held.text(v.Name), value
	}
	wanted, out := held.array(m), (**C.OrtValue)(held.zeroed((m+1)*pointerSize))
	for i, name := range s.outputs {
		unsafe.Slice(wanted, m)[i] = held.text(name)
	}
	err := statusError(C.attnx_run_values(s.d.c, names, in, C.size_t(n), wanted, out, C.size_t(m)))
	values = append(values, unsafe.Slice(out, m)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.d.name, runFailed(err, nil))
	}
	results := map[string]runtime.Datum{}
	for i, name := range s.outputs {
		if results[name], err = datum(unsafe.Slice(out, m)[i]); err != nil {
			return nil, fmt.Errorf("%s: output %.80q: %w", s.d.name, name, err)
		}
	}
	return results, nil
}

// check refuses inputs that are missing, and ids outside their tables.
func (s *Data) check(inputs map[string]runtime.Datum) error {
	numbers := map[string]format.Tensor{}
	for _, v := range s.takes.Inputs {
		x, there := inputs[v.Name]
		if !there {
			return fmt.Errorf("input %.80q is missing", v.Name)
		}
		if t := x.Tensor; t != nil {
			if err := t.Check(); err != nil {
				return err
			}
			numbers[v.Name] = t.WithName(v.Name)
		}
	}
	checked := s.takes
	checked.Limits = map[string]int64{}
	for name, n := range s.takes.Limits {
		if _, ok := numbers[name]; ok {
			checked.Limits[name] = n
		}
	}
	return checked.CheckIDs(numbers)
}

// Stop ends a RunData in progress with an error, once ONNX Runtime is between two
// nodes. No later one runs.
func (s *Data) Stop() { C.attnx_stop(s.d.c) }

// Place returns where the model runs.
func (s *Data) Place() runtime.Place { return s.d.Place() }

// Close frees the model. A second Close does nothing.
func (s *Data) Close() error { return s.d.Close() }

const pointerSize = int(unsafe.Sizeof(uintptr(0)))

// array returns memory for n strings.
func (h *cMemory) array(n int) **C.char { return (**C.char)(h.zeroed((n + 1) * pointerSize)) }

// text returns a copy of s.
func (h *cMemory) text(s string) *C.char {
	p := C.CString(s)
	*h = append(*h, unsafe.Pointer(p))
	return p
}

// values are ONNX Runtime's, to be dropped together.
type values []*C.OrtValue

func (v values) drop() {
	for _, x := range v {
		C.attnx_drop(x)
	}
}

// of returns ONNX Runtime's form of a value.
func (v *values) of(x runtime.Datum, held *cMemory) (*C.OrtValue, error) {
	var out *C.OrtValue
	var err error
	switch {
	case x.Tensor != nil:
		t := x.Tensor
		if err := t.Check(); err != nil {
			return nil, err
		}
		if t.DType == format.Bool && slices.ContainsFunc(t.Data, func(b byte) bool { return b > 1 }) {
			return nil, errors.New("a bool is 0 or 1") // other values are undefined behaviour in C++
		}
		err = statusError(C.attnx_numbers(C.int(elementNumber(t.DType)), held.dims(t.Shape), C.size_t(len(t.Shape)), unsafe.Pointer(unsafe.SliceData(t.Data)), C.size_t(len(t.Data)), &out))
	case x.Strings != nil:
		s := x.Strings
		if n, ok := format.Elements(s.Shape); !ok || n != len(s.Elements) {
			return nil, fmt.Errorf("%d strings of shape %v", len(s.Elements), s.Shape)
		}
		all := held.array(len(s.Elements))
		for i, text := range s.Elements {
			if strings.ContainsRune(text, 0) {
				return nil, fmt.Errorf("string %d has a zero byte, at which ONNX Runtime's C API ends it: leave it out", i)
			}
			unsafe.Slice(all, len(s.Elements))[i] = held.text(text)
		}
		err = statusError(C.attnx_strings(held.dims(s.Shape), C.size_t(len(s.Shape)), all, C.size_t(len(s.Elements)), &out))
	case x.List != nil:
		out, err = v.collect(C.ATTNX_SEQUENCE, *x.List, held)
	case x.Map != nil:
		out, err = v.collect(C.ATTNX_MAP, []runtime.Datum{x.Map.Keys, x.Map.Values}, held)
	default:
		return nil, errors.New("it has no value, which ONNX Runtime's C API does not take: give one")
	}
	if out != nil {
		*v = append(*v, out)
	}
	if err != nil {
		return nil, errors.New(oneLine(err))
	}
	return out, nil
}

// collect makes a sequence or a map of its parts.
func (v *values) collect(kind C.int, list []runtime.Datum, held *cMemory) (*C.OrtValue, error) {
	if len(list) == 0 {
		return nil, errors.New("an empty sequence, which ONNX Runtime's C API does not take: give one of at least one value")
	}
	parts := (**C.OrtValue)(held.zeroed(len(list) * pointerSize))
	for i, x := range list {
		part, err := v.of(x, held)
		if err != nil {
			return nil, err
		}
		unsafe.Slice(parts, len(list))[i] = part
	}
	var out *C.OrtValue
	err := statusError(C.attnx_collect(parts, C.size_t(len(list)), kind, &out))
	return out, err
}

// dims returns a shape in C's memory.
func (h *cMemory) dims(shape []int) *C.int64_t {
	p := (*C.int64_t)(h.zeroed((len(shape) + 1) * C.sizeof_int64_t))
	for i, n := range shape {
		unsafe.Slice(p, len(shape))[i] = C.int64_t(n)
	}
	return p
}

// datum copies a value of ONNX Runtime.
func datum(v *C.OrtValue) (runtime.Datum, error) {
	var c C.attnx_content
	if err := statusError(C.attnx_content_of(v, &c)); err != nil {
		return runtime.Datum{}, errors.New(oneLine(err))
	}
	switch c.kind {
	case C.ATTNX_NONE:
		return runtime.Datum{}, nil
	case C.ATTNX_TENSOR:
		return tensorDatum(v, &c)
	case C.ATTNX_SEQUENCE, C.ATTNX_MAP:
	default:
		return runtime.Datum{}, fmt.Errorf("it is of kind %d: only tensors, sequences and maps are read", c.kind)
	}
	parts := []runtime.Datum{}
	for i := range int(c.count) {
		var part *C.OrtValue
		err := statusError(C.attnx_part(v, C.int(i), &part))
		var x runtime.Datum
		if err == nil {
			x, err = datum(part)
		}
		C.attnx_drop(part)
		if err != nil {
			return x, err
		}
		parts = append(parts, x)
	}
	if c.kind == C.ATTNX_SEQUENCE {
		return runtime.Datum{List: &parts}, nil
	}
	if len(parts) != 2 {
		return runtime.Datum{}, fmt.Errorf("a map of %d parts, expected keys and values", len(parts))
	}
	return runtime.Datum{Map: &runtime.Map{Keys: parts[0], Values: parts[1]}}, nil
}

// tensorDatum copies a tensor.
func tensorDatum(v *C.OrtValue, c *C.attnx_content) (runtime.Datum, error) {
	if int(c.rank) > len(c.dims) {
		return runtime.Datum{}, fmt.Errorf("it has %d dimensions", int(c.rank))
	}
	shape := make([]int, c.rank)
	for i := range shape {
		shape[i] = int(c.dims[i])
	}
	if c._type == C.ATTNX_STRING {
		all, err := stringsOf(v, c)
		return runtime.Datum{Strings: &runtime.Strings{Shape: shape, Elements: all}}, err
	}
	if c._type < 0 || int(c._type) >= len(declared.ElementTypes) || declared.ElementTypes[c._type] == format.Invalid {
		return runtime.Datum{}, fmt.Errorf("its elements are of ONNX's type %d, which is not supported", c._type)
	}
	t := format.Tensor{DType: declared.ElementTypes[c._type], Shape: shape}
	bytes := int(c.count) * t.DType.Size()
	t.Data = slices.Concat([]byte{}, unsafe.Slice((*byte)(c.data), bytes))
	return runtime.Datum{Tensor: &t}, nil
}

// stringsOf copies the strings of a tensor.
func stringsOf(v *C.OrtValue, c *C.attnx_content) ([]string, error) {
	n, bytes := int(c.count), int(c.text)
	all := make([]string, n)
	if n == 0 {
		return all, nil
	}
	text, offsets := make([]byte, bytes+1), make([]C.size_t, n)
	if err := statusError(C.attnx_text(v, unsafe.Pointer(&text[0]), c.text, &offsets[0], c.count)); err != nil {
		return nil, errors.New(oneLine(err))
	}
	for i := range all {
		end := bytes
		if i+1 < n {
			end = int(offsets[i+1])
		}
		all[i] = string(text[offsets[i]:end])
	}
	return all, nil
}
