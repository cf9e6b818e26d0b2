package emit

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// integers returns the name of an int64 list, stored once.
func (e *emitter) integers(v ...int64) string {
	name := "int64"
	raw := []byte{}
	for _, x := range v {
		name += fmt.Sprintf(".%d", x)
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	if !e.shared[name] {
		e.shared[name] = true
		e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(len(v))}, Raw: raw})
	}
	return name
}

// size returns the name of a one-element list with the size d. A Shape node
// reads an open size from one axis of an input. Shape leaves its result in CPU
// memory, where its readers expect it, so that no arithmetic on sizes leaves a
// device.
func (e *emitter) size(d graph.Dim) (string, error) {
	if n, ok := d.Number(); ok {
		return e.integers(int64(n)), nil
	}
	for _, in := range e.graph.Inputs {
		for axis, x := range in.Shape {
			if x != d {
				continue
			}
			name := "size." + dim(d).Param
			if !e.shared[name] {
				e.shared[name] = true
				e.node("Shape", name, []string{in.Name}, onnx.IntAttr("start", int64(axis)), onnx.IntAttr("end", int64(axis+1)))
			}
			return name, nil
		}
	}
	return e.computedSize(d)
}

// computedSize returns the name of the size d computed from named dimensions,
// with int64 arithmetic that ONNX Runtime runs on the CPU.
func (e *emitter) computedSize(d graph.Dim) (string, error) {
	name := "size." + dim(d).Param
	if e.shared[name] {
		return name, nil
	}
	if d == graph.Sym(d.String()) {
		return "", fmt.Errorf("size %s is not the size of any input's dimension", d)
	}
	sum := ""
	for _, t := range d.Terms() {
		product := ""
		if t.Coefficient != 1 || len(t.Symbols) == 0 {
			product = e.integers(int64(t.Coefficient))
		}
		for _, s := range t.Symbols {
			factor, err := e.size(graph.Sym(s))
			if err != nil {
				return "", err
			}
			product = e.sizeOf("Mul", product, factor)
		}
		sum = e.sizeOf("Add", sum, product)
	}
	// The last node gets the name of the whole.
	last := e.out.Nodes[len(e.out.Nodes)-1]
	last.Name, last.Outputs[0] = name, name
	e.shared[name] = true
	return name, nil
}

// sizeOf applies op to two sizes by name; an empty name is its neutral
// element.
func (e *emitter) sizeOf(op, x, y string) string {
	if x == "" {
		return y
	}
	name := fmt.Sprintf("size.%s_%d", strings.ToLower(op), len(e.out.Nodes))
	e.node(op, name, []string{x, y})
	return name
}

// fromSizes writes the operators that take sizes as inputs in ONNX: Range,
// ConstantOfShape and Trilu. ONNX Runtime places nodes that compute named
// sizes on the CPU, so a network for CUDA should avoid them.
func (e *emitter) fromSizes(v *graph.Value, inputs []string) error {
	switch op := v.Op().(type) {
	case graph.Range:
		return e.rangeOf(v, op)
	case graph.ConstantOfShape:
		shape, err := e.shape(op.Shape)
		if err != nil {
			return err
		}
		fill := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(op.Fill)))
		e.node("ConstantOfShape", v.Name, []string{shape}, onnx.TensorAttr("value", &onnx.Tensor{DataType: onnx.Float, Dims: []int64{1}, Raw: fill}))
		return nil
	case graph.Trilu:
		k, err := e.scalar(op.K)
		e.node("Trilu", v.Name, append(inputs, k), flag("upper", op.Upper))
		return err
	}
	return fmt.Errorf("it takes no sizes")
}

// rangeOf writes the integers from Start to Limit. If the context limits them,
// it slices a constant: Slice runs on every device, while Range, which expects
// its sizes as scalars, runs on the CPU.
func (e *emitter) rangeOf(v *graph.Value, op graph.Range) error {
	if _, fixed := v.Shape.Numbers(); e.graph.Context > 0 && !fixed {
		start, err := e.size(op.Start)
		if err != nil {
			return err
		}
		limit, err := e.size(op.Limit)
		if err != nil {
			return err
		}
		e.node("Slice", v.Name, []string{e.counted(e.graph.Context), start, limit, e.integers(0)})
		return nil
	}
	start, err := e.scalar(op.Start)
	if err != nil {
		return err
	}
	limit, err := e.scalar(op.Limit)
	if err != nil {
		return err
	}
	step, err := e.scalar(graph.N(1))
	e.node("Range", v.Name, []string{start, limit, step})
	return err
}

// counted returns the name of the int64 list 0, 1, ... of n elements, stored
// once.
func (e *emitter) counted(n int) string {
	name := fmt.Sprintf("int64.to_%d", n)
	if !e.shared[name] {
		e.shared[name] = true
		raw := make([]byte, 0, 8*n)
		for i := range n {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(i))
		}
		e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(n)}, Raw: raw})
	}
	return name
}

// scalar returns the name of the size d as a tensor without axes.
func (e *emitter) scalar(d graph.Dim) (string, error) {
	if n, ok := d.Number(); ok { // without the list, which nothing may use
		name := fmt.Sprintf("int64.%d.scalar", n)
		if !e.shared[name] {
			e.shared[name] = true
			raw := binary.LittleEndian.AppendUint64(nil, uint64(n))
			e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Int64, Raw: raw})
		}
		return name, nil
	}
	list, err := e.size(d)
	if err != nil {
		return "", err
	}
	name := list + ".scalar"
	if !e.shared[name] {
		e.shared[name] = true
		e.node("Squeeze", name, []string{list, e.integers(0)})
	}
	return name, nil
}

// shape returns the name of a list of sizes.
func (e *emitter) shape(s graph.Shape) (string, error) {
	if n, ok := s.Numbers(); ok {
		return e.integers(int64s(n)...), nil
	}
	name := "shape." + s.String()
	if e.shared[name] {
		return name, nil
	}
	e.shared[name] = true
	parts := make([]string, len(s))
	for i, d := range s {
		var err error
		if parts[i], err = e.size(d); err != nil {
			return "", err
		}
	}
	e.node("Concat", name, parts, onnx.IntAttr("axis", 0))
	return name, nil
}
