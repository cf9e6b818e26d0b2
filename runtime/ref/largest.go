package ref

import (
	"math"
	"reflect"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// readings holds the largest rounding errors of the elements of a result, in two
// readings. The third, the standard deviation, is that of roundingRules.
//
//   - any: for any order of summation and any rounding: γₙ Σ|term| for sums
//     (Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, SIAM
//     2002, section 3.1), and what libraries document for functions;
//   - ordered: for sums from the first term to the last, as BLAS and the kernels of
//     the runtimes here add: u Σ|partial sum| (section 4.2), and products that are rounded
//     before they are added.
type readings struct {
	any, ordered []float64
	sums         []float64 // of the sizes of all terms, which no partial sum exceeds; nil if nothing is summed
}

// largestRules has the operators with roundings. Those that move elements have none.
var largestRules = map[reflect.Type]func(op graph.Op, c call, out array, u units) readings{}

func bounded[O graph.Op](f func(op O, c call, out array, u units) readings) {
	largestRules[reflect.TypeFor[O]()] = func(op graph.Op, c call, out array, u units) readings { return f(op.(O), c, out, u) }
}

// mostly is the largest error of functions in roundings of their results: those of the
// OpenCL 3.0 specification (table of ULP values, 1 ulp being two roundings) and of CUDA's
// programming guide, appendix on mathematical functions.
var mostly = map[graph.Unary]float64{
	graph.Sqrt: 1, graph.Reciprocal: 2, graph.Exp: 6, graph.Log: 6, graph.Tanh: 10, graph.Sigmoid: 8, graph.Erf: 32,
	graph.Sin: 8, graph.Cos: 8, graph.Tan: 10, graph.Softplus: 8, graph.Asin: 8, graph.Acos: 8, graph.Atan: 10,
	graph.Sinh: 8, graph.Cosh: 8, graph.Asinh: 8, graph.Acosh: 8, graph.Atanh: 10,
}

func init() {
	bounded(func(op graph.Unary, c call, out array, u units) readings {
		most, ok := mostly[op]
		if exactFunctions[op] {
			return readings{}
		}
		return alike(len(out.f), func(i int) float64 {
			switch {
			case !ok:
				return math.Inf(1)
			case out.f[i] == 0 && c.args[0].f[i] == 0:
				return 0
			}
			return most * u.rounded(max(math.Abs(out.f[i]), accuracies[op].floor))
		})
	})
	bounded(func(op graph.Binary, c call, out array, u units) readings {
		a, b := c.args[0], c.args[1]
		if a.kind != floats || op == graph.Max || op == graph.Min || op == graph.FMod {
			return readings{}
		}
		e := make([]float64, len(out.f))
		inParts(len(out.f), 4, func(from, to int) {
			left, right := placesAfter(from, a.shape, out.shape), placesAfter(from, b.shape, out.shape)
			for i := from; i < to; i++ {
				e[i] = largestBinary(op, a.f[left(i)], b.f[right(i)], out.f[i], u)
			}
		})
		return readings{any: e, ordered: e}
	})
	bounded(func(op graph.Cast, c call, out array, u units) readings {
		x := c.args[0]
		if x.kind == bools {
			return readings{}
		}
		return alike(len(out.f), func(i int) float64 {
			y := out.f[i]
			if x.kind == ints && math.Abs(y)*u.value <= 0.5 || x.kind == floats && !narrower(op.To, x.dtype) {
				return 0
			}
			return u.rounded(y)
		})
	})
	bounded(func(_ graph.MatMul, c call, out array, u units) readings {
		a, b := c.args[0].wide(), c.args[1].wide()
		n := a.shape[len(a.shape)-1]
		return largestSum(out, n, u, matMul(mapped(a, math.Abs), mapped(b, math.Abs), out.shape).f, partialSums(a, b, out.shape))
	})
	bounded(largestGemm)
	bounded(func(op graph.Conv, c call, out array, u units) readings {
		n, _ := format.Elements(c.args[1].shape[1:])
		return largestBy(out, n+len(c.args)-2, u, again(op, c))
	})
	bounded(func(op graph.ConvTranspose, c call, out array, u units) readings {
		n, _ := format.Elements(c.args[1].shape[2:])
		return largestBy(out, n*c.args[0].shape[1]/op.Group+len(c.args)-2, u, again(op, c))
	})
	bounded(func(op graph.Col2Im, c call, out array, u units) readings {
		n := 1
		for _, k := range op.Block {
			n *= k
		}
		return largestBy(out, n, u, again(op, c))
	})
	bounded(func(op graph.ScatterElements, c call, out array, u units) readings {
		return largestScatter(op, c, out, u)
	})
	bounded(func(op graph.ScatterND, c call, out array, u units) readings {
		switch op.Reduction {
		case "add":
			return largestScatter(op, c, out, u)
		case "mul":
			e := scaled(productSlip(op, c, out, u).deviation, 1/uniform)
			return readings{any: e, ordered: e}
		}
		return readings{}
	})
	bounded(func(op graph.CumSum, c call, out array, u units) readings {
		return largestBy(out, c.args[0].shape[op.Axis], u, again(op, c))
	})
	bounded(func(op graph.CumProd, c call, out array, u units) readings {
		return relative(out, u, float64(c.args[0].shape[op.Axis]))
	})
	bounded(func(op graph.ReduceProd, c call, out array, u units) readings {
		return relative(out, u, float64(max(1, c.args[0].len())/max(1, out.len())))
	})
	bounded(largestReduce)
	bounded(func(op graph.Softmax, c call, out array, u units) readings {
		return largestSoftmax(op.Axis, false, c.args[0], out, u)
	})
	bounded(func(op graph.LogSoftmax, c call, out array, u units) readings {
		return largestSoftmax(op.Axis, true, c.args[0], out, u)
	})
	bounded(func(op graph.Resize, c call, out array, u units) readings {
		if op.Mode == "nearest" && op.Back == (graph.Dim{}) {
			return readings{}
		}
		return relative(peaks(op, c, out), u, 8)
	})
	bounded(func(_ graph.DequantizeLinear, _ call, out array, u units) readings { return relative(out, u, 1) })
	bounded(func(op graph.TfIdfVectorizer, c call, out array, u units) readings {
		if op.Mode != "TFIDF" || len(c.args) < 3 {
			return readings{}
		}
		return relative(out, u, 1)
	})
	bounded(func(op graph.DFT, c call, out array, u units) readings {
		return transformError(op, c, out, u).readings()
	})
	bounded(func(_ graph.Det, c call, out array, u units) readings { return determinantError(c, out, u).readings() })
	bounded(func(op graph.GridSample, c call, out array, u units) readings {
		return gridError(op, c, out, u).readings()
	})
	bounded(func(op graph.RoiAlign, c call, out array, u units) readings {
		return regionError(op, c, out, u).readings()
	})
	bounded(func(op graph.MaxRoiPool, c call, out array, u units) readings {
		return regionDoubt(op, c, out, u).readings()
	})
	bounded(func(op graph.DeformConv, c call, out array, u units) readings {
		return deformedError(op, c, out, u).readings()
	})
}

// alike has one error for both readings.
func alike(n int, of func(i int) float64) readings {
	e := make([]float64, n)
	inParts(n, 4, func(from, to int) {
		for i := from; i < to; i++ {
			e[i] = of(i)
		}
	})
	return readings{any: e, ordered: e}
}

// relative is the error of functions with some roundings of their result.
func relative(out array, u units, some float64) readings {
	return alike(len(out.f), func(i int) float64 { return some * u.rounded(out.f[i]) })
}

// largestBinary returns the largest error of y = x op z.
func largestBinary(op graph.Binary, x, z, y float64, u units) float64 {
	e := binaryError(op, x, z, y, u)
	switch op {
	case graph.Div:
		return 2 * e // OpenCL 3.0: 2.5 ulp
	case graph.Pow:
		return 16 * e // 16 ulp, of which e has two roundings
	case graph.Add, graph.Sub, graph.Mul:
		return e
	}
	return math.Inf(1)
}

// largestSum returns the errors of sums of n terms, or n products, from the sums of
// the sizes of the terms, and of the sizes of partial sums and products in order.
func largestSum(out array, n int, u units, sizes, partial []float64) readings {
	terms := float64(n) * u.sums
	gamma := math.Inf(1)
	if terms < 1 {
		gamma = terms / (1 - terms)
	}
	l := readings{any: make([]float64, len(out.f)), ordered: make([]float64, len(out.f)), sums: sizes}
	for i, y := range out.f {
		if sizes[i] == 0 {
			continue
		}
		own := 0.0
		if u.value > u.sums {
			own = u.rounded(y)
		}
		factors := 2 * u.factor * sizes[i]
		l.any[i] = gamma*sizes[i] + factors + own
		l.ordered[i] = min(gamma*sizes[i], u.sums*partial[i]) + factors + own
	}
	return l
}

// largestBy is largestSum for operators whose terms are not walked in order: the
// reading ordered is that of any order.
func largestBy(out array, n int, u units, apply func(f func(float64) float64) array) readings {
	sizes := apply(math.Abs).f
	partial := make([]float64, len(sizes))
	for i, s := range sizes {
		partial[i] = float64(n) * s
	}
	return largestSum(out, n, u, sizes, partial)
}

func largestGemm(op graph.Gemm, c call, out array, u units) readings {
	a, b := transposed(c.args[0].wide(), op.TransA), transposed(c.args[1].wide(), op.TransB)
	args := []array{mapped(a, math.Abs), mapped(b, math.Abs)}
	n := a.shape[1]
	partial := partialSums(a, b, out.shape)
	if len(c.args) == 3 {
		args = append(args, mapped(c.args[2], math.Abs))
		n++
		for i, y := range out.f {
			partial[i] += math.Abs(y)
		}
	}
	return largestSum(out, n, u, gemm(args, false, false, out.shape).f, partial)
}

func largestReduce(op graph.Reduce, c call, out array, u units) readings {
	if op.Kind == graph.ReduceMax || op.Kind == graph.ReduceMin {
		return readings{}
	}
	n := 1
	for _, axis := range op.Axes {
		n *= c.args[0].shape[axis]
	}
	count := 1.0
	if op.Kind == graph.ReduceMean {
		count = float64(n)
	}
	sum := op
	sum.Kind = graph.ReduceSum
	sizes := reduce(sum, mapped(c.args[0], func(x float64) float64 { return math.Abs(x) / count }), out.shape).f
	partial := make([]float64, len(sizes))
	for i, s := range sizes {
		partial[i] = float64(max(n-1, 0)) * s // no partial sum is larger
	}
	l := largestSum(out, n, u, sizes, partial)
	l.sums = scaled(sizes, count)
	if op.Kind == graph.ReduceMean && !power(count) {
		for i, y := range out.f {
			e := u.rounded(y)
			l.any[i] += e
			l.ordered[i] += e
		}
	}
	return l
}

// largestSoftmax is softmaxSlip for the largest errors. Rounding a distance from the top
// changes its exponential by u times the distance, and the sum by the mean of that.
func largestSoftmax(axis int, logs bool, x, out array, u units) readings {
	e := make([]float64, len(out.f))
	if len(e) == 0 {
		return readings{any: e, ordered: e}
	}
	n, step := x.shape[axis], whole(x.shape).stride[axis]
	most := mostly[graph.Exp]
	parallel(len(x.f)/n, func(line int) {
		first := line/step*step*n + line%step
		top, sum := topAndSum(x.f, first, step, n)
		span := 0.0
		for j := range n {
			if d := top - x.f[first+j*step]; !math.IsInf(d, 0) {
				span += math.Exp(-d) * d / sum
			}
		}
		ofSum := float64(n-1) + most + span
		for j := range n {
			at := first + j*step
			y, d := out.f[at], x.f[at]-top
			switch {
			case y == 0 && !logs || math.IsInf(d, 0):
			case math.IsNaN(y):
				e[at] = math.Inf(1)
			case logs:
				e[at] = u.sums*(math.Abs(d)+most*math.Log(sum)+ofSum) + u.rounded(y)
			default:
				e[at] = max((u.sums*(math.Abs(d)+most+ofSum)+2*u.value)*y, min(y, u.tiny))
			}
		}
	})
	return readings{any: e, ordered: e}
}

// partialSums returns, for each element of the product of a (...,M,K) and b (...,K,N),
// the sum of the sizes of its partial sums, from the first k to the last, and of
// its products.
func partialSums(a, b array, shape []int) []float64 {
	m, k, n := shape[len(shape)-2], a.shape[len(a.shape)-1], shape[len(shape)-1]
	lead := shape[:len(shape)-2]
	toLeft, toRight := places(a.shape[:len(a.shape)-2], lead), places(b.shape[:len(b.shape)-2], lead)
	matrices, _ := format.Elements(lead)
	left, right := make([]int, matrices), make([]int, matrices)
	for i := range matrices {
		left[i], right[i] = toLeft(i), toRight(i)
	}
	out := make([]float64, matrices*m*n)
	if k == 0 {
		return out
	}
	parallel(matrices*m, func(row int) {
		matrix := row / max(m, 1)
		x := a.f[(left[matrix]*m+row%m)*k:][:k]
		y := b.f[right[matrix]*k*n:][:k*n]
		sums, sizes := make([]float64, n), out[row*n:][:n]
		for i, f := range x {
			if f == 0 {
				for j, s := range sums {
					sizes[j] += math.Abs(s)
				}
				continue
			}
			for j, g := range y[i*n:][:n] {
				p := f * g
				sums[j] += p
				sizes[j] += math.Abs(sums[j]) + math.Abs(p)
			}
		}
	})
	return out
}
