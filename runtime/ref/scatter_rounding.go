package ref

import (
	"math"
	"reflect"
	"slices"

	"github.com/attnx/attnx/model/graph"
)

// scattered returns how many updates each element of a Scatter's result gets.
func scattered(op graph.Op, c call) []float64 {
	if nd, ok := op.(graph.ScatterND); ok {
		nd.Reduction = "add"
		op = nd
	}
	zeros, ones := newArray(floats, c.args[0].shape), newArray(floats, c.args[2].shape)
	fill(ones.f, 1)
	c.args = []array{zeros, c.args[1], ones}
	out, err := kernels[reflect.TypeOf(op)].compute(op, c)
	if err != nil { // it scattered the updates themselves
		panic("ref: " + err.Error())
	}
	return out[0].f
}

// scatterSlip is sumSlip for elements with their own numbers of terms, which may cancel.
// An element without an update is exact.
func scatterSlip(op graph.Op, c call, out array, u units) slip {
	s := newSlip(len(out.f))
	squares := again(op, c)(square).f
	step := max(u.sums, u.value) // each update is rounded when it is stored
	for i, n := range scattered(op, c) {
		if n > 0 {
			s.set(i, math.Hypot(step*math.Sqrt((n+1)*(squares[i]+square(out.f[i])/3)), u.rounded(out.f[i])))
		}
	}
	return s
}

// productSlip is that of elements that are multiplied with their updates.
func productSlip(op graph.Op, c call, out array, u units) slip {
	s := newSlip(len(out.f))
	for i, n := range scattered(op, c) {
		s.set(i, n*u.rounded(out.f[i]))
	}
	return s
}

// largestScatter is largestSum for elements with their own numbers of terms.
func largestScatter(op graph.Op, c call, out array, u units) readings {
	sizes := again(op, c)(math.Abs).f
	counts := scattered(op, c)
	most := int(slices.Max(append(counts, 0)))
	partial := make([]float64, len(sizes))
	for i, n := range counts {
		if n == 0 {
			sizes[i] = 0
		}
		partial[i] = n * sizes[i]
	}
	u.sums = max(u.sums, u.value)
	return largestSum(out, most+1, u, sizes, partial)
}
