package ref

import (
	"fmt"
	"math"
	"reflect"
	"slices"

	"github.com/attnx/attnx/model/graph"
)

// The copies of a value lie one after the other, as a tensor with one more axis at the
// front. Most operators compute all of them in one call.

// stackOf returns memory for the copies of a value.
func stackOf(like array) array {
	out := newArray(floats, lifted(like.shape))
	out.dtype = like.dtype
	return out
}

// lifted returns the shape of the copies of a value.
func lifted(shape []int) []int { return append([]int{copies}, shape...) }

// layer returns copy k of a stack.
func layer(stack array, k int) array {
	n := len(stack.f) / copies
	return array{shape: stack.shape[1:], kind: floats, dtype: stack.dtype, f: stack.f[k*n : (k+1)*n : (k+1)*n]}
}

// repeated returns a stack of equal copies.
func repeated(x array) array {
	x = x.wide()
	out := stackOf(x)
	for k := range copies {
		copy(layer(out, k).f, x.f)
	}
	return out
}

// stacked returns the operator and the arguments with which one call computes all
// copies; ok is false if there is no such call.
func (s *shaking) stacked(n *graph.Node, c call, args []*shaken) (op graph.Op, all call, ok bool) {
	all = call{args: slices.Clone(c.args), shapes: make([][]int, len(c.shapes)), types: c.types, sizes: c.sizes}
	for i, shape := range c.shapes {
		all.shapes[i] = lifted(shape)
	}
	moved := make([]bool, len(args))
	for i, a := range args {
		if a.lazy != nil || n.Args[i].Leaf() && a.kind == floats && s.leafUnit(n.Args[i]) > 0 {
			return nil, all, false
		}
		moved[i] = a.stack.f != nil
	}
	op, ok = liftedOp(n.Op, moved, c, &all, args)
	return op, all, ok
}

// liftedOp gives an operator and its arguments the axis of the copies.
func liftedOp(op graph.Op, moved []bool, c call, all *call, args []*shaken) (graph.Op, bool) {
	// lift gives an argument the axis of the copies in front of those of the result, into
	// which it broadcasts.
	lift := func(i int) {
		if moved[i] {
			shape := append([]int{copies}, slices.Repeat([]int{1}, max(0, len(c.shapes[0])-len(c.args[i].shape)))...)
			all.args[i] = args[i].stack
			all.args[i].shape = append(shape, c.args[i].shape...)
		}
	}
	switch op := op.(type) {
	case graph.Unary, graph.Gelu, graph.Swish, graph.Reshape:
		all.args[0] = args[0].stack
		return op, true
	case graph.Binary, graph.Where, graph.MatMul, graph.Expand:
		for i := range moved {
			lift(i)
		}
		return op, true
	case graph.Gemm:
		return op, liftedGemm(op, moved, c, all, args)
	case graph.Concat:
		for i := range moved {
			if all.args[i] = args[i].stack; !moved[i] {
				all.args[i] = repeated(c.args[i])
			}
		}
		op.Axis++
		return op, true
	}
	if len(moved) > 1 && slices.Contains(moved[1:], true) {
		return nil, false
	}
	all.args[0] = args[0].stack
	switch op := op.(type) {
	case graph.Transpose:
		perm := []int{0}
		for _, axis := range op.Perm {
			perm = append(perm, axis+1)
		}
		op.Perm = perm
		return op, true
	case graph.Softmax:
		op.Axis++
		return op, true
	case graph.LogSoftmax:
		op.Axis++
		return op, true
	case graph.Split:
		op.Axis++
		return op, true
	case graph.Slice:
		op.Axis++
		return op, true
	case graph.Gather:
		op.Axis++
		return op, true
	case graph.Reduce:
		op.Axes = slices.Clone(op.Axes)
		for i := range op.Axes {
			op.Axes[i]++
		}
		return op, true
	}
	return nil, false
}

// liftedGemm puts the rows of all copies below one another.
func liftedGemm(op graph.Gemm, moved []bool, c call, all *call, args []*shaken) bool {
	if op.TransA || !moved[0] || slices.Contains(moved[1:], true) {
		return false
	}
	if len(moved) == 3 {
		if shape := c.args[2].shape; len(shape) == 2 && shape[0] != 1 {
			return false
		}
	}
	rows := func(shape []int) []int { return []int{copies * shape[0], shape[1]} }
	all.args[0] = args[0].stack
	all.args[0].shape = rows(c.args[0].shape)
	all.shapes[0] = rows(c.shapes[0])
	return true
}

// copiesOf computes the copies of the results of a node.
func (s *shaking) copiesOf(n *graph.Node, c call, args []*shaken, exact []array) ([]array, error) {
	if op, all, ok := s.stacked(n, c, args); ok && !keepsCopies(n.Op, c, exact) {
		out, err := applyOp(op, all)
		if err != nil {
			return nil, fmt.Errorf("with roundings: %w", err)
		}
		out = out[:len(exact)]
		for i := range out {
			out[i].shape, out[i].dtype = lifted(exact[i].shape), exact[i].dtype
			if out[i].kind == floats && len(out[i].f) != copies*exact[i].len() {
				return nil, fmt.Errorf("rounding changes its size")
			}
		}
		return out, nil
	}
	stacks := make([]array, len(exact))
	for i, x := range exact {
		if x.kind == floats {
			stacks[i] = stackOf(x)
		}
	}
	for k := range copies {
		ck := c
		ck.args = make([]array, len(args))
		for i, a := range args {
			ck.args[i] = s.copyOf(n.Args[i], a, k)
		}
		out, err := s.applyCopy(n, ck, c, exact)
		if err != nil {
			return nil, err
		}
		for i, y := range out {
			if exact[i].kind == floats {
				copy(layer(stacks[i], k).f, y.f)
			}
		}
	}
	return stacks, nil
}

