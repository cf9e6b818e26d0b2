package conform

import (
	"fmt"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
)

// tensor converts a golden tensor to bytes, in the file's element type.
func tensor(name string, g fixtures.Tensor) (format.Tensor, error) {
	switch d, _ := format.ParseDType(g.DType); d {
	case format.Float32:
		data := make([]float32, len(g.Data))
		for i, x := range g.Data {
			data[i] = float32(x)
			if float64(data[i]) != x {
				return format.Tensor{}, fmt.Errorf("golden %s: %g at %d is not a float32", name, x, i)
			}
		}
		return format.FromFloat32s(name, g.Shape, data), nil
	case format.Float64:
		return format.FromFloat64s(name, g.Shape, g.Data), nil
	case format.Int64:
		data := make([]int64, len(g.Data))
		for i, x := range g.Data {
			data[i] = int64(x)
		}
		return format.FromInt64s(name, g.Shape, data), nil
	case format.Bool:
		data := make([]byte, len(g.Data))
		for i, x := range g.Data {
			if x != 0 {
				data[i] = 1
			}
		}
		return format.Tensor{Name: name, DType: d, Shape: g.Shape, Data: data}, nil
	}
	return format.Tensor{}, fmt.Errorf("golden %s holds %q", name, g.DType)
}

// tensors converts a list of golden tensors and names them "x0", "x1", ...
func tensors(prefix string, list []fixtures.Tensor) ([]format.Tensor, error) {
	out := make([]format.Tensor, len(list))
	for i, g := range list {
		var err error
		if out[i], err = tensor(fmt.Sprintf("%s%d", prefix, i), g); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// named converts golden weights.
func named(list []fixtures.Named) ([]format.Tensor, error) {
	out := make([]format.Tensor, len(list))
	for i, g := range list {
		var err error
		if out[i], err = tensor(g.Name, g.Tensor); err != nil {
			return nil, err
		}
	}
	return out, nil
}
