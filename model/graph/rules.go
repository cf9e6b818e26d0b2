package graph

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// The shape rules: each takes the arguments (their number already checked)
// and the attributes, and returns the result's shape and element type.

func wantFloat(v *Value) error {
	if !v.DType.Float() {
		return fmt.Errorf("%s is %s, wants a floating-point type", v.Name, v.DType)
	}
	return nil
}

func wantAxis(axis int, s Shape) error {
	if axis < 0 || axis >= len(s) {
		return fmt.Errorf("axis %d is outside shape %s", axis, s)
	}
	return nil
}

func gatherRule(args []*Value, a Attr) (Shape, format.DType, error) {
	table, ids := args[0], args[1]
	if ids.DType != format.Int64 || len(table.Shape) == 0 || a.Axis != 0 {
		return nil, 0, fmt.Errorf("wants a table of rank 1 or more and int64 ids along axis 0, got %s%s, %s%s, axis %d",
			table.DType, table.Shape, ids.DType, ids.Shape, a.Axis)
	}
	return append(append(Shape(nil), ids.Shape...), table.Shape[1:]...), table.DType, nil
}

func matMulRule(args []*Value, _ Attr) (Shape, format.DType, error) {
	a, b := args[0], args[1]
	bad := fmt.Errorf("%s times %s: inner sizes or leading axes differ", a.Shape, b.Shape)
	m, n := len(a.Shape), len(b.Shape)
	if m < 2 || n < 2 || a.DType != b.DType || a.Shape[m-1] != b.Shape[n-2] {
		return nil, 0, bad
	}
	if n > 2 && !a.Shape[:m-2].Equal(b.Shape[:n-2]) {
		return nil, 0, bad
	}
	return a.Shape.with(m-1, b.Shape[n-1]), a.DType, wantFloat(a)
}

func arithmeticRule(args []*Value, _ Attr) (Shape, format.DType, error) {
	a, b := args[0], args[1]
	if a.DType != b.DType {
		return nil, 0, fmt.Errorf("%s is %s but %s is %s", a.Name, a.DType, b.Name, b.DType)
	}
	if !b.Shape.into(a.Shape) {
		return nil, 0, fmt.Errorf("%s does not broadcast into %s", b.Shape, a.Shape)
	}
	return a.Shape, a.DType, nil
}

func sameRule(args []*Value, _ Attr) (Shape, format.DType, error) {
	return args[0].Shape, args[0].DType, nil
}

func floatRule(args []*Value, _ Attr) (Shape, format.DType, error) {
	return args[0].Shape, args[0].DType, wantFloat(args[0])
}

func axisRule(args []*Value, a Attr) (Shape, format.DType, error) {
	if err := wantAxis(a.Axis, args[0].Shape); err != nil {
		return nil, 0, err
	}
	return floatRule(args, a)
}

func reduceRule(args []*Value, a Attr) (Shape, format.DType, error) {
	x := args[0]
	var out Shape
	next := 0
	for _, axis := range a.Axes {
		if err := wantAxis(axis, x.Shape); err != nil || axis < next {
			return nil, 0, fmt.Errorf("axes %v of %s are not there, or twice", a.Axes, x.Shape)
		}
		out = append(out, x.Shape[next:axis]...)
		if a.KeepDims {
			out = append(out, N(1))
		}
		next = axis + 1
	}
	if len(a.Axes) == 0 {
		return nil, 0, fmt.Errorf("no axes to reduce")
	}
	return append(out, x.Shape[next:]...), x.DType, wantFloat(x)
}

// reshapeRule accepts a shape whose letters are the argument's and whose
// numbers multiply to the same product: there is no algebra beyond that.
func reshapeRule(args []*Value, a Attr) (Shape, format.DType, error) {
	x := args[0]
	if from, to := x.Shape.Elements(), a.Shape.Elements(); from != to || !from.Valid() {
		return nil, 0, fmt.Errorf("%s cannot become %s", x.Shape, a.Shape)
	}
	return a.Shape, x.DType, nil
}

func transposeRule(args []*Value, a Attr) (Shape, format.DType, error) {
	x := args[0]
	out := make(Shape, len(x.Shape))
	seen := make([]bool, len(x.Shape))
	if len(a.Perm) != len(x.Shape) {
		return nil, 0, fmt.Errorf("perm %v for shape %s", a.Perm, x.Shape)
	}
	for i, p := range a.Perm {
		if p < 0 || p >= len(seen) || seen[p] {
			return nil, 0, fmt.Errorf("%v is not a permutation of the axes of %s", a.Perm, x.Shape)
		}
		seen[p] = true
		out[i] = x.Shape[p]
	}
	return out, x.DType, nil
}

