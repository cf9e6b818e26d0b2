package declared

import (
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// ONNX counts a negative index from the end of a table, and CUDA reads memory
// beyond its end. An id outside its table would thus give the values of another
// row. The ids are therefore compared with the tables before a run. In a model of
// another tool ids may count from the end. The graph shows which inputs contain ids.

// lookups holds the tables of a graph and the values that index them.
type lookups struct {
	shapes  map[string][]int64 // of weights, and of inputs whose shape is fixed
	gathers []gatherNode
	same    map[string]string // maps a result to the argument with the same elements and shape
	moved   map[string]string // maps a result to the argument with the same elements in another shape
}

// gatherNode reads rows of a table along an axis.
type gatherNode struct {
	table, ids string
	axis       int64
}

func newLookups() *lookups {
	return &lookups{shapes: map[string][]int64{}, same: map[string]string{}, moved: map[string]string{}}
}

// node records a node of the graph.
func (l *lookups) node(n Node) {
	if len(n.in) == 0 || len(n.out) == 0 {
		return
	}
	switch n.Op {
	case "Gather", "GatherBlockQuantized":
		if len(n.in) > 1 {
			l.gathers = append(l.gathers, gatherNode{n.in[0], n.in[1], n.Ints["axis"] + n.Ints["gather_axis"]})
		}
	case "Identity", "Cast", "DequantizeLinear":
		l.same[n.out[0]] = n.in[0]
	case "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Transpose":
		l.moved[n.out[0]] = n.in[0]
	}
}

// input records a declared input.
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

// limits returns, for each input with ids, the exclusive upper bound: the
// number of rows of the smallest table in which they are looked up.
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

// origin follows a value back to the source of its elements.
func origin(name string, from ...map[string]string) string {
	for range 100 { // a hostile graph may contain a cycle
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

// CheckIDs returns a *format.RangeError for an id outside its table. An id below 0,
// and a mask element other than 0 and 1, is one too unless the model is foreign.
func (s Signature) CheckIDs(inputs map[string]format.Tensor) error {
	if !s.Foreign {
		if err := runtime.CheckMask(inputs); err != nil {
			return err
		}
	}
	for name, n := range s.Limits {
		first := int64(0)
		if s.Foreign {
			first = -n
		}
		if err := inputs[name].WithName(name).CheckRange(first, n-1); err != nil {
			return err
		}
	}
	return nil
}
