package attnx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// readDatum reads an input that is not a tensor of numbers: a .json file with nested
// lists of strings, with a list of the values of a sequence, or with an object for a
// map; a .pb file with ONNX's TensorProto, SequenceProto or OptionalProto; or a text,
// which is one string.
func readDatum(f File, t *onnx.Type) (d runtime.Datum, err error) {
	isStrings := t.Kind == onnx.TensorType && t.DataType == onnx.String
	switch ending := strings.ToLower(filepath.Ext(f.Path)); {
	case f.isText() && isStrings:
		var text string
		if text, err = f.text(); err == nil {
			d = runtime.Datum{Strings: &runtime.Strings{Shape: ones(t), Elements: []string{text}}}
		}
	case ending == ".json":
		d, err = datumFromJSON(f.Path, t)
	case ending == ".pb":
		d, err = datumFromProto(f.Path, t)
	case isStrings:
		return d, fmt.Errorf("%s: input %.80q is a %.200s: give a .json file, a .pb file, a .txt file or text:WORDS", f.Path, f.Input, t)
	default:
		return d, fmt.Errorf("%s: input %.80q is a %.200s: give a .json or .pb file", f.Path, f.Input, t)
	}
	if err == nil && isStrings && d.Strings == nil {
		err = fmt.Errorf("it holds %s, and strings are expected: save strings", d.Kind())
	}
	if err == nil {
		if wrong := unlike(d, t); wrong != "" {
			err = fmt.Errorf("%s, the file takes a %.200s: give that", wrong, t)
		}
	}
	if err != nil && !strings.Contains(err.Error(), f.Path) {
		err = fmt.Errorf("%s: input %.80q: %w", f.Path, f.Input, err)
	}
	return d, err
}

// ones is the shape of one string for a type.
func ones(t *onnx.Type) []int {
	shape := make([]int, len(t.Dims))
	if t.NoShape {
		shape = make([]int, 1)
	}
	for i := range shape {
		shape[i] = 1
	}
	return shape
}

// misfit says what a value is of another kind than its type; empty: it has that kind.
func misfit(d runtime.Datum, t *onnx.Type) string {
	right := false
	switch {
	case t == nil:
		return ""
	case t.Kind == onnx.TensorType && t.DataType == onnx.String:
		right = d.Strings != nil
	case t.Kind == onnx.TensorType:
		dtype, err := read.ElementType(t.DataType)
		right = err == nil && d.Tensor != nil && d.Tensor.DType == dtype
	case t.Kind == onnx.OptionalType && d.Kind() != "none":
		return misfit(d, t.Elem)
	case t.Kind == onnx.OptionalType:
		right = true
	case t.Kind == onnx.MapType:
		right = d.Map != nil
	case t.Kind == onnx.SequenceType:
		if right = d.List != nil; right {
			for _, part := range *d.List {
				if wrong := misfit(part, t.Elem); wrong != "" {
					return wrong
				}
			}
		}
	}
	if right {
		return ""
	}
	return "it holds " + d.Kind()
}

// unlike says in what a tensor differs from its type; empty: in nothing.
func unlike(d runtime.Datum, t *onnx.Type) string {
	if t.Kind != onnx.TensorType || t.NoShape {
		return ""
	}
	shape := d.Shape()
	same := len(shape) == len(t.Dims)
	for i := 0; same && i < len(shape); i++ {
		same = t.Dims[i].Open || t.Dims[i].Value == int64(shape[i])
	}
	if same {
		return ""
	}
	return fmt.Sprintf("its shape is %v", shape)
}

// datumFromProto reads a file with ONNX's TensorProto, SequenceProto or OptionalProto.
func datumFromProto(path string, t *onnx.Type) (runtime.Datum, error) {
	data, err := readRegular(path, maxProto)
	if err != nil {
		return runtime.Datum{}, err
	}
	d, _, err := datumIn(data, path, t)
	return d, err
}

// datumIn reads a value from the bytes of a file, and its own name.
func datumIn(data []byte, path string, t *onnx.Type) (d runtime.Datum, name string, err error) {
	x, err := onnx.DecodeData(data, t)
	if err != nil {
		return d, x.Name, fmt.Errorf("%s: %w: save the value again", path, err)
	}
	if d, err = protoDatum(x); err != nil {
		return d, x.Name, fmt.Errorf("%s: %w", path, err)
	}
	return d, x.Name, nil
}

