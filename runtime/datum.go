package runtime

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
)

// Datum is a value of any kind that an ONNX file may take or give. One field is
// set; none is set for an optional value that is missing.
type Datum struct {
	Tensor  *format.Tensor // numbers
	Strings *Strings
	List    *[]Datum // a sequence
	Map     *Map
}

// Strings is a tensor of strings, in row-major order.
type Strings struct {
	Shape    []int
	Elements []string
}

// Map maps integers or strings to values, which have the order of their keys.
type Map struct {
	Keys, Values Datum // two tensors of one length
}

// DataSession is a model whose inputs and outputs are of any kind.
type DataSession interface {
	// RunData computes every output from the inputs, by name. It shares no memory with
	// its results.
	RunData(inputs map[string]Datum) (map[string]Datum, error)
	// Stop ends a RunData in progress with an error.
	Stop()
	Close() error
}

// Shape is the shape of a tensor, and the number of the elements of a sequence or a map.
func (d Datum) Shape() []int {
	switch {
	case d.Tensor != nil:
		return d.Tensor.Shape
	case d.Strings != nil:
		return d.Strings.Shape
	case d.List != nil:
		return []int{len(*d.List)}
	case d.Map != nil:
		return d.Map.Keys.Shape()
	}
	return []int{}
}

// Kind names the kind: "F32", "string", "sequence", "map" or "none".
func (d Datum) Kind() string {
	switch {
	case d.Tensor != nil:
		return d.Tensor.DType.String()
	case d.Strings != nil:
		return "string"
	case d.List != nil:
		return "sequence"
	case d.Map != nil:
		return "map"
	}
	return "none"
}

// MarshalJSON implements json.Marshaler: nested lists of numbers or strings, a list for
// a sequence, an object for a map, null for a missing value and for a number that is
// not finite.
func (d Datum) MarshalJSON() ([]byte, error) {
	switch {
	case d.Tensor != nil:
		all, err := jsonOf(*d.Tensor)
		if err != nil {
			return nil, err
		}
		return nested(d.Tensor.Shape, all)
	case d.Strings != nil:
		all := make([]json.RawMessage, len(d.Strings.Elements))
		for i, s := range d.Strings.Elements {
			all[i], _ = json.Marshal(s) // a string has no error
		}
		return nested(d.Strings.Shape, all)
	case d.List != nil:
		if *d.List == nil {
			return []byte("[]"), nil
		}
		return json.Marshal(*d.List)
	case d.Map != nil:
		return d.Map.marshal()
	}
	return []byte("null"), nil
}

// marshal returns a JSON object. JSON's keys are strings.
func (m *Map) marshal() ([]byte, error) {
	keys, values := m.Keys.flat(), m.Values.flat()
	if len(keys) != len(values) {
		return nil, fmt.Errorf("a map of %d keys and %d values", len(keys), len(values))
	}
	var b strings.Builder
	b.WriteString("{")
	for i := range keys {
		if i > 0 {
			b.WriteString(",")
		}
		key, err := json.Marshal(keys[i])
		if err != nil {
			return nil, err
		}
		if key[0] != '"' {
			key = slices.Concat([]byte{'"'}, key, []byte{'"'}) // a number
		}
		value, err := json.Marshal(values[i])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%s", key, value)
	}
	return []byte(b.String() + "}"), nil
}

// flat returns the elements of a tensor.
func (d Datum) flat() (all []json.RawMessage) {
	switch {
	case d.Tensor != nil:
		all, _ = jsonOf(*d.Tensor)
	case d.Strings != nil:
		for _, s := range d.Strings.Elements {
			text, _ := json.Marshal(s)
			all = append(all, text)
		}
	case d.List != nil:
		for _, x := range *d.List {
			text, _ := json.Marshal(x)
			all = append(all, text)
		}
	}
	return all
}

// jsonOf returns a tensor's elements as JSON. Integers are exact.
func jsonOf(t format.Tensor) ([]json.RawMessage, error) {
	values, err := t.AsFloat64s()
	if err != nil {
		return nil, err
	}
	all := make([]json.RawMessage, len(values))
	for i, v := range values {
		switch {
		case t.DType == format.Bool:
			all[i] = fmt.Appendf(nil, "%t", v != 0)
		case t.DType == format.Int64 || t.DType == format.Uint64:
			var x uint64
			for k := range 8 {
				x |= uint64(t.Data[8*i+k]) << (8 * k)
			}
			if t.DType == format.Int64 {
				all[i] = fmt.Appendf(nil, "%d", int64(x))
			} else {
				all[i] = fmt.Appendf(nil, "%d", x)
			}
		case t.DType == format.Float32 && finite(v):
			all[i], err = json.Marshal(float32(v))
		default:
			all[i], err = json.Marshal(Number(v))
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// nested writes elements as nested lists of a shape.
func nested(shape []int, all []json.RawMessage) ([]byte, error) {
	if n, ok := format.Elements(shape); !ok || n != len(all) {
		return nil, fmt.Errorf("%d elements of shape %v", len(all), shape)
	}
	var b []byte
	var write func(shape []int, all []json.RawMessage)
	write = func(shape []int, all []json.RawMessage) {
		if len(shape) == 0 {
			b = append(b, all[0]...)
			return
		}
		b = append(b, '[')
		for i := range shape[0] {
			if i > 0 {
				b = append(b, ',')
			}
			each := len(all) / shape[0]
			write(shape[1:], all[i*each:(i+1)*each])
		}
		b = append(b, ']')
	}
	write(shape, all)
	return b, nil
}
