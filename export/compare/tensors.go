package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// floats lists the element types that can be rounded to each other.
var floats = map[onnx.DataType]format.DType{
	onnx.Float: format.Float32, onnx.Double: format.Float64, onnx.Float16: format.Float16, onnx.BFloat16: format.BFloat16,
}

// small is the size in bytes up to which an initializer is identified by its
// content: integers of shapes, which tools deduplicate, and scalars.
const small = 4096

// constants compares the initializers with the same name in both models, and
// assigns every constant its number.
func (c *comparison) constants() error {
	for name, t := range c.want.tensors {
		c.want.numbers[name] = c.constant(t, t.Raw)
	}
	for name, t := range c.file.tensors {
		raw, err := c.load(t)
		if err != nil {
			return err
		}
		w, ok := c.want.tensors[name]
		if !ok {
			w, ok = c.twin(t, raw)
		}
		if !ok {
			c.file.numbers[name] = c.constant(t, raw)
			continue
		}
		// It has the same place whatever its content, so that other departures
		// show too.
		c.file.numbers[name] = c.want.numbers[w.Name]
		c.done[w.Name] = true
		if d, ok := c.differ(name, t, raw, w); ok {
			c.departTensor(w, d, raw, t)
		}
	}
	for _, s := range []*side{c.file, c.want} {
		for _, n := range s.numbers {
			s.known[n] = true
		}
	}
	return nil
}

// load returns the elements of an initializer of the file.
func (c *comparison) load(t *onnx.Tensor) ([]byte, error) {
	if t.External == nil {
		return t.Raw, nil
	}
	return c.Load(t)
}

// twin returns an initializer of export with the content of t and another
// name.
func (c *comparison) twin(t *onnx.Tensor, raw []byte) (*onnx.Tensor, bool) {
	for _, w := range c.want.Graph.Initializers {
		if _, named := c.file.tensors[w.Name]; !named && t.DataType == w.DataType && slices.Equal(t.Dims, w.Dims) && bytes.Equal(raw, w.Raw) {
			return w, true
		}
	}
	return nil, false
}

// constant returns the number of a constant: by content if it is small,
// otherwise a new one.
func (c *comparison) constant(t *onnx.Tensor, raw []byte) int {
	if len(raw) > small {
		return c.numberOf(fmt.Sprintf("constant %p", t))
	}
	return c.numberOf(fmt.Sprintf("constant %d %v %x", t.DataType, t.Dims, sha256.Sum256(raw)))
}

// differ compares an initializer of the file, with the given name there, with
// one of export.
func (c *comparison) differ(name string, t *onnx.Tensor, raw []byte, w *onnx.Tensor) (d Departure, differs bool) {
	d.Place = w.Name
	if name != w.Name {
		d.Place += " (" + name + " in the file)"
	}
	wanted := w.Raw
	if t.DataType != w.DataType && c.anyCasts {
		var err error
		if wanted, err = converted(w, t.DataType); err != nil {
			d.Text = err.Error()
			return d, true
		}
	} else if t.DataType != w.DataType {
		d.Text = fmt.Sprintf("holds %s, export writes %s", t.DataType, w.DataType)
		return d, true
	}
	if !slices.Equal(t.Dims, w.Dims) {
		d.Text = fmt.Sprintf("has shape %v, export writes %v", t.Dims, w.Dims)
		return d, true
	}
	if bytes.Equal(raw, wanted) {
		return d, false
	}
	size := int(t.DataType.Size())
	if size == 0 || len(raw) != len(wanted) {
		d.Text = fmt.Sprintf("has %d bytes, export writes %d", len(raw), len(wanted))
		return d, true
	}
	first, count := -1, 0
	for i := 0; i < len(raw); i += size {
		if !bytes.Equal(raw[i:i+size], wanted[i:i+size]) {
			if count++; first < 0 {
				first = i
			}
		}
	}
	d.Place += index(first/size, t.Dims)
	d.Text = fmt.Sprintf("is %s, export writes %s; %d of %d elements differ", element(t.DataType, raw[first:first+size]), element(t.DataType, wanted[first:first+size]), count, len(raw)/size)
	return d, true
}

// converted returns the elements of a floating-point tensor rounded to another
// such type.
func converted(t *onnx.Tensor, to onnx.DataType) ([]byte, error) {
	if floats[t.DataType] == format.Invalid || floats[to] == format.Invalid {
		return nil, fmt.Errorf("holds %s, export writes %s", to, t.DataType)
	}
	size := int(t.DataType.Size())
	out, _, err := format.Tensor{Name: t.Name, DType: floats[t.DataType], Shape: []int{len(t.Raw) / size}, Data: t.Raw}.Convert(floats[to])
	return out.Data, err
}

// departTensor records that an initializer of export differs from t in the
// file. One that another tool rounded by its own rule is not a departure.
func (c *comparison) departTensor(w *onnx.Tensor, d Departure, raw []byte, t *onnx.Tensor) {
	if c.Rounded && roundedOtherwise(t, raw, w) {
		c.loose[w.Name] = true
		return
	}
	d.Value = c.reader(w.Name)
	c.tensors = append(c.tensors, d)
}

