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

// stackOf returns memory for n copies of a value.
func stackOf(n int, like array) array {
	out := newArray(floats, lifted(n, like.shape))
	out.dtype = like.dtype
	return out
}

// lifted returns the shape of n copies of a value.
func lifted(n int, shape []int) []int { return append([]int{n}, shape...) }

// layer returns copy k of a stack.
func layer(stack array, k int) array {
	n := len(stack.f) / stack.shape[0]
	return array{shape: stack.shape[1:], kind: floats, dtype: stack.dtype, f: stack.f[k*n : (k+1)*n : (k+1)*n]}
}

// repeated returns a stack of n equal copies.
func repeated(n int, x array) array {
	x = x.wide()
	out := stackOf(n, x)
	for k := range n {
		copy(layer(out, k).f, x.f)
	}
	return out
}

// stacked returns the operator and the arguments with which one call computes all
// copies; ok is false if there is no such call.
func (s *shaking) stacked(n *graph.Node, c call, args []*shaken) (op graph.Op, all call, ok bool) {
	all = call{args: slices.Clone(c.args), shapes: make([][]int, len(c.shapes)), types: c.types, sizes: c.sizes}
	for i, shape := range c.shapes {
		all.shapes[i] = lifted(s.copies, shape)
	}
	moved := make([]bool, len(args))
	for i, a := range args {
		if a.lazy != nil || n.Args[i].Leaf() && a.kind == floats && s.leafUnit(n.Args[i]) > 0 {
			return nil, all, false
		}
		moved[i] = a.stack.f != nil
	}
	op, ok = liftedOp(n.Op, s.copies, moved, c, &all, args)
	return op, all, ok
}

// liftedOp gives an operator and its arguments the axis of the copies.
func liftedOp(op graph.Op, copies int, moved []bool, c call, all *call, args []*shaken) (graph.Op, bool) {
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
		return op, liftedGemm(op, copies, moved, c, all, args)
	case graph.Concat:
		for i := range moved {
			if all.args[i] = args[i].stack; !moved[i] {
				all.args[i] = repeated(copies, c.args[i])
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
func liftedGemm(op graph.Gemm, copies int, moved []bool, c call, all *call, args []*shaken) bool {
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
			out[i].shape, out[i].dtype = lifted(s.copies, exact[i].shape), exact[i].dtype
			if out[i].kind == floats && len(out[i].f) != s.copies*exact[i].len() {
				return nil, fmt.Errorf("rounding changes its size")
			}
		}
		return out, nil
	}
	stacks := make([]array, len(exact))
	for i, x := range exact {
		if x.kind == floats {
			stacks[i] = stackOf(s.copies, x)
		}
	}
	for k := range s.copies {
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
	return steps(op) && op != graph.Op(graph.Mod) && op != graph.Op(graph.FMod) // remainders have a slope between their jumps
}

// jolt adds the errors of an operation to the copies of its result. Elements that are the
// same number were mostly computed from the same numbers, and then their errors are the same: the
// mean of a channel that hardly varies keeps them, where independent ones average out. It
// is not sure, because a runtime may sum one element in another order than the next. So
// half of the copies have errors that follow the number, and half that follow the place.
func (s *shaking) jolt(stack, exact array, slip slip, seed uint64) {
	if slip.deviation == nil {
		return
	}
	for j, y := range exact.f {
		if math.IsInf(y, 0) { // an infinity has no rounding error
			slip.deviation[j] = 0
		}
	}
	inLines(s.copies, len(exact.f), func(k int) {
		if k%2 == 0 {
			newSigns(seed, k).add(layer(stack, k).f, slip.deviation, s.shrink, 0)
		} else {
			newSigns(seed, k).addAlike(layer(stack, k).f, slip.deviation, exact.f, s.shrink)
		}
	})
}

// squares are those of the differences of a value's copies.
type squares struct {
	sums []float64 // of each element, over the copies
	most []float64 // of each row: the largest sum of a copy, as a multiple of the mean; nil: 1
}

func newSquares(elements, rows int) squares {
	return squares{make([]float64, elements), make([]float64, rows)}
}

// measure makes room for the squares of a wanted value.
func (s *shaking) measure(v *graph.Value, elements, rows int) {
	s.squares[v] = newSquares(elements, rows)
	if v == s.scores {
		s.leads = newSquares(elements, rows)
	}
}

// add adds the squares of the differences of a wanted value's copies.
func (s *shaking) add(v *graph.Value, exact, stack array) {
	width := 1
	if len(exact.shape) > 0 {
		width = max(1, exact.shape[len(exact.shape)-1])
	}
	rows := len(exact.f) / width
	s.measure(v, len(exact.f), rows)
	inLines(rows, s.copies*width, func(r int) {
		from, to := r*width, (r+1)*width
		s.addRow(v, exact.f[from:to], func(k int) []float64 { return layer(stack, k).f[from:to] }, from, r)
	})
}

// addRow is add for a row of a value, or the selected part of one, from the given element on.
func (s *shaking) addRow(v *graph.Value, exact []float64, moved func(k int) []float64, from, row int) {
	scored := v == s.scores
	best := 0
	if scored {
		best = highest(exact)
	}
	sq := s.squares[v]
	var all, leads peak
	for k := range s.copies {
		y := moved(k)
		one := 0.0
		for j, x := range exact {
			d := square(off(y[j], x))
			sq.sums[from+j] += d
			one += d
		}
		all.add(one)
		if !scored {
			continue
		}
		one = 0
		shift := y[best] - exact[best]
		for j, x := range exact {
			d := square(off(y[j]-shift, x))
			s.leads.sums[from+j] += d
			one += d
		}
		leads.add(one)
	}
	if sq.most[row] = all.of(s.copies); scored {
		s.leads.most[row] = leads.of(s.copies)
	}
}

// off is y - x, 0 for an infinity that stays the same.
func off(y, x float64) float64 {
	if y == x {
		return 0
	}
	return y - x
}

// peak is the largest of some numbers, and their sum.
type peak struct{ most, sum float64 }

func (p *peak) add(x float64) { p.most, p.sum = max(p.most, x), p.sum+x }

// of returns the largest of n numbers as a multiple of their mean.
func (p peak) of(n int) float64 {
	if !(p.sum > 0) || math.IsInf(p.sum, 0) {
		return 1
	}
	return p.most / p.sum * float64(n)
}