// readRegular reads a regular file of at most so many bytes.
func readRegular(path string, most int64) ([]byte, error) {
	f, err := openRegular(path, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// protoDatum converts a value of ONNX's test data.
func protoDatum(x onnx.Data) (d runtime.Datum, err error) {
	switch {
	case x.List != nil:
		all := make([]runtime.Datum, len(*x.List))
		for i, part := range *x.List {
			if all[i], err = protoDatum(part); err != nil {
				return d, fmt.Errorf("value %d: %w", i, err)
			}
		}
		return runtime.Datum{List: &all}, nil
	case x.Tensor == nil:
		return d, nil
	case x.Tensor.External != nil:
		return d, errors.New("its elements are in another file: save them in it")
	case x.Tensor.DataType != onnx.String:
		t, err := read.Tensor(x.Tensor, "")
		return runtime.Datum{Tensor: &t}, err
	}
	s := &runtime.Strings{Shape: []int{}}
	for _, n := range x.Tensor.Dims {
		s.Shape = append(s.Shape, int(n))
	}
	for _, text := range x.Tensor.Strings {
		s.Elements = append(s.Elements, string(text))
	}
	if n, ok := format.Elements(s.Shape); !ok || n != len(s.Elements) {
		return d, fmt.Errorf("%d strings of shape %v: save the tensor again", len(s.Elements), s.Shape)
	}
	return runtime.Datum{Strings: s}, nil
}

// datumFromJSON reads a value of a type.
func datumFromJSON(path string, t *onnx.Type) (runtime.Datum, error) {
	data, err := readRegular(path, maxJSON)
	if err != nil {
		return runtime.Datum{}, err
	}
	if !json.Valid(data) {
		var nothing any
		err := json.Unmarshal(data, &nothing)
		return runtime.Datum{}, fmt.Errorf("%s: it is no JSON: %w: write a list", path, err)
	}
	return datumOf(data, t)
}

// datumOf converts valid JSON to a value of a type.
func datumOf(data json.RawMessage, t *onnx.Type) (d runtime.Datum, err error) {
	if t == nil {
		return d, errors.New("the file does not say of what type it is: leave its value out")
	}
	switch t.Kind {
	case onnx.TensorType:
		if t.DataType == onnx.String {
			d.Strings, err = stringsOf(data)
			if err == nil && len(d.Strings.Shape) == 0 && !t.NoShape {
				d.Strings.Shape = ones(t) // one string is enough where one is asked for
			}
			return d, err
		}
		dtype, err := read.ElementType(t.DataType)
		if err != nil {
			return d, err
		}
		l := lists{text: json.NewDecoder(bytes.NewReader(data)), dtype: dtype}
		l.text.UseNumber()
		if err := l.read(0); err != nil {
			return d, err
		}
		d.Tensor = &format.Tensor{DType: dtype, Shape: slices.Concat([]int{}, l.shape), Data: l.data}
		return d, d.Tensor.Check()
	case onnx.SequenceType:
		var parts []json.RawMessage
		if json.Unmarshal(data, &parts) != nil || parts == nil {
			return d, fmt.Errorf("%.80s is no list, which a %.200s is: write a list", data, t)
		}
		all := make([]runtime.Datum, len(parts))
		for i, part := range parts {
			if all[i], err = datumOf(part, t.Elem); err != nil {
				return d, fmt.Errorf("value %d: %w", i, err)
			}
		}
		return runtime.Datum{List: &all}, nil
	case onnx.OptionalType:
		if string(bytes.TrimSpace(data)) == "null" {
			return d, nil
		}
		return datumOf(data, t.Elem)
	case onnx.MapType:
		return mapOf(data, t)
	}
	return d, fmt.Errorf("a %.200s is not read from JSON: run the part of the model behind it", t)
}

// mapOf converts an object to a map, whose keys are in order.
func mapOf(data json.RawMessage, t *onnx.Type) (d runtime.Datum, err error) {
	var entries map[string]json.RawMessage
	if json.Unmarshal(data, &entries) != nil || entries == nil {
		return d, fmt.Errorf("%.80s is no object, which a %.200s is: write {\"key\": value}", data, t)
	}
	keys := make([]string, 0, len(entries))
	for key := range entries {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	m := &runtime.Map{}
	values := make([]json.RawMessage, len(keys))
	for i, key := range keys {
		values[i] = entries[key]
	}
	list, _ := json.Marshal(values) // they were valid
	if m.Values, err = datumOf(list, t.Elem); err != nil {
		return d, err
	}
	if t.DataType == onnx.String {
		m.Keys = runtime.Datum{Strings: &runtime.Strings{Shape: []int{len(keys)}, Elements: keys}}
		return runtime.Datum{Map: m}, nil
	}
	dtype, err := read.ElementType(t.DataType)
	if err != nil {
		return d, err
	}
	numbers := format.Tensor{DType: dtype, Shape: []int{len(keys)}, Data: []byte{}}
	bits, signed := dtype.Integer()
	for _, key := range keys {
		var n uint64
		var err error
		if signed {
			var i int64
			i, err = strconv.ParseInt(key, 10, bits)
			n = uint64(i)
		} else {
			n, err = strconv.ParseUint(key, 10, bits)
		}
		if err != nil || bits == 0 {
			return d, fmt.Errorf("key %.80q is not of type %s: give keys of that type", key, dtype)
		}
		numbers.Data = appendInteger(numbers.Data, dtype, n)
	}
	m.Keys = runtime.Datum{Tensor: &numbers}
	return runtime.Datum{Map: m}, nil
}

// stringsOf reads nested lists of strings.
func stringsOf(data json.RawMessage) (*runtime.Strings, error) {
	s := &runtime.Strings{Shape: []int{}}
	leaf := -1 // the depth of the strings
	var walk func(data json.RawMessage, depth int) error
	walk = func(data json.RawMessage, depth int) error {
		var text *string
		if json.Unmarshal(data, &text) == nil && text != nil {
			if leaf >= 0 && leaf != depth {
				return errors.New("a string is where a list is expected: give all lists one depth")
			}
			leaf, s.Elements = depth, append(s.Elements, *text)
			return nil
		}
		var parts []json.RawMessage
		if json.Unmarshal(data, &parts) != nil || parts == nil || depth == maxDepth {
			return fmt.Errorf("%.80s is not a string: give lists of strings", data)
		}
		if leaf == depth {
			return errors.New("a list is where a string is expected: give all lists one depth")
		}
		if depth == len(s.Shape) {
			s.Shape = append(s.Shape, len(parts))
		} else if s.Shape[depth] != len(parts) {
			return fmt.Errorf("one list has %d elements and another %d: give them one length", s.Shape[depth], len(parts))
		}
		for _, part := range parts {
			if err := walk(part, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(data, 0); err != nil {
		return nil, err
	}
	if n, ok := format.Elements(s.Shape); !ok || n != len(s.Elements) {
		return nil, errors.New("its lists are empty at different depths: give all lists one depth")
	}
	return s, nil
}
