package ref

import (
	"fmt"
	"math"
	"reflect"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// A rounding rule bounds, to first order, what an operation in floating point adds
// to the error of its arguments, for the numbers at hand. The standard model is
// fl(x op y) = (x op y)(1+δ), |δ| ≤ u, with u the unit roundoff (Higham, Accuracy
// and Stability of Numerical Algorithms, 2nd edition, SIAM 2002, section 2.2). It
// holds for +, -, ·, / and √ (IEEE 754-2019); for other functions δ is the error
// that libraries document or show. The rules give the standard deviation, if
// roundings are independent and uniform in ±u|x| (Higham and Mary, A new approach
// to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41, 2019).
//
// A composite operator without a row here has the rule of its decomposition.
type slip struct {
	deviation []float64
	// partial are the sizes of partial sums that may be infinities, of elements that have such
	// (see overflow.go); nil: none has.
	partial []float64
}

// units are the roundings of one operation.
type units struct {
	value  float64 // unit roundoff of the results
	tiny   float64 // below it numbers of the results' type have an absolute error: the smallest normal number times value
	sums   float64 // unit roundoff of sums and of steps inside the operation
	factor float64 // unit roundoff of the factors of products; 0: they keep their digits
	most   float64 // from here on a result rounds to infinity
	room   float64 // from here on a sum does
}

// roundingRule is a row of the table: the slips of the results, nil for results
// without any.
type roundingRule struct {
	op    reflect.Type
	slip  func(op graph.Op, c call, out []array, u units) []slip
	exact bool // it rounds nothing
}

// rounds makes the row of an operator whose first result is rounded.
func rounds[O graph.Op](f func(op O, c call, out array, u units) slip) roundingRule {
	return roundingRule{op: reflect.TypeFor[O](), slip: func(op graph.Op, c call, out []array, u units) []slip {
		if out[0].kind != floats {
			return make([]slip, len(out))
		}
		slips := make([]slip, len(out))
		slips[0] = f(op.(O), c, out[0], u)
		return slips
	}}
}

// moves makes the row of an operator that rounds nothing: it moves or selects
// elements, or works on integers.
func moves[O graph.Op]() roundingRule {
	none := func(_ graph.Op, _ call, out []array, _ units) []slip { return make([]slip, len(out)) }
	return roundingRule{reflect.TypeFor[O](), none, true}
}

// roundingRules has every operator that has a rule of its own.
var roundingRules = map[reflect.Type]roundingRule{}

// withoutRule are the operators that have neither a rule nor a decomposition with
// rules, and why. Values after them are not certified.
var withoutRule = map[reflect.Type]string{
	reflect.TypeFor[graph.Trees]():      "it compares numbers with thresholds",
	reflect.TypeFor[graph.BitCast]():    "it takes the bits apart",
	reflect.TypeFor[graph.PowerOfTwo](): "it is a step function",
}

func init() {
	for _, r := range []roundingRule{
		rounds(func(op graph.Unary, c call, out array, u units) slip { return functionSlip(op, c.args[0], out, u) }),
		rounds(func(op graph.Binary, c call, out array, u units) slip { return binarySlip(op, c, out, u) }),
		moves[graph.Where](),
		rounds(castSlip),
		moves[graph.Gather](), moves[graph.GatherElements](), moves[graph.OneHot](), moves[graph.Reshape](), moves[graph.Transpose](),
		moves[graph.Concat](), moves[graph.Split](), moves[graph.Slice](), moves[graph.Expand](), moves[graph.Trilu](),
		moves[graph.Range](), moves[graph.ConstantOfShape](), moves[graph.Positions](), moves[graph.ArgMax](), moves[graph.ArgMin](),
		moves[graph.MaxPool](), moves[graph.MaxUnpool](), moves[graph.Pad](), moves[graph.TopK](), moves[graph.Unique](), moves[graph.Compress](),
		moves[graph.NonMaxSuppression](), moves[graph.NonZero](), moves[graph.UnpackBits](), moves[graph.Requantize](),
		rounds(func(_ graph.MatMul, c call, out array, u units) slip {
			a, b := c.args[0], c.args[1]
			squares := squaresOfTerms(a, b, out.shape).f
			s := slipOfSums(out, a.shape[len(a.shape)-1], u, true, squares)
			alikeMatMul(s, a.wide(), b, out, squares, u)
			return s
		}),
		rounds(func(op graph.Gemm, c call, out array, u units) slip {
			a, b := transposed(c.args[0].wide(), op.TransA), turnedIf(op.TransB, c.args[1])
			squares := squaresOfTerms(a, b, out.shape)
			if len(c.args) == 3 {
				combine(graph.Add, squares, mapped(c.args[2], square), squares)
			}
			s := slipOfSums(out, a.shape[1]+len(c.args)-2, u, true, squares.f)
			alikeMatMul(s, a, b, out, squares.f, u)
			return s
		}),
		rounds(func(op graph.Conv, c call, out array, u units) slip {
			n, _ := format.Elements(c.args[1].shape[1:])
			squares := again(op, c)(square).f
			s := slipOfSums(out, n+len(c.args)-2, u, true, squares)
			alikeConv(s, op, c, out, squares, u)
			return s
		}),
		rounds(func(op graph.ConvTranspose, c call, out array, u units) slip {
			n, _ := format.Elements(c.args[1].shape[2:])
			return sumSlip(out, n*c.args[0].shape[1]/op.Group+len(c.args)-2, u, true, again(op, c))
		}),
		rounds(func(op graph.Col2Im, c call, out array, u units) slip {
			n := 1
			for _, k := range op.Block {
				n *= k
			}
			return sumSlip(out, n, u, false, again(op, c))
		}),
		rounds(func(op graph.ScatterElements, c call, out array, u units) slip { return scatterSlip(op, c, out, u) }),
		rounds(func(op graph.ScatterND, c call, out array, u units) slip {
			switch op.Reduction {
			case "add":
				return scatterSlip(op, c, out, u)
			case "mul":
				return productSlip(op, c, out, u)
			}
			return slip{}
		}),
		rounds(func(op graph.CumSum, c call, out array, u units) slip {
			s := sumSlip(out, c.args[0].shape[op.Axis], u, false, again(op, c))
			alikeCumSum(s, op, c.args[0], out, u)
			return s
		}),
		rounds(func(op graph.CumProd, c call, out array, u units) slip {
			return relativeSlip(out, u, float64(c.args[0].shape[op.Axis]))
		}),
		rounds(func(op graph.ReduceProd, c call, out array, u units) slip {
			return relativeSlip(out, u, float64(max(1, c.args[0].len())/max(1, out.len())))
		}),
		rounds(reduceSlip),
		rounds(func(op graph.Softmax, c call, out array, u units) slip {
			return softmaxSlip(op.Axis, false, c.args[0], out, u)
		}),
		rounds(func(op graph.LogSoftmax, c call, out array, u units) slip {
			return softmaxSlip(op.Axis, true, c.args[0], out, u)
		}),
		rounds(func(op graph.Resize, c call, out array, u units) slip {
			if op.Mode == "nearest" && op.Back == (graph.Dim{}) {
				return slip{}
			}
			return relativeSlip(peaks(op, c, out), u, 8)
		}),
		rounds(func(_ graph.QuantizeLinear, _ call, out array, _ units) slip { return unknownSlip(out.len()) }), // to a floating-point type; integers have doubts
		{op: reflect.TypeFor[graph.DynamicQuantizeLinear](), slip: func(_ graph.Op, c call, out []array, u units) []slip {
			return []slip{{}, relativeSlip(out[1], u, 2), {}} // the scale is a rounded difference, and a rounded quotient
		}},
		rounds(mayRoundSlip),
		rounds(roundTo8BitsSlip),
		rounds(func(_ graph.DequantizeLinear, _ call, out array, u units) slip { return relativeSlip(out, u, 1) }),
		rounds(func(op graph.TfIdfVectorizer, c call, out array, u units) slip {
			if op.Mode != "TFIDF" || len(c.args) < 3 {
				return slip{} // counts, and weights as they are
			}
			return relativeSlip(out, u, 1)
		}),
		rounds(func(op graph.DFT, c call, out array, u units) slip { return transformError(op, c, out, u).slip() }),
		rounds(func(_ graph.Det, c call, out array, u units) slip { return determinantError(c, out, u).slip() }),
		rounds(func(op graph.GridSample, c call, out array, u units) slip { return gridError(op, c, out, u).slip() }),
		rounds(func(op graph.RoiAlign, c call, out array, u units) slip { return regionError(op, c, out, u).slip() }),
		rounds(func(op graph.MaxRoiPool, c call, out array, u units) slip { return regionDoubt(op, c, out, u).slip() }),
		rounds(func(op graph.DeformConv, c call, out array, u units) slip { return deformedError(op, c, out, u).slip() }),
	} {
		if _, twice := roundingRules[r.op]; twice {
			panic("ref: two rounding rules of " + r.op.String())
		}
		roundingRules[r.op] = r
	}
}

// ruled reports whether a node is bounded as it is, or has no bound. Others are
// decomposed.
func ruled(n *graph.Node) bool {
	_, ok := roundingRules[reflect.TypeOf(n.Op)]
	return ok || n.Results[0].Leaf()
}

// unruled returns why an operator has no rounding rule.
func unruled(op graph.Op) string {
	if why, listed := withoutRule[reflect.TypeOf(op)]; listed {
		return "no rounding rule: " + why
	}
	return "no rounding rule"
}

// again returns a function that applies the operator to f of its arguments.
func again(op graph.Op, c call) func(f func(float64) float64) array {
	return func(f func(float64) float64) array {
		other := c
		other.args = make([]array, len(c.args))
		for i, a := range c.args {
			other.args[i] = a
			if a.kind == floats {
				other.args[i] = mapped(a, f)
			}
		}
		out, err := kernels[reflect.TypeOf(op)].compute(op, other)
		if err != nil { // it computed the arguments themselves
			panic(fmt.Sprintf("ref: %s: %v", op.Name(), err))
		}
		return out[0]
	}
}

// peaks returns the largest element of each line of a resized axis, which bounds
// its weighted sums.
func peaks(op graph.Resize, c call, out array) array {
	x := c.args[0]
	tops := foldExtreme(mapped(x, math.Abs), []int{op.Axis}, with(x.shape, op.Axis, 1), 1)
	return pick(tops, spread(tops.shape, out.shape))
}

func with(shape []int, axis, size int) []int {
	s := append([]int(nil), shape...)
	s[axis] = size
	return s
}

func square(x float64) float64 { return x * x }

// mapped returns f of every element.
func mapped(x array, f func(float64) float64) array {
	x = x.wide()
	return each(x, f)
}

// rounded returns the largest error of rounding x to the type of the results. A
// number below the smallest normal one has an absolute error, at most itself.
func (u units) rounded(x float64) float64 {
	x = math.Abs(x)
	return max(u.value*x, min(x, u.tiny))
}

// uniform is the standard deviation of a uniform distribution over ±1.
var uniform = 1 / math.Sqrt(3)

// newSlip returns a slip for n elements.
func newSlip(n int) slip { return slip{deviation: make([]float64, n)} }

// set sets an element whose error is that of a rounding by at most e.
func (s slip) set(i int, e float64) { s.deviation[i] = e * uniform }

// relativeSlip is that of a function whose error is typically some roundings of a
// result.
func relativeSlip(out array, u units, some float64) slip {
	s := newSlip(len(out.f))
	for i, y := range out.f {
		s.set(i, some*u.rounded(y))
	}
	return s
}

// accuracy is the typical error of a function in roundings of its result. floor
// is the size below which the error is absolute.
type accuracy struct{ typical, floor float64 }

// accuracies of the functions that IEEE 754 does not fix. The most that the OpenCL
// 3.0 specification allows them (table of ULP values) is several times that. The
// floors are those of ONNX Runtime's kernels (onnxruntime/core/mlas): its logistic
// adds 0.5 to a quotient of polynomials, its softplus takes the logarithm of
// 1+exp(x), and the angles of sine and cosine are reduced.
var accuracies = map[graph.Unary]accuracy{
	graph.Sqrt:       {1, 0},
	graph.Reciprocal: {1, 0},
	graph.Exp:        {2, 0},
	graph.Log:        {2, 0},
	graph.Tanh:       {2, 0},
	graph.Sigmoid:    {2, 0.5},
	graph.Erf:        {2, 0},
	graph.Sin:        {2, 0.25},
	graph.Cos:        {2, 0.25},
	graph.Tan:        {2, 0.25},
	graph.Softplus:   {2, 1},
	graph.Asin:       {2, 0}, graph.Acos: {2, 0}, graph.Atan: {2, 0},
	graph.Sinh: {2, 1}, graph.Cosh: {2, 0}, graph.Asinh: {2, 0}, graph.Acosh: {2, 0}, graph.Atanh: {2, 0},
}

// exactFunctions are those whose results need no rounding. Of them Sign, Floor,
// Ceil and Round are steps.
var exactFunctions = map[graph.Unary]bool{
	graph.Neg: true, graph.Relu: true, graph.Abs: true, graph.Sign: true, graph.Floor: true, graph.Ceil: true, graph.Round: true,
	graph.Not: true, graph.Identity: true, graph.IsNaN: true, graph.BitwiseNot: true,
}

// steps reports whether a function jumps, so that it has no derivative to which
// roundings are first order.
func steps(op graph.Op) bool {
	switch op {
	case graph.Sign, graph.Floor, graph.Ceil, graph.Round, graph.Mod, graph.FMod:
		return true
	}
	return false
}

func functionSlip(op graph.Unary, x, out array, u units) slip {
	if exactFunctions[op] {
		return slip{}
	}
	a, ok := accuracies[op]
	if !ok {
		return unknownSlip(len(out.f))
	}
	s := newSlip(len(out.f))
	inParts(len(out.f), 2, func(from, to int) {
		for i := from; i < to; i++ {
			y := out.f[i]
			if y == 0 && x.f[i] == 0 {
				continue // odd functions are exact at 0
			}
			s.set(i, a.typical*u.rounded(max(math.Abs(y), a.floor)))
		}
	})
	return s
}

// unknownSlip makes the results uncertain.
func unknownSlip(n int) slip {
	s := newSlip(n)
	for i := range s.deviation {
		s.set(i, math.NaN())
	}
	return s
}

// power reports whether x is a power of two: multiplying by it is exact.
func power(x float64) bool {
	return math.Float64bits(x)&(1<<52-1) == 0
}

func binarySlip(op graph.Binary, c call, out array, u units) slip {
	a, b := c.args[0], c.args[1]
	if a.kind != floats {
		return slip{}
	}
	switch op {
	case graph.Max, graph.Min, graph.FMod:
		return slip{}
	}
	s := newSlip(len(out.f))
	if len(out.f) == 0 {
		return s
	}
	lines := newStretch(a.shape, b.shape, out.shape)
	lines.lines(func(i, left, right int) {
		for j := range lines.n {
			s.set(i+j, binaryError(op, a.f[left+j*lines.steps[0]], b.f[right+j*lines.steps[1]], out.f[i+j], u))
		}
	})
	return s
}

// binaryError returns the typical error of y = x op z.
func binaryError(op graph.Binary, x, z, y float64, u units) float64 {
	e := u.rounded(y)
	switch op {
	case graph.Add, graph.Sub:
		// The number nearest to a sum is at least as near as either term: so a masked
		// score is exact, and so is a sum with 0.
		return min(e, math.Abs(x), math.Abs(z))
	case graph.Mul:
		if (power(x) || power(z)) && e > u.tiny {
			return 0
		}
		return e
	case graph.Div:
		if power(z) && e > u.tiny {
			return 0
		}
		return e
	case graph.Pow:
		return 2 * e
	case graph.Mod: // the divisor is added to a remainder of the other sign
		return u.rounded(z)
	}
	return math.NaN()
}

// castSlip is that of a conversion to a floating-point type that does not hold
// all numbers of the first.
func castSlip(op graph.Cast, c call, out array, u units) slip {
	x := c.args[0]
	if x.kind == bools {
		return slip{}
	}
	s := newSlip(len(out.f))
	for i, y := range out.f {
		if x.kind == ints && math.Abs(y)*u.value <= 0.5 || x.kind == floats && !narrower(op.To, x.dtype) {
			continue
		}
		s.set(i, u.rounded(y))
	}
	return s
}

// narrower reports whether a has fewer digits than b.
func narrower(a, b format.DType) bool { return unit(a) > unit(b) }

// sumSlip is that of results which are sums of n terms, or of n products. apply
// computes the operator on a function of its arguments: on their squares it gives
// the sum of squared terms s².
//
// The error of a sum is that of its partial sums: Σ u|Sₖ| over k (Higham,
// section 4.2). In any order it is at most γₙ Σ|term| (section 3.1). In a random
// order the partial sums are a bridge from 0 to y: the mean of Sₖ² is y²/3 and a multiple of
// s² with the distribution of Cramér and von Mises, 1/6 on average and above 1 in one of 400
// orders. As the orders of libraries are not known, it is taken as s² + y²/3.
// Products add s² once, if they are rounded apart from the sum.
// Blocked and pairwise sums, which libraries use for long ones, stay below.
func sumSlip(out array, n int, u units, products bool, apply func(f func(float64) float64) array) slip {
	return slipOfSums(out, n, u, products, apply(square).f)
}

// slipOfSums is sumSlip for sums whose squared terms are known.
func slipOfSums(out array, n int, u units, products bool, squares []float64) slip {
	s := newSlip(len(out.f))
	for i, y := range out.f {
		s.set(i, sumError(n, squares[i], y, u, products))
	}
	s.overflowing(out, n, squares, 1, u)
	return s
}

// sumError returns the typical error of a sum of n terms, or of n products, with the
// value y and the sum of squared terms s2.
func sumError(n int, s2, y float64, u units, products bool) float64 {
	if s2 == 0 {
		return 0
	}
	variance := 0.0
	if n > 1 {
		variance = float64(n) * (s2 + y*y/3)
	}
	own, factors := 0.0, 0.0
	if products {
		variance += s2
		factors = 2 * square(u.factor) * s2
	}
	if u.value > u.sums || n == 1 {
		own = u.rounded(y)
	}
	return math.Sqrt(square(u.sums)*variance + factors + square(own))
}

func reduceSlip(op graph.Reduce, c call, out array, u units) slip {
	x := c.args[0]
	switch op.Kind {
	case graph.ReduceMax, graph.ReduceMin:
		return slip{}
	}
	n := 1
	for _, axis := range op.Axes {
		n *= x.shape[axis]
	}
	count := 1.0
	if op.Kind == graph.ReduceMean {
		count = float64(n)
	}
	sum := op
	sum.Kind = graph.ReduceSum
	// The mean's terms are x/n: the error of the sum shrinks with it.
	squares := reduce(sum, mapped(x, func(v float64) float64 { return square(v / count) }), out.shape).f
	s := slipOfSums(out, n, u, false, squares)
	s.overflowing(out, n, squares, count, u)
	if op.Kind == graph.ReduceMean && !power(count) {
		for i, y := range out.f {
			s.deviation[i] = math.Hypot(s.deviation[i], u.rounded(y)*uniform)
		}
	}
	alikeReduced(s, op, x, out, n, u)
	return s
}

// softmaxSlip is that of exp(x - top)/sum, or of x - top - log(sum). Rounding the
// difference changes the exponential by u|x - top| of its size. The terms of the
// sum are positive.
func softmaxSlip(axis int, logs bool, x, out array, u units) slip {
	s := newSlip(len(out.f))
	if len(out.f) == 0 {
		return s
	}
	n, step := x.shape[axis], whole(x.shape).stride[axis]
	expOf := accuracies[graph.Exp]
	inLines(len(x.f)/n, 16*n, func(line int) {
		first := line/step*step*n + line%step
		top, sum := topAndSum(x.f, first, step, n)
		s2, grid := 0.0, gridOf(sum, u.sums)
		var errors [halvings]float64
		for j := range n {
			e := math.Exp(x.f[first+j*step] - top)
			s2 += e * e
			stepErrors(&errors, e, grid)
		}
		deviation := softmaxVariance(n, s2, sum, alikeError(&errors)/u.sums)
		for j := range n {
			at := first + j*step
			y, d := out.f[at], x.f[at]-top
			if y == 0 && !logs || math.IsInf(d, 0) || math.IsNaN(y) {
				continue
			}
			if logs {
				own := u.rounded(y)
				s.set(at, math.Sqrt(square(u.sums)*(square(d)+square(expOf.typical*math.Log(sum))+deviation)+square(own)))
				continue
			}
			s.set(at, softmaxError(y, d, deviation, u))
		}
	})
	return s
}

// softmaxVariance is that of the relative error of the sum of n exponentials, whose
// squares have the sum s2: of its additions and of its terms. alike is the error of additions
// that round alike, in unit roundoffs.
func softmaxVariance(n int, s2, sum, alike float64) float64 {
	return max(float64(n-1)*(s2/square(sum)+1.0/3), square(alike/sum)) + square(accuracies[graph.Exp].typical)*s2/square(sum)
}

// softmaxError is the typical error of y = exp(d)/sum.
func softmaxError(y, d, variance float64, u units) float64 {
	if y == 0 || math.IsInf(d, 0) || math.IsNaN(y) {
		return 0
	}
	relative := math.Sqrt(square(u.sums)*(square(d)+square(accuracies[graph.Exp].typical)+variance) + square(u.value))
	return max(relative*y, min(y, u.tiny))
}
