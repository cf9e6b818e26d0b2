package graph

import "slices"

// thread is an index that an operator computes along without looking at others: cut
// there, each part of its results needs the same part of its arguments. A thread names
// the axis of each argument and of each result.
type thread struct {
	args    []int // whole: the argument has no such axis, or all of it is read
	results []int // summed: the parts of the result add up
}

const (
	entire = -1
	summed = -2
)

// threads returns the threads of a node. An operator that it does not know has none.
func threads(n *Node) []thread {
	var all []thread
	add := func(result int, args ...int) { all = append(all, thread{args, repeated(result, len(n.Results))}) }
	shape := func(i int) Shape { return n.Args[i].Shape }
	out := n.Results[0].Shape
	switch op := n.Op.(type) {
	case Unary, Cast, Binary, Where:
		for axis, d := range out {
			if d.Is(1) {
				continue
			}
			var args []int
			for _, a := range n.Args {
				args = append(args, aligned(a.Shape, out, axis))
			}
			add(axis, args...)
		}
	case Expand:
		for axis, d := range out {
			if !d.Is(1) {
				add(axis, aligned(shape(0), out, axis))
			}
		}
	case ConstantOfShape:
		for axis := range out {
			add(axis)
		}
	case Softmax:
		along(out, op.Axis, add)
	case LogSoftmax:
		along(out, op.Axis, add)
	case Slice:
		along(out, op.Axis, add)
	case Split:
		along(out, op.Axis, add)
	case GatherElements:
		for axis := range out {
			if axis != op.Axis {
				add(axis, axis, axis)
			}
		}
	case ScatterElements:
		for axis := range out {
			if axis != op.Axis {
				add(axis, axis, axis, axis)
			}
		}
	case Concat:
		for axis := range out {
			if axis != op.Axis {
				add(axis, repeated(axis, len(n.Args))...)
			}
		}
	case OneHot:
		for axis := range out[:len(out)-1] {
			add(axis, axis)
		}
	case Gather:
		ids := len(shape(1))
		for axis := range out {
			switch {
			case axis < op.Axis:
				add(axis, axis, entire)
			case axis < op.Axis+ids:
				add(axis, entire, axis-op.Axis)
			default:
				add(axis, axis-ids+1, entire)
			}
		}
	case Transpose:
		for axis, from := range op.Perm {
			add(axis, from)
		}
	case Reshape:
		for axis := range out {
			for from := range shape(0) {
				if sameParts(out, axis, shape(0), from) {
					add(axis, from)
				}
			}
		}
	case Reduce:
		at := 0
		for axis := range shape(0) {
			reduced := slices.Contains(op.Axes, axis)
			switch {
			case !reduced:
				add(at, axis)
			case op.Kind == ReduceSum:
				add(summed, axis)
			}
			if !reduced || op.KeepDims {
				at++
			}
		}
	case Gemm:
		x, y := axes2(op.TransA), axes2(op.TransB)
		c := func(axis int) []int { // that of the third argument
			if len(n.Args) < 3 {
				return nil
			}
			return []int{aligned(shape(2), out, axis)}
		}
		add(0, append([]int{x[0], entire}, c(0)...)...)
		add(1, append([]int{entire, y[1]}, c(1)...)...)
		if len(n.Args) == 2 {
			add(summed, x[1], y[0])
		}
	case MatMul:
		m, k := len(shape(0)), len(shape(1))
		for axis, d := range out[:len(out)-2] {
			if !d.Is(1) {
				add(axis, leading(shape(0), len(out), axis), leading(shape(1), len(out), axis))
			}
		}
		add(len(out)-2, m-2, entire)
		add(len(out)-1, entire, k-1)
		add(summed, m-1, k-2)
	}
	return all
}

// along adds the threads of an operator of one argument whose axes are those of its
// results, but for one that it looks along.
func along(out Shape, but int, add func(int, ...int)) {
	for axis := range out {
		if axis != but {
			add(axis, axis)
		}
	}
}

func repeated(x, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = x
	}
	return all
}

// aligned returns the axis of s that is broadcast to an axis of out.
func aligned(s, out Shape, axis int) int {
	at := axis - (len(out) - len(s))
	if at < 0 || s[at] != out[axis] {
		return entire
	}
	return at
}

// leading is aligned for the axes before the last two of a factor of a MatMul.
func leading(s Shape, rank, axis int) int {
	at := axis - (rank - len(s))
	if at < 0 || s[at].Is(1) {
		return entire
	}
	return at
}

// axes2 returns the axes of a matrix that is transposed or not.
func axes2(transposed bool) [2]int {
	if transposed {
		return [2]int{1, 0}
	}
	return [2]int{0, 1}
}

// sameParts reports whether equal parts of two shapes along an axis each are the same
// elements in the same order.
func sameParts(s Shape, i int, t Shape, j int) bool {
	return s[:i].Elements() == t[:j].Elements() && !s[i].Is(1) && !t[j].Is(1)
}

// threadOf returns the first thread of n that fits.
func threadOf(n *Node, fits func(thread) bool) (thread, bool) {
	for _, t := range threads(n) {
		if fits(t) {
			return t, true
		}
	}
	return thread{}, false
}

func byArg(n *Node, arg, axis int) (thread, bool) {
	return threadOf(n, func(t thread) bool { return t.args[arg] == axis })
}

func byResult(n *Node, result, axis int) (thread, bool) {
	return threadOf(n, func(t thread) bool { return t.results[result] == axis })
}

// cutTo returns the operator of n with attributes for a part of n's results that has
// the given size along the thread.
func cutTo(n *Node, t thread, size func(v *Value, axis int) Dim) Op {
	cut := func(s Shape) Shape {
		if axis := t.results[0]; axis >= 0 {
			return s.with(axis, size(n.Results[0], axis))
		}
		return s
	}
	switch op := n.Op.(type) {
	case Reshape:
		return Reshape{cut(op.Shape)}
	case Expand:
		return Expand{cut(op.Shape)}
	case ConstantOfShape:
		return ConstantOfShape{cut(op.Shape), op.Fill}
	}
	return n.Op
}
