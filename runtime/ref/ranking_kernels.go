package ref

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// rankingKernels choose elements by their order.
var rankingKernels = []kernel{
	several(topK),
	several(func(op graph.Unique, c call) ([]array, error) { return unique(op, c.args[0]), nil }),
	single(compress),
	certain(nonMaxSuppression),
}

// compare orders elements i and j of an array. NaN comes last, as in NumPy.
func (a array) compare(i, j int) int {
	switch {
	case a.kind == floats:
		x, y := a.f[i], a.f[j]
		if x != x || y != y {
			return cmp.Compare(rank(x != x), rank(y != y))
		}
		return cmp.Compare(x, y)
	case a.kind == bools:
		return cmp.Compare(rank(a.b[i]), rank(a.b[j]))
	case a.unsigned():
		return cmp.Compare(uint64(a.i[i]), uint64(a.i[j]))
	}
	return cmp.Compare(a.i[i], a.i[j])
}

func rank(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func topK(op graph.TopK, c call) ([]array, error) {
	x := c.args[0]
	n, k, step := x.shape[op.Axis], c.shapes[0][op.Axis], whole(x.shape).stride[op.Axis]
	if k > n {
		return nil, fmt.Errorf("%d of the %d elements along axis %d", k, n, op.Axis)
	}
	places := newArray(ints, c.shapes[0])
	source := make([]int, len(places.i))
	if k > 0 {
		parallel(len(source)/k, func(line int) {
			first := line/step*step*n + line%step
			order := make([]int, n)
			for j := range order {
				order[j] = j
			}
			slices.SortStableFunc(order, func(i, j int) int {
				sign := x.compare(first+i*step, first+j*step)
				if op.Largest {
					return -sign
				}
				return sign
			})
			for j, from := range order[:k] {
				to := line/step*step*k + line%step + j*step
				places.i[to], source[to] = int64(from), first+from*step
			}
		})
	}
	values := newArray(x.kind, c.shapes[0])
	values.place(x, slices.All(source))
	return []array{values, places}, nil
}

// unique sorts the slices along an axis (or single elements) and takes the
// first of each run of equal ones.
func unique(op graph.Unique, x array) []array {
	if !op.Along {
		x.shape = []int{x.len()}
		op.Axis = 0
	}
	n, step := x.shape[op.Axis], whole(x.shape).stride[op.Axis]
	outer, _ := format.Elements(x.shape[:op.Axis])
	compare := func(i, j int) int {
		for o := range outer {
			for in := range step {
				if sign := x.compare((o*n+i)*step+in, (o*n+j)*step+in); sign != 0 {
					return sign
				}
			}
		}
		return 0
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, compare)
	var runs [][]int // of equal slices, in the order of their positions
	for i, at := range order {
		if i == 0 || compare(order[i-1], at) != 0 {
			runs = append(runs, nil)
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], at)
	}
	if !op.Sorted {
		slices.SortFunc(runs, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	}
	first, inverse, counts := newArray(ints, []int{len(runs)}), newArray(ints, []int{n}), newArray(ints, []int{len(runs)})
	for i, run := range runs {
		first.i[i], counts.i[i] = int64(run[0]), int64(len(run))
		for _, at := range run {
			inverse.i[at] = int64(i)
		}
	}
	return []array{pickAlong(x, op.Axis, first.i), first, inverse, counts}
}

// pickAlong returns the slices of x at the positions along an axis.
func pickAlong(x array, axis int, at []int64) array {
	shape := slices.Clone(x.shape)
	shape[axis] = len(at)
	out, _ := gather(x, array{shape: []int{len(at)}, kind: ints, i: at}, axis, shape) // cannot fail: the positions are on the axis
	return out
}

func compress(op graph.Compress, c call) (array, error) {
	x, condition := c.args[0], c.args[1]
	if !op.Along {
		x.shape, op.Axis = []int{x.len()}, 0
	}
	var at []int64
	for i, yes := range condition.b {
		if yes && i >= x.shape[op.Axis] {
			return array{}, fmt.Errorf("the condition holds at %d of an axis of %d", i, x.shape[op.Axis])
		}
		if yes {
			at = append(at, int64(i))
		}
	}
	return pickAlong(x, op.Axis, at), nil
}

func nonMaxSuppression(op graph.NonMaxSuppression, c call) array {
	boxes, scores := c.args[0], c.args[1]
	most, overlap, least := c.args[2].i[0], c.args[3].number(0), c.args[4].number(0)
	batches, classes, n := scores.shape[0], scores.shape[1], scores.shape[2]
	var out []int64
	for line := range batches * classes {
		batch, class := line/classes, line%classes
		var order []int
		for i := range n {
			if scores.f[line*n+i] > least {
				order = append(order, i)
			}
		}
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(scores.f[line*n+j], scores.f[line*n+i]) })
		var chosen []box
		for _, i := range order {
			if int64(len(chosen)) >= most {
				break
			}
			at := (batch*n + i) * 4
			b := newBox(boxes.f[at:at+4], op.Center)
			if !slices.ContainsFunc(chosen, func(other box) bool { return b.overlap(other) > overlap }) {
				chosen = append(chosen, b)
				out = append(out, int64(batch), int64(class), int64(i))
			}
		}
	}
	return array{shape: []int{len(out) / 3, 3}, kind: ints, i: out}
}

// box is a rectangle.
type box struct{ y0, x0, y1, x1 float64 }

// newBox returns the box with two opposite corners (y, x), or with a center and a
// size (x, y, width, height).
func newBox(v []float64, center bool) box {
	if center {
		return box{v[1] - v[3]/2, v[0] - v[2]/2, v[1] + v[3]/2, v[0] + v[2]/2}
	}
	return box{min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])}
}

func (b box) area() float64 { return (b.y1 - b.y0) * (b.x1 - b.x0) }

// overlap returns the intersection over the union.
func (b box) overlap(o box) float64 {
	both := box{max(b.y0, o.y0), max(b.x0, o.x0), min(b.y1, o.y1), min(b.x1, o.x1)}
	if both.y1 <= both.y0 || both.x1 <= both.x0 || b.area() <= 0 || o.area() <= 0 {
		return math.Inf(-1)
	}
	return both.area() / (b.area() + o.area() - both.area())
}
