package graph

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// Builder records values into a graph. Its methods never fail: the first
// mistake is kept, with the caller's file and line, and Graph returns it, so
// that a network reads as the formulas it follows. An axis may be counted from
// the end: -1 is the last.
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
	owned map[*Value]bool
	count map[string]int  // values without a name of their own, by scope and operator
	taken map[string]bool // names that are still to come, from the graph that is rewritten
	err   error
}

// NewBuilder returns a Builder of an empty graph.
func NewBuilder() *Builder {
	return &Builder{recording: &recording{
		names: map[string]*Value{},
		owned: map[*Value]bool{},
		count: map[string]int{},
	}}
}

// Scope returns a Builder that prefixes every name with name and a dot.
func (b *Builder) Scope(name string) *Builder {
	return &Builder{recording: b.recording, prefix: b.prefix + name + "."}
}

// root returns a Builder of the same graph without a prefix.
func (b *Builder) root() *Builder { return &Builder{recording: b.recording} }

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

// Err returns the first mistake so far, or nil.
func (b *Builder) Err() error { return b.err }

// fail keeps the first error and tags it with the line outside this package
// that caused it.
func (b *Builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = errors.New(callerLine() + ": " + fmt.Sprintf(format, args...))
	}
}

// Fail keeps an error as the builder's own: for layers that check what they
// are given.
func (b *Builder) Fail(format string, args ...any) { b.fail(format, args...) }

// here is the folder of this package's files, layers that of the layers that are
// written with it.
var here, layers = func() (here, layers string) {
	_, file, _, _ := runtime.Caller(0)
	here = path.Dir(file)
	return here, path.Join(path.Dir(here), "nn")
}()

// callerLine returns the file and line of the innermost call from outside this
// package, where layers, reflection and iterators count as inside. It goes by files,
// since the compiler names a closure that it moves after its new place.
func callerLine() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		dir := path.Dir(f.File)
		inside := (dir == here || dir == layers) && !strings.HasSuffix(f.File, "_test.go")
		folder := path.Base(dir)
		between := folder == "reflect" || folder == "slices"
		if !inside && !between {
			return path.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return "graph"
		}
	}
}

// record appends a node whose results have their types, and names these.
func (b *Builder) record(n *Node) {
	for i, v := range n.Results {
		v.Node, v.Index = n, i
		if v.Name == "" {
			key := b.prefix + strings.ToLower(n.Op.Name())
			for v.Name == "" || b.names[v.Name] != nil || b.taken[v.Name] {
				b.count[key]++
				v.Name = fmt.Sprintf("%s_%d", key, b.count[key])
			}
		} else {
			v.Name = b.prefix + v.Name
		}
		if b.names[v.Name] != nil {
			b.fail("graph: two values are called %.80q", v.Name)
		}
		b.names[v.Name] = v
		b.owned[v] = true
	}
	b.graph.Nodes = append(b.graph.Nodes, n)
}

// Apply records one operator and returns its first so many results, or all of
// them for 0: the way to record an operator that has no method of its own.
func (b *Builder) Apply(op Op, results int, args ...*Value) []*Value {
	bad := func() []*Value {
		n := &Node{Op: op, Args: args}
		for range max(results, 1) {
			n.Results = append(n.Results, &Value{Node: n, Name: "invalid", Type: Type{DType: format.Float32}})
		}
		return n.Results
	}
	if op == nil {
		b.fail("graph: the operator is nil")
	}
	if b.err != nil || !b.own(op.Name(), args) {
		return bad()
	}
	n := &Node{Op: fromFront(op, args), Args: args}
	types, err := infer(n)
	if err == nil && (results < 0 || results > len(types)) {
		err = fmt.Errorf("graph: %s has %d results, %d were asked for", op.Name(), len(types), results)
	}
	if err != nil {
		b.fail("%v", err)
		return bad()
	}
	if results > 0 {
		types = types[:results]
	}
	for _, t := range types {
		n.Results = append(n.Results, &Value{Type: t})
	}
	b.record(n)
	return slices.Clone(n.Results) // the caller's own
}

