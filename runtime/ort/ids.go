package ort

import (
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// ONNX counts a negative index from the end, and CUDA reads whatever lies
// beyond a table. A model whose caller gives an id that is no row of its table
// would answer with another row's numbers, so the ids are compared with the
// tables before a run. Which inputs hold ids, the graph says.

// lookups is what a graph says of its tables.
type lookups struct {
	shapes  map[string][]int64 // of weights, and of inputs whose every size is a number
	gathers []gatherNode
	same    map[string]string // a result and the argument whose elements it has, in the same shape
	moved   map[string]string // and in another shape
}

// gatherNode reads rows of a table along an axis.
type gatherNode struct {
	table, ids string
	axis       int64
}

func newLookups() *lookups {
	return &lookups{shapes: map[string][]int64{}, same: map[string]string{}, moved: map[string]string{}}
}

// node takes a node of the graph.
func (l *lookups) node(n node) {
	if len(n.in) == 0 || len(n.out) == 0 {
		return
	}
	switch n.op {
	case "Gather", "GatherBlockQuantized":
		if len(n.in) > 1 {
			l.gathers = append(l.gathers, gatherNode{n.in[0], n.in[1], n.ints["axis"] + n.ints["gather_axis"]})
		}
	case "Identity", "Cast", "DequantizeLinear":
		l.same[n.out[0]] = n.in[0]
	case "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Transpose":
		l.moved[n.out[0]] = n.in[0]
	}
}

// input takes a declared input.
func (l *lookups) input(v runtime.Value) {
	var shape []int64
	for _, d := range v.Shape {
		if d.Name != "" {
			return
		}
		shape = append(shape, int64(d.Size))
	}
	if len(shape) > 0 {
		l.shapes[v.Name] = shape
	}
}

// limits returns for each input that holds ids the smallest number that is
// none: the rows of the smallest table that it is looked up in.
func (l *lookups) limits(inputs []runtime.Value) map[string]int64 {
	limits := map[string]int64{}
	for _, g := range l.gathers {
		shape := l.shapes[origin(g.table, l.same)]
		axis := g.axis
		if axis < 0 {
			axis += int64(len(shape))
		}
		if axis < 0 || axis >= int64(len(shape)) || shape[axis] < 1 {
			continue
		}
		ids := origin(g.ids, l.same, l.moved)
		if i := slices.IndexFunc(inputs, func(v runtime.Value) bool { return v.Name == ids }); i < 0 || !integer(inputs[i].DType) {
			continue
		}
		if n, known := limits[ids]; !known || shape[axis] < n {
			limits[ids] = shape[axis]
		}
	}
	return limits
}

func integer(d format.DType) bool { return d == format.Int64 || d == format.Int32 }

// origin follows a value back to what its elements come from.
func origin(name string, from ...map[string]string) string {
	for range 100 { // a hostile graph may go in circles
		next, ok := "", false
		for _, m := range from {
			if next, ok = m[name]; ok {
				break
			}
		}
		if !ok {
			return name
		}
		name = next
	}
	return ""
}

// checkIDs refuses an id that is no row of its table, and a mask that is neither
// 0 nor 1, with a *format.RangeError.
func (s signature) checkIDs(inputs map[string]format.Tensor) error {
	if err := runtime.CheckMask(inputs); err != nil {
		return err
	}
	for name, n := range s.limits {
		if err := inputs[name].WithName(name).CheckRange(0, n-1); err != nil {
			return err
		}
	}
	return nil
}
