package ref

import (
	"math"
	"reflect"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// decide looks for integers, truth values and steps that rounding may change: those
// that differ in a copy whose errors are enlarged to the bound.
func (s *shaking) decide(n *graph.Node, c call, args []*shaken, results []*shaken) {
	stepped := steps(n.Op)
	if !stepped && !slices.ContainsFunc(results, func(r *shaken) bool { return r.kind != floats }) {
		return
	}
	laps := lapsOf(n, c, results[0].array)
	for k := range s.copies {
		ck := c
		ck.args = make([]array, len(args))
		for i, a := range args {
			ck.args[i] = a.array
			if a.kind == floats && (a.stack.f != nil || a.lazy != nil || n.Args[i].Leaf()) {
				y, far := s.copyOf(n.Args[i], a, k).wide(), newArray(floats, a.shape)
				far.dtype = a.dtype
				for j, x := range a.wide().f {
					if far.f[j] = x + (y.f[j]-x)*sigmas/s.shrink; math.IsInf(x, 0) {
						far.f[j] = x
					}
				}
				ck.args[i] = far
			}
		}
		out, err := apply(n, ck)
		moved := 0.0 // by the zero point, which moves all integers with it
		if _, ok := n.Op.(graph.DynamicQuantizeLinear); ok && err == nil && len(results) == 3 {
			moved = out[2].number(0) - results[2].number(0)
		}
		for i, r := range results {
			if r.kind == floats && !stepped {
				continue
			}
			by := 0.0
			if i == 0 {
				by = moved
			}
			for j := range r.len() {
				if err == nil && j < out[i].len() && (out[i].number(j) == r.number(j)+by || laps != nil && laps(ck, out[i], j) == laps(c, r.array, j)) {
					continue
				}
				r.mark(j)
			}
		}
	}
}

// lapsOf returns how often a divisor goes into an element of a remainder of floating-point
// numbers, which jumps only where this changes, and else has a slope; nil for other operators.
func lapsOf(n *graph.Node, c call, out array) func(c call, out array, i int) float64 {
	if op := n.Op; op != graph.Op(graph.Mod) && op != graph.Op(graph.FMod) || out.kind != floats {
		return nil
	}
	x, y := places(c.args[0].shape, out.shape), places(c.args[1].shape, out.shape)
	return func(c call, out array, i int) float64 {
		return math.Round((c.args[0].number(x(i)) - out.number(i)) / c.args[1].number(y(i)))
	}
}

// spread carries unsure arguments to the results, where they can be followed
// element by element. Otherwise it returns false.
func (s *shaking) spread(n *graph.Node, c call, args, results []*shaken, slips []slip, u units) bool {
	doubts := make([]array, len(args))
	for i, a := range args {
		doubts[i] = array{shape: a.shape, kind: bools, dtype: format.Bool, b: a.unsure}
		if a.unsure == nil {
			doubts[i].b = make([]bool, a.len())
		}
	}
	whole := results[0].kind != floats && args[0].kind != floats // integers and truth values alone
	moved := func(of ...array) bool {                            // as the elements are moved, so are the doubts
		cd := c
		cd.args, cd.types = of, []format.DType{format.Bool}
		out, err := kernels[reflect.TypeOf(n.Op)].compute(n.Op, cd)
		if err != nil {
			return false
		}
		results[0].unsure = out[0].b
		return true
	}
	switch n.Op.(type) {
	case graph.Unary, graph.Cast:
		results[0].unsure = doubts[0].b
		return whole
	case graph.Binary:
		both, _ := binary(graph.Or, doubts[0], doubts[1], results[0].shape)
		results[0].unsure = both.b
		return whole
	case graph.Reshape, graph.Transpose, graph.Slice, graph.Expand, graph.Concat:
		return moved(doubts...)
	case graph.Gather:
		return args[1].unsure == nil && moved(doubts[0], c.args[1])
	case graph.Where:
		if results[0].kind != floats { // the doubts of what is chosen
			if !moved(c.args[0], doubts[1], doubts[2]) {
				return false
			}
			unsure, at := results[0].unsure, places(args[0].shape, results[0].shape)
			for i := range unsure {
				unsure[i] = unsure[i] || doubts[0].b[at(i)]
			}
			return true
		}
		// Either value may come out: where both are nearly equal, as at the corner of
		// LeakyRelu, little changes.
		other, err := apply(n, call{args: []array{c.args[0], c.args[2], c.args[1]}, shapes: c.shapes, types: c.types, sizes: c.sizes})
		if err != nil {
			return false
		}
		at := places(args[0].shape, results[0].shape)
		slips[0] = newSlip(results[0].len())
		for i, y := range results[0].f {
			if args[0].unsure[at(i)] {
				slips[0].deviation[i] = math.Abs(other[0].f[i] - y)
			}
		}
	default:
		return false
	}
	return true
}

// square adds the differences of a leaf's copies.
func (s *shaking) square(v *graph.Value, a *shaken) {
	sq := make([]float64, a.len())
	for k := range s.copies {
		exact := a.wide().f
		for i, y := range s.copyOf(v, a, k).f {
			sq[i] += square(y - exact[i])
		}
	}
	s.squares[v] = squares{sums: sq}
}

// signs are random signs, one a bit, as a function of a seed and a copy. An error of
// fixed size and random sign has the variance that is asked for in every sample,
// which a normal one has only on average; sums of many make it normal.
type signs uint64

func newSigns(seed uint64, k int) signs { return signs(mix(mix(seed) + uint64(k))) }

// add adds ±shrink·deviation to x, with the signs from the given block of 64 on.
// Errors that are not finite make x NaN.
func (r signs) add(x, deviation []float64, shrink float64, block int) {
	for from := 0; from < len(x); from += 64 {
		bits := mix(uint64(r) + uint64(block+from/64))
		for i, d := range deviation[from:min(from+64, len(x))] {
			x[from+i] += math.Float64frombits(math.Float64bits(d*shrink) ^ bits<<63)
			bits >>= 1
		}
	}
}

// addAlike is add with signs that are the same where the exact values are the same
// number in float32.
func (r signs) addAlike(x, deviation, exact []float64, shrink float64) {
	for i, d := range deviation {
		bits := mix(uint64(r) ^ uint64(math.Float32bits(float32(exact[i]))))
		x[i] += math.Float64frombits(math.Float64bits(d*shrink) ^ bits<<63)
	}
}

// mix is the output function of SplitMix64 at counter n (Steele, Lea, Flood, "Fast
// splittable pseudorandom number generators", OOPSLA 2014).
func mix(n uint64) uint64 {
	z := (n + 1) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// hash is FNV-1a.
func hash(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h
}
