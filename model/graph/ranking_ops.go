package graph

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// rankingOps select elements by order.
var rankingOps = []Op{TopK{}, Unique{}, Compress{}, NonMaxSuppression{}}

// TopK is the K largest elements along the axis, or the smallest, sorted, and
// their positions. Of equal elements the first comes first.
type TopK struct {
	Axis    int
	K       Dim
	Largest bool
}

// Name returns "TopK".
func (TopK) Name() string { return "TopK" }

func (TopK) required() int { return 1 }

// Infer returns the types of the elements and of their places.
func (t TopK) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	x := args[0]
	if err := expectAxis(t.Axis, x.Shape); err != nil {
		return nil, err
	}
	k, known := t.K.Number()
	if n, fixed := x.Shape[t.Axis].Number(); known && (k < 0 || fixed && k > n) {
		return nil, fmt.Errorf("%d of the elements along axis %d of %s", k, t.Axis, x.Shape)
	}
	s := x.Shape.with(t.Axis, t.K)
	return []Type{{x.DType, s}, {format.Int64, s}}, nil
}

// Grad implements Differentiable: each derivative goes to the position of its
// element.
func (t TopK) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	if dy[0] == nil {
		return []*Value{nil}
	}
	x := n.Args[0]
	places := b.Apply(t, 2, x)[1]
	zeros := b.expand(b.like(x, 0), x.Shape)
	return []*Value{b.ScatterElements(zeros, places, dy[0], t.Axis)}
}

// Unique returns the distinct elements of x or, with Along, the distinct slices
// along Axis; the first position of each; for each element of x the index of its
// distinct element; and the counts. They are in ascending order, or with Sorted
// false in the order of their first positions. Count is bound when it has run.
type Unique struct {
	Along  bool
	Axis   int
	Sorted bool
	Count  Dim
}

// Name returns "Unique".
func (Unique) Name() string { return "Unique" }

// Counts implements Counted.
func (u Unique) Counts() []Dim { return []Dim{u.Count} }

func (Unique) required() int { return 1 }

// Infer returns the types of the elements, their places, the inverse and the counts.
func (u Unique) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	x := args[0]
	s, all := Shape{u.Count}, x.Shape.Elements()
	if u.Along {
		if err := expectAxis(u.Axis, x.Shape); err != nil {
			return nil, err
		}
		s, all = x.Shape.with(u.Axis, u.Count), x.Shape[u.Axis]
	}
	ids := Type{format.Int64, Shape{u.Count}}
	return []Type{{x.DType, s}, ids, {format.Int64, Shape{all}}, ids}, nil
}

// Grad implements Differentiable: each derivative goes to the first position of its
// element.
func (u Unique) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	if dy[0] == nil {
		return []*Value{nil}
	}
	return []*Value{b.scattered(dy[0], b.Apply(u, 2, n.Args[0])[1], n.Args[0], u.Along, u.Axis)}
}

// scattered returns zeros in the shape of x with d at ids (n): in the flat x or, with
// along, along the axis.
func (b *Builder) scattered(d, ids, x *Value, along bool, axis int) *Value {
	ids = b.Reshape(ids, ids.Shape.Elements(), N(1))
	if !along {
		return b.Reshape(b.apply(ScatterND{}, b.zeros(x, x.Shape.Elements()), ids, d), x.Shape...)
	}
	swap := axes(x.Shape)
	swap[0], swap[axis] = axis, 0
	zeros := b.Transpose(b.zeros(x, x.Shape...), swap...)
	return b.Transpose(b.apply(ScatterND{}, zeros, ids, b.Transpose(d, swap...)), swap...)
}

// Compress selects the elements of x for which a vector of truth values is true
// or, with Along, the slices along Axis. The vector may be shorter. Count is
// bound when it has run.
type Compress struct {
	Along bool
	Axis  int
	Count Dim
}

// Name returns "Compress".
func (Compress) Name() string { return "Compress" }

// Counts implements Counted.
func (c Compress) Counts() []Dim { return []Dim{c.Count} }

// Infer shortens the axis.
func (c Compress) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 2); err != nil {
		return nil, err
	}
	x, condition := args[0], args[1]
	if condition.DType != format.Bool || len(condition.Shape) != 1 {
		return nil, fmt.Errorf("a condition %s, expected a vector of BOOL", condition)
	}
	if !c.Along {
		return one(x.DType, Shape{c.Count}), nil
	}
	if err := expectAxis(c.Axis, x.Shape); err != nil {
		return nil, err
	}
	return one(x.DType, x.Shape.with(c.Axis, c.Count)), nil
}

// Grad implements Differentiable: each derivative goes to where its element was.
func (c Compress) Grad(b *Builder, n *Node, dy []*Value) []*Value {
	return []*Value{b.scattered(dy[0], b.apply(NonZero{Count: c.Count}, n.Args[1]), n.Args[0], c.Along, c.Axis), nil}
}

// NonMaxSuppression selects boxes by score, best first, and drops those that
// overlap too much with a selected one. Its arguments are the boxes (batch,n,4), by
// two corners or, with Center, by center and size; the scores (batch,classes,n);
// the maximum number of boxes per class; the maximum intersection over union; and
// the score that a box must exceed. The result is int64 (Count,3): batch, class and
// box. Count is bound when it has run.
type NonMaxSuppression struct {
	Center bool
	Count  Dim
}

// Name returns "NonMaxSuppression".
func (NonMaxSuppression) Name() string { return "NonMaxSuppression" }

// Counts implements Counted.
func (n NonMaxSuppression) Counts() []Dim { return []Dim{n.Count} }

// Infer returns int64 (Count,3).
func (n NonMaxSuppression) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 5); err != nil {
		return nil, err
	}
	boxes, scores := args[0].Shape, args[1].Shape
	if len(boxes) != 3 || len(scores) != 3 || !boxes[2].Is(4) || boxes[0] != scores[0] || boxes[1] != scores[2] {
		return nil, fmt.Errorf("boxes %s with scores %s", boxes, scores)
	}
	for _, a := range args[2:] {
		if !a.Shape.Elements().Is(1) {
			return nil, fmt.Errorf("a limit %s, expected one number", a)
		}
	}
	if bits, _ := args[2].DType.Integer(); bits == 0 {
		return nil, fmt.Errorf("the most boxes are %s, expected an integer", args[2])
	}
	return one(format.Int64, Shape{n.Count, N(3)}), nil
}
