package graph

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
)

// Builder records values into a graph. Its methods never fail: the first
// mistake is kept, with the caller's file and line, and Graph returns it, so
// that a network reads as the formulas it follows.
//
// Axes count from the front, or from the end where they are negative: -1 is the
// last.
//
// A Builder made by Scope records into the same graph and puts its prefix
// before every name.
type Builder struct {
	*recording
	prefix string // "" or ends in "."
}

type recording struct {
	graph Graph
	names map[string]*Value
	count map[string]int  // values without a name of their own, by scope and operator
	taken map[string]bool // names that are still to come, from the graph that is rewritten
	err   error
}

// NewBuilder returns a Builder of an empty graph.
func NewBuilder() *Builder {
	return &Builder{recording: &recording{
		names: map[string]*Value{},
		count: map[string]int{},
	}}
}

// Scope returns a Builder that prefixes every name with name and a dot.
func (b *Builder) Scope(name string) *Builder {
	return &Builder{recording: b.recording, prefix: b.prefix + name + "."}
}

// Graph returns what was recorded, verified, or the first mistake.
func (b *Builder) Graph() (*Graph, error) {
	if b.err != nil {
		return nil, b.err
	}
	g := b.graph
	if err := Verify(&g); err != nil {
		return nil, err
	}
	return &g, nil
}

// fail keeps the first error and tags it with the line outside this package
// that caused it.
func (b *Builder) fail(format string, args ...any) {
	if b.err != nil {
		return
	}
	b.err = errors.New(callerLine() + ": " + fmt.Sprintf(format, args...))
}

func callerLine() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	first, _ := frames.Next() // this package's
	ours := first.Function[:strings.LastIndexByte(first.Function, '/')+1] + "graph."
	for {
		f, more := frames.Next()
		inside := strings.HasPrefix(f.Function, ours) || strings.HasPrefix(f.Function, "reflect.")
		if !inside || strings.HasSuffix(f.File, "_test.go") {
			return f.File[strings.LastIndexByte(f.File, '/')+1:] + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return "graph"
		}
	}
}

// record appends a value whose shape and type are known and gives it a name.
func (b *Builder) record(v *Value) *Value {
	if v.Name == "" {
		key := b.prefix + strings.ToLower(v.Op.String())
		for v.Name == "" || b.names[v.Name] != nil || b.taken[v.Name] {
			b.count[key]++
			v.Name = fmt.Sprintf("%s_%d", key, b.count[key])
		}
	} else {
		v.Name = b.prefix + v.Name
	}
	if b.names[v.Name] != nil {
		b.fail("two values are called %.80q", v.Name)
	}
	b.names[v.Name] = v
	b.graph.Values = append(b.graph.Values, v)
	return v
}

// op records one operator, its shape by the rule of the table.
func (b *Builder) op(op Op, a Attr, args ...*Value) *Value {
	bad := &Value{Op: op, Args: args, Attr: a, DType: format.Float32, Name: "invalid"}
	if b.err != nil || !b.own(op.String(), args...) {
		return bad
	}
	v := &Value{Op: op, Args: args, Attr: a.fromFront(op, args)}
	if err := infer(v); err != nil {
		b.fail("%v", err)
		return bad
	}
	return b.record(v)
}

// own reports whether every argument of what is a value that b recorded, and
// keeps the mistake if one is not.
func (b *Builder) own(what string, args ...*Value) bool {
	for i, v := range args {
		switch {
		case v == nil:
			b.fail("graph: %s: argument %d is nil", what, i+1)
		case b.names[v.Name] != v:
			b.fail("graph: %s: argument %d, %s, is a value of another builder", what, i+1, v.Name)
		default:
			continue
		}
		return false
	}
	return true
}

// infer sets the shape and the type of v from its arguments.
func infer(v *Value) error {
	info := v.Op.Info()
	switch {
	case info.Args >= 0 && len(v.Args) != info.Args:
		return fmt.Errorf("graph: %s takes %d arguments, got %d", info.Name, info.Args, len(v.Args))
	case info.Args < 0 && len(v.Args) == 0:
		return fmt.Errorf("graph: %s takes one argument or more, got none", info.Name)
	}
	if v.Op == Cast { // the one operator whose result type is chosen, not derived
		v.Shape = v.Args[0].Shape
		return nil
	}
	s, t, err := info.rule(v.Args, v.Attr)
	if err != nil {
		return fmt.Errorf("graph: %s: %w", info.Name, err)
	}
	v.Shape, v.DType = s, t
	return nil
}

// Name gives v the name within this scope. A value is named once, by the line
// that makes it.
func (b *Builder) Name(name string, v *Value) *Value {
	if b.err != nil || !b.own("Name", v) {
		return v
	}
	name = b.prefix + name
	if b.names[name] == v {
		return v
	}
	if b.names[name] != nil {
		b.fail("graph: two values are called %.80q", name)
		return v
	}
	delete(b.names, v.Name)
	v.Name = name
	b.names[name] = v
	return v
}

