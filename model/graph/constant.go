package graph

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/format"
)

// A pass computes constants ahead only up to these limits, whatever the graph
// requires. Larger ones are computed when the graph runs.
const (
	foldLimit = 1 << 20  // elements of one constant: storing a larger one costs more than computing it
	foldBytes = 32 << 20 // bytes of all constants of one pass
)

// ahead computes constants for one pass. Nodes with the same computation on the
// same constants share memory, which counts once: every layer of a network has
// its own mask.
type ahead struct {
	limit int // maximum elements of one constant
	left  int // bytes that may still be allocated
	made  map[string]format.Tensor
	block map[*byte]int // identifies the memory of constants by number
}

func newAhead(limit int) *ahead {
	return &ahead{limit: limit, left: max(foldBytes, 8*limit), made: map[string]format.Tensor{}, block: map[*byte]int{}}
}

// compute returns the result of an operator on constants and sizes, with each
// element rounded once. ok is false for any other operator, if a size is still
// named, and beyond the limits.
func (a *ahead) compute(op Op, args []*Value) (t format.Tensor, ok bool) {
	key, constant := a.key(op, args)
	if !constant {
		return t, false
	}
	types, err := infer(&Node{Op: op, Args: args})
	if err != nil { // recording the operator will report the error
		return t, false
	}
	out := types[0]
	shape, known := out.Shape.Numbers()
	count, fits := format.Elements(shape)
	if !known || !fits || count > a.limit {
		return t, false
	}
	if t, ok = a.made[key]; ok {
		return t, true
	}
	bytes := count * out.DType.Size()
	if bytes > a.left {
		return t, false
	}
	if t, ok = fromSizes(op, args, shape); !ok {
		t, ok = fromConstants(op, out, args, shape)
	}
	if ok {
		a.left -= bytes
		a.made[key] = t
	}
	return t, ok
}

// key returns a text that identifies the computation of op on its arguments; ok
// is false if one is not a constant.
func (a *ahead) key(op Op, args []*Value) (key string, ok bool) {
	var sb strings.Builder
	sb.WriteString(op.Name() + attributes(op))
	for _, v := range args {
		t, constant := v.Constant()
		if !constant {
			return "", false
		}
		n := -1 // no elements
		if len(t.Data) > 0 {
			if n, ok = a.block[&t.Data[0]]; !ok {
				n = len(a.block)
				a.block[&t.Data[0]] = n
			}
		}
		fmt.Fprintf(&sb, " %d:%s", n, v.Type)
	}
	return sb.String(), true
}

// fromSizes computes an operator that needs only sizes, and at most one
// constant.
func fromSizes(op Op, args []*Value, shape []int) (t format.Tensor, ok bool) {
	n, _ := format.Elements(shape)
	switch op := op.(type) {
	case Slice:
		start, ok := op.Start.Number()
		if !ok {
			return t, false
		}
		x, _ := args[0].Constant()
		return sliceConst(x, op.Axis, start, shape), true
	case Range:
		start, ok := op.Start.Number()
		if !ok {
			return t, false
		}
		ids := make([]int64, n)
		for i := range ids {
			ids[i] = int64(start + i)
		}
		return format.FromInt64s("", shape, ids), true
	case ConstantOfShape:
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(op.Fill)
		}
		return format.FromFloat32s("", shape, x), true
	case Trilu:
		k, ok := op.K.Number()
		x, _ := args[0].Constant()
		if !ok || x.DType != format.Float32 {
			return t, false
		}
		return triangle(x, op.Upper, k)
	}
	return t, false
}

func triangle(x format.Tensor, upper bool, k int) (format.Tensor, bool) {
	from, err := x.Float32s()
	if err != nil {
		return x, false
	}
	out := make([]float32, len(from))
	rows, cols := x.Shape[len(x.Shape)-2], x.Shape[len(x.Shape)-1]
	for i := range out {
		row, col := i/cols%rows, i%cols
		if upper && col-row >= k || !upper && col-row <= k {
			out[i] = from[i]
		}
	}
	return format.FromFloat32s("", x.Shape, out), true
}

// sliceConst returns the part of x with the given shape that begins at start
// along the axis.
func sliceConst(x format.Tensor, axis, start int, shape []int) format.Tensor {
	inner := x.DType.Size() // bytes of one position along the axis
	for _, n := range shape[axis+1:] {
		inner *= n
	}
	outer, _ := format.Elements(shape[:axis])
	out := make([]byte, 0, outer*shape[axis]*inner)
	for i := range outer {
		from := (i*x.Shape[axis] + start) * inner
		out = append(out, x.Data[from:from+shape[axis]*inner]...)
	}
	return format.Tensor{DType: x.DType, Shape: shape, Data: out}
}