// roundedOtherwise reports whether t is w in 16 bits by the rules of
// converters: they move numbers away from 0, and clamp the large negative
// numbers that hide positions.
func roundedOtherwise(t *onnx.Tensor, raw []byte, w *onnx.Tensor) bool {
	if !slices.Equal(t.Dims, w.Dims) || floats[t.DataType] == format.Invalid || floats[w.DataType] == format.Invalid {
		return false
	}
	have, err := doubles(t.DataType, raw)
	want, err2 := doubles(w.DataType, w.Raw)
	if err != nil || err2 != nil || len(have) != len(want) {
		return false
	}
	step := 0x1p-10
	if t.DataType == onnx.BFloat16 {
		step = 0x1p-7
	}
	for i, x := range have {
		if y := want[i]; !(math.Abs(x-y) <= step*math.Abs(y)+2e-7) && !(x <= -1e4 && y <= -1e4) {
			return false
		}
	}
	return true
}

// doubles returns the elements of a floating-point tensor.
func doubles(t onnx.DataType, raw []byte) ([]float64, error) {
	x, _, err := format.Tensor{DType: floats[t], Shape: []int{len(raw) / int(t.Size())}, Data: raw}.Convert(format.Float64)
	if err != nil {
		return nil, err
	}
	return x.Float64s()
}

// reader returns export's first value computed from a constant and something
// else.
func (c *comparison) reader(name string) string {
	names := map[string]bool{name: true}
	for _, n := range c.want.Graph.Nodes {
		if slices.ContainsFunc(n.Inputs, func(in string) bool { return names[in] }) {
			if len(n.Inputs) > 1 {
				return n.Outputs[0]
			}
			names[n.Outputs[0]] = true
		}
	}
	return ""
}

// element formats an element with enough digits to distinguish it from its
// neighbors.
func element(t onnx.DataType, b []byte) string {
	switch {
	case t == onnx.Float:
		return fmt.Sprintf("%.9g", math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case t == onnx.Int64:
		return fmt.Sprint(int64(binary.LittleEndian.Uint64(b)))
	case t == onnx.Float16 || t == onnx.BFloat16 || t == onnx.Double:
		x, _, err := format.Tensor{DType: floats[t], Shape: []int{1}, Data: b}.Convert(format.Float64)
		if err == nil {
			return fmt.Sprintf("%.17g", math.Float64frombits(binary.LittleEndian.Uint64(x.Data)))
		}
	}
	return fmt.Sprintf("%#x", b)
}

// index returns the position of element i, such as "[3,17]".
func index(i int, dims []int64) string {
	at := make([]string, len(dims))
	for axis := len(dims) - 1; axis >= 0; axis-- {
		at[axis] = fmt.Sprint(int64(i) % dims[axis])
		i = int(int64(i) / dims[axis])
	}
	return "[" + strings.Join(at, ",") + "]"
}

// folded returns a value of a model as a constant, if it is one or is computed
// from one only by moving or rounding elements; nil otherwise.
func (c *comparison) folded(s *side, name string) (*onnx.Tensor, error) {
	if t := s.tensors[name]; t != nil {
		if t.External == nil {
			return t, nil
		}
		raw, err := c.load(t)
		whole := *t
		whole.Raw, whole.External = raw, nil
		return &whole, err
	}
	n := s.makers[name]
	if n == nil || n.Domain != "" || !slices.Contains([]string{"Cast", "Identity", "Transpose"}, n.Op) || len(n.Inputs) != 1 {
		return nil, nil
	}
	t, err := c.folded(s, n.Inputs[0])
	if t == nil || err != nil {
		return nil, err
	}
	switch n.Op {
	case "Transpose":
		return transposed(t, n), nil
	case "Cast":
		raw, err := converted(t, castTo(n))
		if err != nil {
			return nil, nil // not a rounding
		}
		return &onnx.Tensor{Name: t.Name, DataType: castTo(n), Dims: t.Dims, Raw: raw}, nil
	}
	return t, nil
}

// transposed returns a tensor with its axes permuted as a Transpose node says;
// nil if its perm is not a permutation.
func transposed(t *onnx.Tensor, n *onnx.Node) *onnx.Tensor {
	rank, size := len(t.Dims), t.DataType.Size()
	perm := make([]int64, rank)
	for i := range perm {
		perm[i] = int64(rank - 1 - i)
	}
	for _, a := range n.Attributes {
		if a.Name == "perm" {
			perm = a.Ints
		}
	}
	sorted := slices.Sorted(slices.Values(perm))
	for i, p := range sorted {
		if p != int64(i) {
			return nil
		}
	}
	if len(perm) != rank || size == 0 || t.Elements()*size != int64(len(t.Raw)) {
		return nil
	}
	steps := make([]int64, rank) // of the old axes, in bytes
	for i, step := rank-1, size; i >= 0; i-- {
		steps[i] = step
		step *= t.Dims[i]
	}
	out := &onnx.Tensor{Name: t.Name, DataType: t.DataType, Raw: make([]byte, 0, len(t.Raw))}
	for _, p := range perm {
		out.Dims = append(out.Dims, t.Dims[p])
	}
	var walk func(axis int, at int64)
	walk = func(axis int, at int64) {
		if axis == rank {
			out.Raw = append(out.Raw, t.Raw[at:at+size]...)
			return
		}
		for range out.Dims[axis] {
			walk(axis+1, at)
			at += steps[perm[axis]]
		}
	}
	walk(0, 0)
	return out
}