// applyOp computes an operator as apply does.
func applyOp(op graph.Op, c call) ([]array, error) {
	k := kernels[reflect.TypeOf(op)]
	if !k.narrow {
		for i := range c.args {
			c.args[i] = c.args[i].wide()
		}
	}
	out, err := k.compute(op, c)
	for i := range min(len(out), len(c.types)) {
		out[i] = out[i].settle(c.types[i])
	}
	return out, err
}

// shares reports whether copies lie in the memory of an argument's.
func shares(out array, args []*shaken) bool {
	return len(out.f) > 0 && slices.ContainsFunc(args, func(a *shaken) bool { return len(a.stack.f) > 0 && &a.stack.f[0] == &out.f[0] })
}

// keepsCopies reports whether the copies of an operator are not its results for the
// copies: a conversion to fewer digits, or a step, hides small differences.
func keepsCopies(op graph.Op, c call, exact []array) bool {
	switch op.(type) {
	case graph.Cast:
		return c.args[0].kind == floats && exact[0].kind == floats
	case graph.RoundTo8Bits:
		return true
	}
	return steps(op)
}

// chunked evaluates a large product that is only wanted, some rows at a time: its
// copies would take many times the memory of the result.
func (s *shaking) chunked(n *graph.Node, c call, args []*shaken, exact array, u units, used bool, index uint64) bool {
	const elements = 1 << 22
	rows, width := 0, 0
	if !used && s.wanted[n.Results[0]] && len(exact.shape) >= 2 && len(exact.f) > elements/4 {
		width = exact.shape[len(exact.shape)-1]
		rows = len(exact.f) / width
	}
	part := max(1, elements/max(1, width))
	switch op := n.Op.(type) {
	case graph.MatMul:
		if len(c.args[1].shape) != 2 {
			return false
		}
	case graph.Gemm:
		if op.TransA || len(c.args) == 3 && len(c.args[2].shape) == 2 && c.args[2].shape[0] != 1 {
			return false
		}
	default:
		return false
	}
	for i, a := range args[1:] {
		if a.stack.f != nil || a.lazy != nil || s.leafUnit(n.Args[i+1]) > 0 {
			return false
		}
	}
	if rows == 0 || args[0].lazy != nil || args[0].stack.f == nil {
		return false
	}
	s.measure(n.Results[0], len(exact.f))
	rule := roundingRules[reflect.TypeOf(n.Op)]
	depth := len(c.args[0].f) / rows
	for from := 0; from < rows; from += part {
		count := min(part, rows-from)
		y := array{shape: []int{count, width}, kind: floats, dtype: exact.dtype, f: exact.f[from*width : (from+count)*width]}
		below := call{args: slices.Clone(c.args), shapes: [][]int{y.shape}, types: c.types, sizes: c.sizes}
		below.args[0] = array{shape: []int{count, depth}, kind: floats, dtype: c.args[0].dtype, f: c.args[0].f[from*depth : (from+count)*depth]}
		slips := rule.slip(n.Op, below, []array{y}, u)
		all := call{args: slices.Clone(c.args), shapes: [][]int{{copies * count, width}}, types: c.types, sizes: c.sizes}
		x := newArray(floats, []int{copies * count, depth})
		for k := range copies {
			copy(x.f[k*count*depth:(k+1)*count*depth], layer(args[0].stack, k).f[from*depth:])
		}
		all.args[0] = x
		out, err := applyOp(n.Op, all)
		if err != nil { // it computed the same rows
			panic("ref: " + err.Error())
		}
		out[0].shape = lifted(y.shape)
		s.jolt(out[0], y, slips[0], index<<32+uint64(from)<<1+1)
		s.add(n.Results[0], y, out[0], from*width)
	}
	return true
}

// jolt adds the errors of an operation to the copies of its result.
func (s *shaking) jolt(stack, exact array, slip slip, seed uint64) {
	if slip.deviation == nil {
		return
	}
	for j, y := range exact.f {
		if math.IsInf(y, 0) { // an infinity has no rounding error
			slip.deviation[j] = 0
		}
	}
	inLines(copies, len(exact.f), func(k int) {
		newSigns(seed, k).add(layer(stack, k).f, slip.deviation, s.shrink, 0)
	})
}

// measure makes room for the squares of a wanted value.
func (s *shaking) measure(v *graph.Value, elements int) {
	s.squares[v] = make([]float64, elements)
	if v == s.scores {
		s.leads = make([]float64, elements)
	}
}

// add adds the squares of the differences of a wanted value's copies, of which exact
// and the stack hold the elements from the given one on.
func (s *shaking) add(v *graph.Value, exact, stack array, from int) {
	sq := s.squares[v][from : from+len(exact.f)]
	var leads []float64
	width := 1
	if v == s.scores {
		width = exact.shape[len(exact.shape)-1]
		leads = s.leads[from : from+len(exact.f)]
	}
	inParts(len(exact.f)/max(1, width), copies*width, func(first, end int) {
		for k := range copies {
			y := layer(stack, k).f
			for j := first * width; j < end*width; j++ {
				sq[j] += square(y[j] - exact.f[j])
			}
			if leads == nil {
				continue
			}
			for at := first * width; at < end*width; at += width {
				best := at + highest(exact.f[at:at+width])
				shift := y[best] - exact.f[best]
				for j := at; j < at+width; j++ {
					leads[j] += square(y[j] - exact.f[j] - shift)
				}
			}
		}
	})
}