// Input declares a tensor that is given anew for every run.
func (b *Builder) Input(name string, t format.DType, s ...Dim) *Value {
	v := b.record(&Value{Op: Input, Name: name, DType: t, Shape: s})
	b.graph.Inputs = append(b.graph.Inputs, v)
	return v
}

// Param declares a float32 weight and the law of its first values.
func (b *Builder) Param(name string, init Init, s ...int) *Value {
	v := b.record(&Value{Op: Param, Name: name, DType: format.Float32, Shape: Numbers(s...), Attr: Attr{Init: init}})
	b.graph.Params = append(b.graph.Params, v)
	return v
}

// Const records a fixed tensor under its own name, or a derived one.
func (b *Builder) Const(t format.Tensor) *Value {
	if err := t.Check(); err != nil {
		b.fail("graph: %v", err)
	}
	return b.record(&Value{Op: Const, Name: t.Name, DType: t.DType, Shape: Numbers(t.Shape...), Attr: Attr{Value: t.WithName("")}})
}

// Scalar returns the float32 constant x, one value for all its uses.
func (b *Builder) Scalar(x float64) *Value {
	root := &Builder{recording: b.recording}
	t := format.FromFloat32s("const."+strconv.FormatFloat(x, 'g', -1, 32), []int{}, []float32{float32(x)})
	if v := root.known(t); v != nil { // also one that Rewrite has copied
		return v
	}
	return root.Const(t)
}

// known returns the constant that is recorded with the name and elements of t,
// or nil.
func (b *Builder) known(t format.Tensor) *Value {
	v := b.names[b.prefix+t.Name]
	if v == nil || v.Op != Const || v.DType != t.DType || !v.Shape.Equal(Numbers(t.Shape...)) || !bytes.Equal(v.Attr.Value.Data, t.Data) {
		return nil
	}
	return v
}

// Output hands v out under the given name.
func (b *Builder) Output(name string, v *Value) {
	if b.err != nil || !b.own("Output", v) {
		return
	}
	b.graph.Outputs = append(b.graph.Outputs, Output{Name: name, Value: v})
}

// Gather returns rows of table (V,...) by ids: the ids' shape, then a row's.
func (b *Builder) Gather(table, ids *Value) *Value { return b.op(Gather, Attr{}, table, ids) }

// MatMul returns the matrix product: x (...,M,K), y (K,N) or (...,K,N).
func (b *Builder) MatMul(x, y *Value) *Value { return b.op(MatMul, Attr{}, x, y) }

// Add returns x + y; the two broadcast to one another.
func (b *Builder) Add(x, y *Value) *Value { return b.arithmetic(Add, x, y) }

// Sub returns x - y; the two broadcast to one another.
func (b *Builder) Sub(x, y *Value) *Value { return b.arithmetic(Sub, x, y) }

// Mul returns x · y, element by element; the two broadcast to one another.
func (b *Builder) Mul(x, y *Value) *Value { return b.arithmetic(Mul, x, y) }

// Div returns x / y; the two broadcast to one another.
func (b *Builder) Div(x, y *Value) *Value { return b.arithmetic(Div, x, y) }

// Neg returns -x.
func (b *Builder) Neg(x *Value) *Value { return b.op(Neg, Attr{}, x) }

// Exp returns e to the x.
func (b *Builder) Exp(x *Value) *Value { return b.op(Exp, Attr{}, x) }

// Log returns the natural logarithm of x.
func (b *Builder) Log(x *Value) *Value { return b.op(Log, Attr{}, x) }

// Sqrt returns the square root of x.
func (b *Builder) Sqrt(x *Value) *Value { return b.op(Sqrt, Attr{}, x) }

// Tanh returns the hyperbolic tangent of x.
func (b *Builder) Tanh(x *Value) *Value { return b.op(Tanh, Attr{}, x) }

// Relu returns max(x, 0).
func (b *Builder) Relu(x *Value) *Value { return b.op(Relu, Attr{}, x) }

// Identity returns x under another name.
func (b *Builder) Identity(x *Value) *Value { return b.op(Identity, Attr{}, x) }

// Softmax returns exp(x) over its sum along the axis.
func (b *Builder) Softmax(x *Value, axis int) *Value {
	return b.op(Softmax, Attr{Axis: axis}, x)
}

// LogSoftmax returns the logarithm of Softmax.
func (b *Builder) LogSoftmax(x *Value, axis int) *Value {
	return b.op(LogSoftmax, Attr{Axis: axis}, x)
}

// ReduceSum returns the sum over the axes.
func (b *Builder) ReduceSum(x *Value, keepDims bool, axes ...int) *Value {
	return b.op(ReduceSum, Attr{Axes: axes, KeepDims: keepDims}, x)
}

// ReduceMean returns the mean over the axes.
func (b *Builder) ReduceMean(x *Value, keepDims bool, axes ...int) *Value {
	return b.op(ReduceMean, Attr{Axes: axes, KeepDims: keepDims}, x)
}

// Reshape returns the elements of x in another shape. Letters must be the same
// on both sides, and so must the product of the numbers.
func (b *Builder) Reshape(x *Value, s ...Dim) *Value { return b.op(Reshape, Attr{Shape: s}, x) }

