package ref

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// scatterKernels access positions given by data.
var scatterKernels = []kernel{
	single(func(op graph.ScatterND, c call) (array, error) { return scatterND(op, c.args[0], c.args[1], c.args[2]) }),
}

// scatterND returns x with rows of updates at the positions in ids, (..., K).
func scatterND(op graph.ScatterND, x, ids, updates array) (array, error) {
	out := array{shape: x.shape, kind: x.kind, dtype: x.dtype, f: slices.Clone(x.f), i: slices.Clone(x.i), b: slices.Clone(x.b)}
	k := ids.shape[len(ids.shape)-1]
	row, _ := format.Elements(x.shape[k:])
	stride := whole(x.shape).stride
	for u := range len(ids.i) / k {
		at := 0
		for j, id := range ids.i[u*k : (u+1)*k] {
			n := int64(x.shape[j])
			if id < -n || id >= n {
				return out, &format.RangeError{Name: "the id", Index: position(u*k+j, ids.shape), Got: id, First: -n, Last: n - 1}
			}
			if id < 0 {
				id += n
			}
			at += int(id) * stride[j]
		}
		for j := range row {
			if err := out.join(op.Reduction, at+j, updates, u*row+j); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// join replaces element i by element j of updates, or combines the two.
func (a array) join(reduction string, i int, updates array, j int) error {
	if reduction == "" {
		a.place(updates, func(yield func(i, at int) bool) { yield(i, j) })
		return nil
	}
	op := map[string]graph.Binary{"add": graph.Add, "mul": graph.Mul, "max": graph.Max, "min": graph.Min}[reduction]
	if a.kind == floats {
		a.f[i] = op.Float()(a.f[i], updates.f[j])
		return nil
	}
	v, err := integerFunction(op, a.unsigned())(a.i[i], updates.i[j])
	if err != nil {
		return fmt.Errorf("update %v: %w", position(j, updates.shape), err)
	}
	a.i[i] = v
	return nil
}
