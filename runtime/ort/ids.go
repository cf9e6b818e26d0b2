package ort

import (
	"io"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// ONNX counts a negative index from the end, and CUDA reads whatever lies
// beyond a table. A model whose caller gives an id that is no row of its table
// would answer with another row's numbers, so the ids are compared with the
// tables before a run. Which inputs hold ids, the graph says.

// Field numbers of onnx.proto.
const (
	nodeInput     = 1 // NodeProto
	nodeOutput    = 2
	nodeOp        = 4
	nodeAttribute = 5

	attributeName = 1 // AttributeProto
	attributeInt  = 3

	tensorDims = 1 // TensorProto.dims
)

// maxNode bounds the nodes that are read, in bytes: those that hold ids are far
// smaller.
const maxNode = 64 << 10

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

// node takes a NodeProto. What cannot be read is left to ONNX Runtime to refuse.
func (l *lookups) node(r io.ReaderAt, off, end int64) {
	if end-off > maxNode {
		return
	}
	b, err := payload(r, off, end)
	if err != nil {
		return
	}
	var op string
	var in, out []string
	var axis int64
	err = walk(b, func(num protowire.Number, b []byte, _ uint64) error {
		switch num {
		case nodeInput:
			in = append(in, string(b))
		case nodeOutput:
			out = append(out, string(b))
		case nodeOp:
			op = string(b)
		case nodeAttribute:
			var name string
			var value int64
			err := walk(b, func(num protowire.Number, b []byte, x uint64) error {
				switch num {
				case attributeName:
					name = string(b)
				case attributeInt:
					value = int64(x)
				}
				return nil
			})
			if name == "axis" || name == "gather_axis" {
				axis = value
			}
			return err
		}
		return nil
	})
	if err != nil || len(in) == 0 || len(out) == 0 {
		return
	}
	switch op {
	case "Gather", "GatherBlockQuantized":
		if len(in) > 1 {
			l.gathers = append(l.gathers, gatherNode{in[0], in[1], axis})
		}
	case "Identity", "Cast", "DequantizeLinear":
		l.same[out[0]] = in[0]
	case "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Transpose":
		l.moved[out[0]] = in[0]
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

// readTensor reads the name and the shape of a TensorProto that is a weight.
func readTensor(r io.ReaderAt, off, end int64) (name string, shape []int64, err error) {
	err = fields(r, off, end, func(f field) error {
		switch {
		case f.num == tensorName && f.bytes:
			b, err := payload(r, f.off, f.end)
			name = string(b)
			return err
		case f.num == tensorDims && f.bytes: // packed
			b, err := payload(r, f.off, f.end)
			for len(b) > 0 && err == nil {
				x, n := protowire.ConsumeVarint(b)
				if err = protowire.ParseError(n); err == nil {
					shape, b = addDim(shape, x), b[n:]
				}
			}
			return err
		case f.num == tensorDims:
			shape = addDim(shape, f.x)
		}
		return nil
	})
	return name, shape, err
}

// addDim adds a size to a shape, of which no more than a few are kept.
func addDim(shape []int64, x uint64) []int64 {
	if len(shape) > 64 || x > math.MaxInt64 {
		return shape
	}
	return append(shape, int64(x))
}