// apply records one operator and returns its first result.
func (b *Builder) apply(op Op, args ...*Value) *Value { return b.Apply(op, 1, args...)[0] }

// own reports whether all values are this graph's, and keeps the mistake if one
// is not.
func (b *Builder) own(user string, args []*Value) bool {
	for i, v := range args {
		switch {
		case v == nil:
			b.fail("graph: %s: argument %d is nil", user, i+1)
			return false
		case !b.owned[v]:
			b.fail("graph: %s: argument %d, %s, is a value of another builder", user, i+1, v.Name)
			return false
		}
	}
	return true
}

// infer returns the types of the results of n.
func infer(n *Node) ([]Type, error) {
	args := make([]Type, len(n.Args))
	for i, a := range n.Args {
		args[i] = a.Type
	}
	types, err := n.Op.Infer(args)
	if err != nil {
		return nil, fmt.Errorf("graph: %s: %w", n.Op.Name(), err)
	}
	for _, t := range types {
		if len(t.Shape) > maxRank {
			return nil, fmt.Errorf("graph: %s: a result of %d dimensions, at most %d are supported", n.Op.Name(), len(t.Shape), maxRank)
		}
	}
	return types, nil
}

// maxRank is the most dimensions of a value: more than any model has, and few
// enough that a hostile graph cannot make shapes grow without end.
const maxRank = 32