// fromConstants computes an elementwise operator, a Where, a Cast of integers to
// float32, a Reshape or the rows that a Gather selects, on constants.
func fromConstants(op Op, out Type, args []*Value, shape []int) (t format.Tensor, ok bool) {
	if len(args) == 0 {
		return t, false
	}
	count, _ := format.Elements(shape)
	constants := make([]format.Tensor, len(args))
	for i, a := range args {
		constants[i], _ = a.Constant()
	}
	at := func(arg, i int) int { return args[arg].Shape.within(i, shape) }
	switch op := op.(type) {
	case Reshape:
		return format.Tensor{DType: out.DType, Shape: shape, Data: constants[0].Data}, true
	case Unary:
		x, err := constants[0].Float32s()
		f := op.Float()
		if err != nil || f == nil {
			return t, false
		}
		y := make([]float32, count)
		for i := range y {
			y[i] = float32(f(float64(x[i])))
		}
		return format.FromFloat32s("", shape, y), true
	case Binary:
		return binaryConstant(op, constants[0], constants[1], shape, at)
	case Cast:
		return castConstant(constants[0], op.To)
	case Gather:
		return rowsConstant(op, constants[0], constants[1], shape)
	case Where:
		size := out.DType.Size()
		data := make([]byte, 0, count*size)
		for i := range count {
			from := 2
			if constants[0].Data[at(0, i)] != 0 {
				from = 1
			}
			j := at(from, i) * size
			data = append(data, constants[from].Data[j:j+size]...)
		}
		return format.Tensor{DType: out.DType, Shape: shape, Data: data}, true
	}
	return t, false
}

func binaryConstant(op Binary, x, y format.Tensor, shape []int, at func(arg, i int) int) (format.Tensor, bool) {
	count, _ := format.Elements(shape)
	switch x.DType {
	case format.Float32:
		p, errX := x.Float32s()
		q, errY := y.Float32s()
		if f := op.Float(); f != nil && errX == nil && errY == nil {
			z := make([]float32, count)
			for i := range z {
				z[i] = float32(f(float64(p[at(0, i)]), float64(q[at(1, i)])))
			}
			return format.FromFloat32s("", shape, z), true
		}
	case format.Int64:
		p, errX := x.Int64s()
		q, errY := y.Int64s()
		if errX != nil || errY != nil {
			return x, false
		}
		if compare := op.Compare(); compare != nil {
			return truths(count, shape, func(i int) bool {
				a, b := p[at(0, i)], q[at(1, i)]
				switch {
				case a < b:
					return compare(-1, true)
				case a > b:
					return compare(1, true)
				}
				return compare(0, true)
			}), true
		}
		z := make([]int64, count)
		for i := range z {
			var err error
			if z[i], err = op.Int()(p[at(0, i)], q[at(1, i)]); err != nil {
				return x, false // running the graph will report the error
			}
		}
		return format.FromInt64s("", shape, z), true
	case format.Bool:
		if logic := op.Logic(); logic != nil {
			return truths(count, shape, func(i int) bool { return logic(x.Data[at(0, i)] != 0, y.Data[at(1, i)] != 0) }), true
		}
	}
	return x, false
}

// rowsConstant selects rows of a table. An id outside it is reported when the graph
// runs.
func rowsConstant(op Gather, table, ids format.Tensor, shape []int) (t format.Tensor, ok bool) {
	at, err := ids.Int64s()
	if err != nil || op.Axis != 0 || op.FromEnd || len(table.Data) == 0 || table.DType != format.Float32 && table.DType != format.Int64 {
		return t, false
	}
	row := len(table.Data) / table.Shape[0]
	data := make([]byte, 0, row*len(at))
	for _, i := range at {
		if i < 0 || i >= int64(table.Shape[0]) {
			return t, false
		}
		data = append(data, table.Data[int(i)*row:(int(i)+1)*row]...)
	}
	return format.Tensor{DType: table.DType, Shape: shape, Data: data}, true
}

// castConstant converts integers to float32.
func castConstant(x format.Tensor, to format.DType) (format.Tensor, bool) {
	if x.DType != format.Int64 || to != format.Float32 {
		return x, false
	}
	v, err := x.Int64s()
	if err != nil {
		return x, false
	}
	y := make([]float32, len(v))
	for i, n := range v {
		y[i] = float32(n)
	}
	return format.FromFloat32s("", x.Shape, y), true
}

func truths(count int, shape []int, f func(i int) bool) format.Tensor {
	data := make([]byte, count)
	for i := range data {
		if f(i) {
			data[i] = 1
		}
	}
	return format.Tensor{DType: format.Bool, Shape: shape, Data: data}
}

// within returns the index, in a tensor of shape s broadcast to shape t, of the
// element at index i of the latter.
func (s Shape) within(i int, t []int) int {
	place, step := 0, 1
	for axis := len(t) - 1; axis >= 0; axis-- {
		p := i % t[axis]
		i /= t[axis]
		if own := axis - (len(t) - len(s)); own >= 0 {
			if n, _ := s[own].Number(); n != 1 {
				place += p * step
				step *= n
			}
		}
	}
	return place
}

// Compute returns the result, of the given type, of an operator on constants, with
// each element rounded once. ok is false for an operator that is not computed
// ahead, for a size that is named, and beyond a million elements.
func Compute(op Op, out Type, args ...format.Tensor) (t format.Tensor, ok bool) {
	shape, known := out.Shape.Numbers()
	if n, fits := format.Elements(shape); !known || !fits || n > foldLimit {
		return t, false
	}
	values := make([]*Value, len(args))
	for i, x := range args {
		values[i] = &Value{Node: &Node{Op: Const{x}}, Type: Type{x.DType, Numbers(x.Shape...)}}
	}
	if t, ok = fromSizes(op, values, shape); !ok {
		t, ok = fromConstants(op, out, values, shape)
	}
	return t, ok
}
