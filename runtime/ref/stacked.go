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
	if w, ok := s.fixedFactor(n, c, args); ok {
		return []array{productCopies(w, c.args[0].wide(), args[0].stack, exact[0])}, nil
	}
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

// add adds the squares of the differences of a wanted value's copies.
func (s *shaking) add(v *graph.Value, exact, stack array) {
	width := 1
	if v == s.scores {
		width = max(1, exact.shape[len(exact.shape)-1])
	} else if len(exact.shape) > 0 {
		width = min(max(1, len(exact.f)), 1<<12)
	}
	inLines((len(exact.f)+width-1)/width, copies*width, func(i int) {
		from, to := i*width, min((i+1)*width, len(exact.f))
		s.addRow(v, exact.f[from:to], func(k int) []float64 { return layer(stack, k).f[from:to] }, from)
	})
}

// addRow is add for a row, or any part, of a value from the given element on.
func (s *shaking) addRow(v *graph.Value, exact []float64, moved func(k int) []float64, from int) {
	sq := s.squares[v][from : from+len(exact)]
	var leads []float64
	best := 0
	if v == s.scores {
		leads = s.leads[from : from+len(exact)]
		best = highest(exact)
	}
	for k := range copies {
		y := moved(k)
		for j, x := range exact {
			sq[j] += square(y[j] - x)
		}
		if leads == nil {
			continue
		}
		shift := y[best] - exact[best]
		for j, x := range exact {
			leads[j] += square(y[j] - x - shift)
		}
	}
}