func concatRule(args []*Value, a Attr) (Shape, format.DType, error) {
	first := args[0]
	if err := wantAxis(a.Axis, first.Shape); err != nil {
		return nil, 0, err
	}
	out := first.Shape
	for _, v := range args[1:] {
		if v.DType != first.DType || len(v.Shape) != len(out) || !v.Shape.with(a.Axis, N(0)).Equal(out.with(a.Axis, N(0))) {
			return nil, 0, fmt.Errorf("%s%s beside %s%s along axis %d", v.DType, v.Shape, first.DType, first.Shape, a.Axis)
		}
		out = out.with(a.Axis, out[a.Axis].Add(v.Shape[a.Axis]))
	}
	return out, first.DType, nil
}

func splitRule(args []*Value, a Attr) (Shape, format.DType, error) {
	x := args[0]
	if err := wantAxis(a.Axis, x.Shape); err != nil {
		return nil, 0, err
	}
	sum := 0
	for _, s := range a.Sizes {
		if s < 1 || s > math.MaxInt-sum {
			return nil, 0, fmt.Errorf("part of size %d", s)
		}
		sum += s
	}
	if !x.Shape[a.Axis].Is(sum) || a.Result < 0 || a.Result >= len(a.Sizes) {
		return nil, 0, fmt.Errorf("part %d of sizes %v along axis %d of %s", a.Result, a.Sizes, a.Axis, x.Shape)
	}
	return x.Shape.with(a.Axis, N(a.Sizes[a.Result])), x.DType, nil
}

func equalRule(args []*Value, a Attr) (Shape, format.DType, error) {
	s, _, err := arithmeticRule(args, a)
	return s, format.Bool, err
}

func whereRule(args []*Value, _ Attr) (Shape, format.DType, error) {
	c, x, y := args[0], args[1], args[2]
	if c.DType != format.Bool || x.DType != y.DType || !x.Shape.into(c.Shape) || !y.Shape.into(c.Shape) {
		return nil, 0, fmt.Errorf("%s%s ? %s%s : %s%s: both choices have one type and broadcast into the condition, a BOOL", c.DType, c.Shape, x.DType, x.Shape, y.DType, y.Shape)
	}
	return c.Shape, x.DType, nil
}

func gatherElementsRule(args []*Value, a Attr) (Shape, format.DType, error) {
	x, ids := args[0], args[1]
	if err := wantAxis(a.Axis, x.Shape); err != nil {
		return nil, 0, err
	}
	if ids.DType != format.Int64 || len(ids.Shape) != len(x.Shape) || !ids.Shape.with(a.Axis, N(0)).Equal(x.Shape.with(a.Axis, N(0))) {
		return nil, 0, fmt.Errorf("ids %s%s for %s along axis %d", ids.DType, ids.Shape, x.Shape, a.Axis)
	}
	return ids.Shape, x.DType, nil
}

// length returns limit - start, which must not be negative for any sizes of
// the names.
func length(start, limit Dim) (Dim, error) {
	d := limit.Sub(start)
	if !d.NonNegative() {
		return Dim{}, fmt.Errorf("from %s to %s: the length %s can be negative", start, limit, d)
	}
	return d, nil
}

// sliceRule cannot compare a letter with the axis it cuts: whoever runs the
// graph checks that start is not before the beginning ("T-1" where T is 0) and
// limit not beyond the end.
func sliceRule(args []*Value, a Attr) (Shape, format.DType, error) {
	x := args[0]
	if err := wantAxis(a.Axis, x.Shape); err != nil {
		return nil, 0, err
	}
	d, err := length(a.Start, a.Limit)
	if err != nil {
		return nil, 0, err
	}
	limit, known := a.Limit.Number()
	size, fixed := x.Shape[a.Axis].Number()
	if _, number := a.Start.Number(); number && a.Start.number < 0 || known && fixed && limit > size {
		return nil, 0, fmt.Errorf("positions %s to %s of axis %d of %s", a.Start, a.Limit, a.Axis, x.Shape)
	}
	return x.Shape.with(a.Axis, d), x.DType, nil
}

func rangeRule(_ []*Value, a Attr) (Shape, format.DType, error) {
	d, err := length(a.Start, a.Limit)
	return Shape{d}, format.Int64, err
}

func constantOfShapeRule(_ []*Value, a Attr) (Shape, format.DType, error) {
	return a.Shape, format.Float32, nil
}

func triluRule(args []*Value, _ Attr) (Shape, format.DType, error) {
	if len(args[0].Shape) < 2 {
		return nil, 0, fmt.Errorf("shape %s has no triangle", args[0].Shape)
	}
	return args[0].Shape, args[0].DType, nil
}