// Name gives v the name within this scope. A value is named once, by the line
// that makes it.
func (b *Builder) Name(name string, v *Value) *Value {
	if b.err != nil {
		return v
	}
	if !b.own(fmt.Sprintf("the name %.80q", name), []*Value{v}) {
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

// leaf records a value that is given.
func (b *Builder) leaf(op Op, name string, t Type) *Value {
	v := &Value{Name: name, Type: t}
	b.record(&Node{Op: op, Results: []*Value{v}})
	return v
}

// Input declares a tensor that is given for every run and has no role.
func (b *Builder) Input(name string, t format.DType, s ...Dim) *Value {
	return b.input(name, role.Role{}, t, s)
}

// InputFor declares a tensor that is given for every run, under the name of its
// role.
func (b *Builder) InputFor(r role.Role, t format.DType, s ...Dim) *Value {
	return b.root().input(r.Name(), r, t, s)
}

func (b *Builder) input(name string, r role.Role, t format.DType, s Shape) *Value {
	v := b.leaf(Input{Role: r}, name, Type{t, s})
	b.graph.Inputs = append(b.graph.Inputs, v)
	return v
}

// Param declares a float32 weight and the distribution of its first values.
func (b *Builder) Param(name string, init Init, s ...int) *Value {
	v := b.leaf(Param{init}, name, Type{format.Float32, Numbers(s...)})
	b.graph.Params = append(b.graph.Params, v)
	return v
}

// Const records a fixed tensor under its own name, or a derived one.
func (b *Builder) Const(t format.Tensor) *Value {
	if err := t.Check(); err != nil {
		b.fail("graph: %v", err)
	}
	return b.leaf(Const{t.WithName("")}, t.Name, Type{t.DType, Numbers(t.Shape...)})
}

// Scalar returns the float32 constant x, one value for all its uses.
func (b *Builder) Scalar(x float64) *Value {
	return b.shared(format.FromFloat32s("const."+strconv.FormatFloat(x, 'g', -1, 32), []int{}, []float32{float32(x)}))
}

// integer returns the int64 constant x, one value for all its uses.
func (b *Builder) integer(x int64) *Value {
	return b.shared(format.FromInt64s("integer."+strconv.FormatInt(x, 10), []int{}, []int64{x}))
}

// like returns the constant x in the floating-point type of v, one value for
// all its uses.
func (b *Builder) like(v *Value, x float64) *Value {
	if v.DType == format.Float32 || b.err != nil {
		return b.Scalar(x)
	}
	data := binary.LittleEndian.AppendUint64(nil, math.Float64bits(x))
	t, _, err := format.Tensor{DType: format.Float64, Shape: []int{}, Data: data}.Convert(v.DType)
	if err != nil {
		b.fail("graph: the number %g as %s: %v", x, v.DType, err)
		return b.Scalar(x)
	}
	return b.shared(t.WithName("const." + v.DType.String() + "." + float(x)))
}

// shared returns the constant of t's name and elements, recorded once.
func (b *Builder) shared(t format.Tensor) *Value {
	root := b.root()
	if v := root.known(t); v != nil { // also one that Rewrite has copied
		return v
	}
	return root.Const(t)
}

// known returns the constant that is recorded with the name and elements of t,
// or nil.
func (b *Builder) known(t format.Tensor) *Value {
	v := b.names[b.prefix+t.Name]
	if v == nil {
		return nil
	}
	c, ok := v.Constant()
	if !ok || v.DType != t.DType || !v.Shape.Equal(Numbers(t.Shape...)) || !bytes.Equal(c.Data, t.Data) {
		return nil
	}
	return v
}

// Context declares the most tokens that one sequence may have, its past
// included.
func (b *Builder) Context(n int) { b.graph.Context = n }

// Output hands v out under the given name, without a role.
func (b *Builder) Output(name string, v *Value) { b.output(name, role.Role{}, v) }

// OutputFor hands v out under the name of its role.
func (b *Builder) OutputFor(r role.Role, v *Value) { b.output(r.Name(), r, v) }

func (b *Builder) output(name string, r role.Role, v *Value) {
	if b.err == nil && b.own(fmt.Sprintf("output %.80q", name), []*Value{v}) {
		b.graph.Outputs = append(b.graph.Outputs, Output{Name: name, Role: r, Value: v})
	}
}

// Gather returns rows of table (V,...) by ids: the ids' shape, then a row's.
func (b *Builder) Gather(table, ids *Value) *Value { return b.apply(Gather{}, table, ids) }

// MatMul returns the matrix product (...,M,K) times (...,K,N).
func (b *Builder) MatMul(x, y *Value) *Value { return b.apply(MatMul{}, x, y) }

// Add returns x + y.
func (b *Builder) Add(x, y *Value) *Value { return b.apply(Add, x, y) }

// Sub returns x - y.
func (b *Builder) Sub(x, y *Value) *Value { return b.apply(Sub, x, y) }

// Mul returns x · y, element by element.
func (b *Builder) Mul(x, y *Value) *Value { return b.apply(Mul, x, y) }

// Div returns x / y.
func (b *Builder) Div(x, y *Value) *Value { return b.apply(Div, x, y) }

// Pow returns x to the y.
func (b *Builder) Pow(x, y *Value) *Value { return b.apply(Pow, x, y) }

// Max returns the larger of x and y.
func (b *Builder) Max(x, y *Value) *Value { return b.apply(Max, x, y) }

// Min returns the smaller of x and y.
func (b *Builder) Min(x, y *Value) *Value { return b.apply(Min, x, y) }

// Equal returns x = y as BOOL.
func (b *Builder) Equal(x, y *Value) *Value { return b.apply(Equal, x, y) }

// Less returns x < y as BOOL.
func (b *Builder) Less(x, y *Value) *Value { return b.apply(Less, x, y) }

// LessOrEqual returns x ≤ y as BOOL.
func (b *Builder) LessOrEqual(x, y *Value) *Value { return b.apply(LessOrEqual, x, y) }

// Greater returns x > y as BOOL.
func (b *Builder) Greater(x, y *Value) *Value { return b.apply(Greater, x, y) }

// GreaterOrEqual returns x ≥ y as BOOL.
func (b *Builder) GreaterOrEqual(x, y *Value) *Value { return b.apply(GreaterOrEqual, x, y) }

// And returns where both hold.
func (b *Builder) And(x, y *Value) *Value { return b.apply(And, x, y) }

// Or returns where one or both hold.
func (b *Builder) Or(x, y *Value) *Value { return b.apply(Or, x, y) }

// Not returns where x does not hold.
func (b *Builder) Not(x *Value) *Value { return b.apply(Not, x) }

// Neg returns -x.
func (b *Builder) Neg(x *Value) *Value { return b.apply(Neg, x) }

// Exp returns e to the x.
func (b *Builder) Exp(x *Value) *Value { return b.apply(Exp, x) }

// Log returns the natural logarithm of x.
func (b *Builder) Log(x *Value) *Value { return b.apply(Log, x) }

// Sqrt returns the square root of x.
func (b *Builder) Sqrt(x *Value) *Value { return b.apply(Sqrt, x) }

// Tanh returns the hyperbolic tangent of x.
func (b *Builder) Tanh(x *Value) *Value { return b.apply(Tanh, x) }

// Relu returns max(x, 0).
func (b *Builder) Relu(x *Value) *Value { return b.apply(Relu, x) }

// Sigmoid returns 1/(1 + exp(-x)).
func (b *Builder) Sigmoid(x *Value) *Value { return b.apply(Sigmoid, x) }

// Erf returns the error function of x.
func (b *Builder) Erf(x *Value) *Value { return b.apply(Erf, x) }

// Sin returns the sine of x radians.
func (b *Builder) Sin(x *Value) *Value { return b.apply(Sin, x) }

// Cos returns the cosine of x radians.
func (b *Builder) Cos(x *Value) *Value { return b.apply(Cos, x) }

// Abs returns the absolute value of x.
func (b *Builder) Abs(x *Value) *Value { return b.apply(Abs, x) }

// Sign returns -1, 0 or 1.
func (b *Builder) Sign(x *Value) *Value { return b.apply(Sign, x) }

// Reciprocal returns 1/x.
func (b *Builder) Reciprocal(x *Value) *Value { return b.apply(Reciprocal, x) }

// Identity returns x under another name.
func (b *Builder) Identity(x *Value) *Value { return b.apply(Identity, x) }

// Softmax returns exp(x) over its sum along the axis.
func (b *Builder) Softmax(x *Value, axis int) *Value { return b.apply(Softmax{axis}, x) }

// LogSoftmax returns the logarithm of Softmax.
func (b *Builder) LogSoftmax(x *Value, axis int) *Value { return b.apply(LogSoftmax{axis}, x) }

// ReduceSum returns the sum over the axes.
func (b *Builder) ReduceSum(x *Value, keepDims bool, axes ...int) *Value {
	return b.apply(Reduce{ReduceSum, axes, keepDims}, x)
}

// ReduceMean returns the mean over the axes.
func (b *Builder) ReduceMean(x *Value, keepDims bool, axes ...int) *Value {
	return b.apply(Reduce{ReduceMean, axes, keepDims}, x)
}

// ReduceMax returns the largest element over the axes.
func (b *Builder) ReduceMax(x *Value, keepDims bool, axes ...int) *Value {
	return b.apply(Reduce{ReduceMax, axes, keepDims}, x)
}

// Reshape returns the elements of x in another shape, which has as many.
func (b *Builder) Reshape(x *Value, s ...Dim) *Value { return b.apply(Reshape{s}, x) }

// Expand returns x broadcast into the shape.
func (b *Builder) Expand(x *Value, s ...Dim) *Value { return b.apply(Expand{s}, x) }

// Transpose returns x with its axes in the order of perm.
func (b *Builder) Transpose(x *Value, perm ...int) *Value { return b.apply(Transpose{perm}, x) }

// Concat returns the values one after the other along the axis.
func (b *Builder) Concat(axis int, x ...*Value) *Value { return b.apply(Concat{axis}, x...) }

// Split returns the parts of x of the given sizes along the axis.
func (b *Builder) Split(x *Value, axis int, sizes ...int) []*Value {
	return b.Apply(Split{axis, sizes}, len(sizes), x)
}

// Slice returns positions start up to, not including, limit along the axis.
func (b *Builder) Slice(x *Value, axis int, start, limit Dim) *Value {
	return b.apply(Slice{axis, start, limit}, x)
}

// Cast returns x in element type t.
func (b *Builder) Cast(x *Value, t format.DType) *Value { return b.apply(Cast{t}, x) }

// Where returns x where cond holds and y elsewhere.
func (b *Builder) Where(cond, x, y *Value) *Value { return b.apply(Where{}, cond, x, y) }

// GatherElements picks elements of x by ids along the axis; the other axes agree.
func (b *Builder) GatherElements(x, ids *Value, axis int) *Value {
	return b.apply(GatherElements{axis}, x, ids)
}

// Range returns the integers from start up to, not including, limit.
func (b *Builder) Range(start, limit Dim) *Value { return b.apply(Range{start, limit}) }

// ConstantOfShape returns a float32 tensor whose every element is fill.
func (b *Builder) ConstantOfShape(fill float64, s ...Dim) *Value {
	return b.apply(ConstantOfShape{s, fill})
}

// Positions returns the place of each token in its text, int64 (T), for tokens
// (B,T).
func (b *Builder) Positions(tokens *Value) *Value { return b.apply(Positions{}, tokens) }

// TriluUpper returns x with zeros below diagonal k of its last two axes.
func (b *Builder) TriluUpper(x *Value, k Dim) *Value { return b.apply(Trilu{true, k}, x) }

// LayerNormalization returns x with mean 0 and variance 1 over its last axis,
// times scale, plus bias, which may be nil (arXiv:1607.06450).
func (b *Builder) LayerNormalization(x, scale, bias *Value, epsilon float64) *Value {
	return b.apply(LayerNormalization{epsilon}, present(x, scale, bias)...)
}

// RMSNormalization returns x over the root of its mean square along the last
// axis, times scale (arXiv:1910.07467).
func (b *Builder) RMSNormalization(x, scale *Value, epsilon float64) *Value {
	return b.apply(RMSNormalization{epsilon}, x, scale)
}

// Gelu returns the Gaussian error linear unit (arXiv:1606.08415).
func (b *Builder) Gelu(x *Value) *Value { return b.apply(Gelu{"none"}, x) }

// GeluTanh returns GPT-2's activation: Gelu in its tanh form.
func (b *Builder) GeluTanh(x *Value) *Value { return b.apply(Gelu{"tanh"}, x) }

// SiLU returns x·sigmoid(x) (arXiv:1702.03118).
func (b *Builder) SiLU(x *Value) *Value { return b.apply(Swish{1}, x) }

// Attention applies a to q (B,H,T,D), k (B,G,S,D), v (B,G,S,E) and mask, which
// may be nil.
func (b *Builder) Attention(a Attention, q, k, v, mask *Value) *Value {
	return b.apply(a, present(q, k, v, mask)...)
}

// RotaryEmbedding turns pairs of elements of x (B,H,T,D) by the angles, (R/2),
// times the positions, (T) or (B,T).
func (b *Builder) RotaryEmbedding(r RotaryEmbedding, x, positions, angles *Value) *Value {
	return b.apply(r, x, positions, angles)
}

// SoftmaxCrossEntropyLoss returns the mean of -log softmax(scores)[label] over
// the labels that are not ignore: scores (B,V,T) and labels int64 (B,T), or scores
// (N,V) and labels (N).
func (b *Builder) SoftmaxCrossEntropyLoss(scores, labels *Value, ignore int64) *Value {
	return b.apply(SoftmaxCrossEntropyLoss{ignore}, scores, labels)
}

// Gemm returns x y, each transposed first if asked, plus c, which may be nil:
// matrices (M,K) and (K,N), and c broadcast into (M,N).
func (b *Builder) Gemm(x, y, c *Value, transX, transY bool) *Value {
	return b.apply(Gemm{transX, transY}, present(x, y, c)...)
}

// OneHot returns a row of depth numbers for each id: 1 at the id, 0 elsewhere.
func (b *Builder) OneHot(ids *Value, depth int) *Value { return b.apply(OneHot{depth}, ids) }

// ScatterElements returns x with the updates added at ids along the axis; an
// id that comes twice adds twice.
func (b *Builder) ScatterElements(x, ids, updates *Value, axis int) *Value {
	return b.apply(ScatterElements{axis}, x, ids, updates)
}

// present drops the last argument where it is nil: it may be left out.
func present(args ...*Value) []*Value {
	if last := len(args) - 1; args[last] == nil {
		return args[:last]
	}
	return args
}
