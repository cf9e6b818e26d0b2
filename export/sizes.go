package export

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// fromSizes writes the operators that ONNX feeds with sizes: Range,
// ConstantOfShape and Trilu. An open size goes through nodes that ONNX Runtime
// places on the CPU, so that a network which is to run on CUDA alone does
// better without them.
func (e *emitter) fromSizes(v *graph.Value, inputs []string) error {
	switch v.Op {
	case graph.Range:
		start, err := e.scalar(v.Attr.Start)
		if err != nil {
			return err
		}
		limit, err := e.scalar(v.Attr.Limit)
		if err != nil {
			return err
		}
		step, err := e.scalar(graph.N(1))
		e.node("Range", v.Name, []string{start, limit, step})
		return err
	case graph.ConstantOfShape:
		shape, err := e.shape(v.Attr.Shape)
		if err != nil {
			return err
		}
		fill := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v.Attr.Fill)))
		e.node("ConstantOfShape", v.Name, []string{shape}, onnx.TensorAttr("value", &onnx.Tensor{DataType: onnx.Float, Dims: []int64{1}, Raw: fill}))
		return nil
	case graph.Trilu:
		k, err := e.scalar(v.Attr.K)
		upper := onnx.IntAttr("upper", 0)
		if v.Attr.Upper {
			upper.Int = 1
		}
		e.node("Trilu", v.Name, append(inputs, k), upper)
		return err
	}
	return fmt.Errorf("it takes no sizes")
}

// scalar returns the name of the size d as a tensor without axes.
func (e *emitter) scalar(d graph.Dim) (string, error) {
	list, err := e.size(d)
	if err != nil {
		return "", err
	}
	name := list + ".scalar"
	if !e.shared[name] {
		e.shared[name] = true
		if n, ok := d.Number(); ok {
			raw := binary.LittleEndian.AppendUint64(nil, uint64(n))
			e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Int64, Raw: raw})
		} else {
			e.node("Squeeze", name, []string{list, e.integers(0)})
		}
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