// Transpose returns x with its axes in the order of perm.
func (b *Builder) Transpose(x *Value, perm ...int) *Value {
	return b.op(Transpose, Attr{Perm: perm}, x)
}

// Concat returns the values one after the other along the axis.
func (b *Builder) Concat(axis int, x ...*Value) *Value { return b.op(Concat, Attr{Axis: axis}, x...) }

// Split returns the parts of x of the given sizes along the axis.
func (b *Builder) Split(x *Value, axis int, sizes ...int) []*Value {
	parts := make([]*Value, len(sizes))
	for i := range parts {
		parts[i] = b.op(Split, Attr{Axis: axis, Sizes: sizes, Result: i}, x)
	}
	return parts
}

// Slice returns positions start up to, not including, limit along the axis.
func (b *Builder) Slice(x *Value, axis int, start, limit Dim) *Value {
	return b.op(Slice, Attr{Axis: axis, Start: start, Limit: limit}, x)
}

// Cast returns x in element type t.
func (b *Builder) Cast(x *Value, t format.DType) *Value {
	v := b.op(Cast, Attr{}, x)
	v.DType = t
	return v
}

// Equal returns x = y as BOOL; the two broadcast to one another.
func (b *Builder) Equal(x, y *Value) *Value { return b.arithmetic(Equal, x, y) }

// Where returns x where cond holds and y elsewhere; both broadcast into cond,
// which does not broadcast.
func (b *Builder) Where(cond, x, y *Value) *Value { return b.op(Where, Attr{}, cond, x, y) }

// GatherElements picks elements of x by ids along the axis; the other axes agree.
func (b *Builder) GatherElements(x, ids *Value, axis int) *Value {
	return b.op(GatherElements, Attr{Axis: axis}, x, ids)
}

// Range returns the integers from start up to, not including, limit.
func (b *Builder) Range(start, limit Dim) *Value {
	return b.op(Range, Attr{Start: start, Limit: limit})
}

// ConstantOfShape returns a float32 tensor whose every element is fill.
func (b *Builder) ConstantOfShape(fill float64, s ...Dim) *Value {
	if f := float64(float32(fill)); f != fill && !math.IsNaN(fill) {
		b.fail("graph: %g is no float32", fill)
	}
	return b.op(ConstantOfShape, Attr{Shape: s, Fill: fill})
}

// TriluUpper returns x with zeros below diagonal k of its last two axes.
func (b *Builder) TriluUpper(x *Value, k Dim) *Value {
	return b.op(Trilu, Attr{Upper: true, K: k}, x)
}

// LayerNormalization returns x with mean 0 and variance 1 over its last axis,
// times scale, plus bias (arXiv:1607.06450).
func (b *Builder) LayerNormalization(x, scale, bias *Value, epsilon float64) *Value {
	return b.op(LayerNormalization, Attr{Epsilon: epsilon}, x, scale, bias)
}

// Gelu returns GPT-2's activation: the tanh form of arXiv:1606.08415.
func (b *Builder) Gelu(x *Value) *Value { return b.op(Gelu, Attr{}, x) }

// Attention returns softmax(q kᵀ · scale + mask) v (arXiv:1706.03762), for
// q (B,H,T,D), k and v (B,H,S,D) and an additive mask, (T,S) or one for each
// sequence, (B,1,T,S).
func (b *Builder) Attention(q, k, v, mask *Value, scale float64) *Value {
	return b.op(Attention, Attr{Scale: scale}, q, k, v, mask)
}

// SoftmaxCrossEntropyLoss returns the mean of -log softmax(scores)[label] over
// the labels that are not ignore: scores (B,V,T) and labels int64 (B,T), or scores
// (N,V) and labels (N).
func (b *Builder) SoftmaxCrossEntropyLoss(scores, labels *Value, ignore int64) *Value {
	return b.op(SoftmaxCrossEntropyLoss, Attr{IgnoreIndex: ignore}, scores, labels)
}

// Gemm returns x y, each transposed first if asked, plus c if it is not nil:
// matrices (M,K) and (K,N), and c broadcast into (M,N).
func (b *Builder) Gemm(x, y, c *Value, transX, transY bool) *Value {
	args := []*Value{x, y}
	if c != nil {
		args = append(args, c)
	}
	return b.op(Gemm, Attr{TransA: transX, TransB: transY}, args...)
}

// OneHot returns a row of depth numbers for each id: 1 at the id, 0 elsewhere.
func (b *Builder) OneHot(ids *Value, depth int) *Value { return b.op(OneHot, Attr{Depth: depth}, ids) }

// ScatterElements returns x with the updates added at ids along the axis; an
// id that comes twice adds twice.
func (b *Builder) ScatterElements(x, ids, updates *Value, axis int) *Value {
	return b.op(ScatterElements, Attr{Axis: axis}, x, ids, updates)
}

// Sum returns the sum of the values, broadcast to one another.
func (b *Builder) Sum(x ...*Value) *Value { return b.op(Sum, Attr{}, x...) }