func layerNormalizationRule(args []*Value, a Attr) (Shape, format.DType, error) {
	x, scale, bias := args[0], args[1], args[2]
	if len(x.Shape) == 0 || a.Epsilon <= 0 {
		return nil, 0, fmt.Errorf("shape %s, epsilon %g", x.Shape, a.Epsilon)
	}
	last := x.Shape[len(x.Shape)-1:]
	if !scale.Shape.Equal(last) || !bias.Shape.Equal(last) || scale.DType != x.DType || bias.DType != x.DType {
		return nil, 0, fmt.Errorf("scale %s and bias %s for %s", scale.Shape, bias.Shape, x.Shape)
	}
	switch a.Result {
	case 0:
		return x.Shape, x.DType, wantFloat(x)
	case 1, 2:
		return x.Shape.with(len(x.Shape)-1, N(1)), x.DType, wantFloat(x)
	}
	return nil, 0, fmt.Errorf("it has no result %d", a.Result)
}

func attentionRule(args []*Value, a Attr) (Shape, format.DType, error) {
	q, k, v, mask := args[0], args[1], args[2], args[3]
	bad := fmt.Errorf("q %s, k %s, v %s, mask %s, scale %g", q.Shape, k.Shape, v.Shape, mask.Shape, a.Scale)
	if len(q.Shape) != 4 || len(k.Shape) != 4 || !k.Shape.Equal(v.Shape) || a.Scale <= 0 ||
		!q.Shape.with(2, N(0)).Equal(k.Shape.with(2, N(0))) {
		return nil, 0, bad
	}
	each := Shape{q.Shape[0], N(1), q.Shape[2], k.Shape[2]} // a mask for each sequence, else one for all
	if !mask.Shape.Equal(each) && !mask.Shape.Equal(each[2:]) {
		return nil, 0, bad
	}
	for _, x := range args {
		if x.DType != q.DType {
			return nil, 0, bad
		}
	}
	return q.Shape, q.DType, wantFloat(q)
}

func lossRule(args []*Value, _ Attr) (Shape, format.DType, error) {
	scores, labels := args[0], args[1]
	var want Shape
	switch len(scores.Shape) {
	case 2:
		want = scores.Shape[:1]
	case 3:
		want = Shape{scores.Shape[0], scores.Shape[2]}
	}
	if want == nil || labels.DType != format.Int64 || !labels.Shape.Equal(want) {
		return nil, 0, fmt.Errorf("scores %s and labels %s%s: wants (B,V,T) and I64(B,T), or (N,V) and I64(N)", scores.Shape, labels.DType, labels.Shape)
	}
	return Shape{}, scores.DType, wantFloat(scores)
}

func gemmRule(args []*Value, a Attr) (Shape, format.DType, error) {
	if len(args) != 2 && len(args) != 3 {
		return nil, 0, fmt.Errorf("takes 2 or 3 arguments, got %d", len(args))
	}
	x, y := args[0], args[1]
	if len(x.Shape) != 2 || len(y.Shape) != 2 || x.DType != y.DType {
		return nil, 0, fmt.Errorf("%s%s times %s%s: wants two matrices", x.DType, x.Shape, y.DType, y.Shape)
	}
	turned := func(s Shape, turn bool) Shape {
		if turn {
			return Shape{s[1], s[0]}
		}
		return s
	}
	p, q := turned(x.Shape, a.TransA), turned(y.Shape, a.TransB)
	out := Shape{p[0], q[1]}
	if p[1] != q[0] {
		return nil, 0, fmt.Errorf("%s times %s: inner sizes differ", p, q)
	}
	if len(args) == 3 && (!args[2].Shape.into(out) || args[2].DType != x.DType) {
		return nil, 0, fmt.Errorf("%s%s cannot be added to %s%s", args[2].DType, args[2].Shape, x.DType, out)
	}
	return out, x.DType, wantFloat(x)
}

func oneHotRule(args []*Value, a Attr) (Shape, format.DType, error) {
	ids := args[0]
	if ids.DType != format.Int64 || a.Depth < 1 {
		return nil, 0, fmt.Errorf("ids are %s, depth %d", ids.DType, a.Depth)
	}
	return append(append(Shape(nil), ids.Shape...), N(a.Depth)), format.Float32, nil
}

func scatterElementsRule(args []*Value, a Attr) (Shape, format.DType, error) {
	x, ids, updates := args[0], args[1], args[2]
	if !updates.Shape.Equal(ids.Shape) || updates.DType != x.DType {
		return nil, 0, fmt.Errorf("updates %s%s for ids %s", updates.DType, updates.Shape, ids.Shape)
	}
	if _, _, err := gatherElementsRule(args[:2], a); err != nil {
		return nil, 0, err
	}
	return x.Shape, x.DType, wantFloat(x)
}

// sumRule is the only one of the arithmetic that broadcasts both ways.
func sumRule(args []*Value, _ Attr) (Shape, format.DType, error) {
	shapes := make([]Shape, len(args))
	for i, v := range args {
		if v.DType != args[0].DType {
			return nil, 0, fmt.Errorf("%s is %s but %s is %s", args[0].Name, args[0].DType, v.Name, v.DType)
		}
		shapes[i] = v.Shape
	}
	out, err := broadcast(shapes...)
	if err != nil {
		return nil, 0, err
	}
	return out, args[0].DType, wantFloat(args[0])
}
