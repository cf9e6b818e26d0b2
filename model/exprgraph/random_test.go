package exprgraph_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model/exprgraph"
)

// randomNetwork applies random operators to random values already there. It
// returns what the last ones computed; trace has a line for each.
func randomNetwork(s *source, operators int) (outputs Nodes, trace []string) {
	r := s.random
	all := Nodes{s.input("x", -1, 1, s.shape(1+r.IntN(4))...), s.input("y", -1, 1, s.shape(1+r.IntN(4))...)}
	for weights := 0; len(trace) < operators; {
		weight := func(shape ...int) *Node {
			weights++
			return s.weight(fmt.Sprintf("w%d", weights), -1, 1, shape...)
		}
		x := all[r.IntN(len(all))]
		shape := x.Shape()
		if len(shape) == 0 || shape.TotalSize() > 400 {
			continue
		}
		name, y, err := randomOperator(r, x, all, weight)
		if err != nil || y == nil { // Gorgonia does not have it for these shapes
			continue
		}
		trace = append(trace, fmt.Sprintf("%s of %v: %v", name, shape, y.Shape()))
		all = append(all, y)
	}
	for _, y := range all[max(2, len(all)-3):] {
		if !slices.Contains(outputs, y) { // Gorgonia makes equal nodes once
			outputs = append(outputs, y)
		}
	}
	return outputs, trace
}

// shape returns sizes of 2 to 4, and at times 1.
func (s *source) shape(rank int) []int {
	out := make([]int, rank)
	for i := range out {
		out[i] = 2 + s.random.IntN(3)
		if s.random.IntN(6) == 0 {
			out[i] = 1
		}
	}
	return out
}

// bounded are functions whose results are small.
var bounded = []func(x *Node) (*Node, error){Tanh, Sigmoid, Sin, Cos, Rectify, Abs, Neg, Softplus, func(x *Node) (*Node, error) { return LeakyRelu(x, 0.2) }}

func randomOperator(r *rand.Rand, x *Node, all Nodes, weight func(shape ...int) *Node) (name string, y *Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	shape := x.Shape()
	rank := len(shape)
	axis := r.IntN(rank)
	switch r.IntN(16) {
	case 0, 1:
		i := r.IntN(len(bounded))
		y, err = bounded[i](x)
		return "function " + strconv.Itoa(i), y, err
	case 2:
		for _, other := range all {
			if other != x && other.Shape().Eq(shape) {
				y, err = []func(x, y *Node) (*Node, error){Add, Sub, HadamardProd}[r.IntN(3)](x, other)
				return "of two", y, err
			}
		}
		y, err = Add(x, weight(shape...))
		return "Add", y, err
	case 3:
		y, err = HadamardProd(x, weight())
		return "times a scalar", y, err
	case 4:
		if rank != 2 {
			return
		}
		y, err = Mul(x, weight(shape[1], 1+r.IntN(4)))
		return "Mul", y, err
	case 5:
		if rank < 3 {
			return
		}
		y, err = BatchedMatMul(x, x, false, true)
		return "BatchedMatMul", y, err
	case 6:
		y, err = Transpose(x, r.Perm(rank)...)
		return "Transpose", y, err
	case 7:
		y, err = Reshape(x, factors(r, shape.TotalSize()))
		return "Reshape", y, err
	case 8:
		if axis > 1 && axis < rank-1 {
			return // see TestMisreduced
		}
		y, err = []func(x *Node, along ...int) (*Node, error){Sum, Mean, Max}[r.IntN(3)](x, axis)
		return fmt.Sprint("reduction over ", axis), y, err
	case 9:
		y, err = SoftMax(x, axis)
		return fmt.Sprint("SoftMax over ", axis), y, err
	case 10:
		ranges := make([]tensor.Slice, axis+1)
		start := r.IntN(shape[axis])
		ranges[axis] = S(start, start+1+r.IntN(shape[axis]-start))
		y, err = Slice(x, ranges...)
		return fmt.Sprint("Slice ", ranges[axis].Start(), ranges[axis].End(), " of ", axis), y, err
	case 11:
		other := shape.Clone()
		other[axis] = 1 + r.IntN(3)
		y, err = Concat(axis, x, weight(other...))
		return fmt.Sprint("Concat along ", axis), y, err
	case 12:
		if shape[axis] < 2 {
			return
		}
		other := shape.Clone()
		other[axis] = 1
		y, err = BroadcastAdd(x, weight(other...), nil, []byte{byte(axis)})
		return fmt.Sprint("BroadcastAdd over ", axis), y, err
	case 13:
		if rank < 2 {
			return
		}
		y, err = Tensordot([]int{axis}, []int{0}, x, weight(shape[axis], 2, 3))
		return fmt.Sprint("Tensordot over ", axis), y, err
	case 14:
		y, err = Gte(x, weight(shape...), true)
		return "Gte", y, err
	default:
		if rank != 2 {
			return
		}
		y, err = Mul(x, weight(shape[1]))
		return "Mul of a vector", y, err
	}
}

// factors returns a shape of n elements.
func factors(r *rand.Rand, n int) tensor.Shape {
	var s tensor.Shape
	for p := 2; n > 1 && len(s) < 3; p++ {
		for n%p == 0 && r.IntN(3) > 0 && len(s) < 3 {
			s, n = append(s, p), n/p
		}
		if p > n {
			break
		}
	}
	return append(s, n)
}

// taped is the number of seeds for which Gorgonia's tape machine runs, too.
const taped = 150

// Random networks compute what Gorgonia's operators do.
func TestRandomNetworks(t *testing.T) {
	count := taped
	if fixtures.Exhaustive() {
		count = 20_000
	}
	first := 0
	if text := os.Getenv("ATTNX_SEED"); text != "" {
		first, _ = strconv.Atoi(text)
		count = 1
	}
	ran, apart := 0, 0
	for seed := first; seed < first+count; seed++ {
		s := newSource([]tensor.Dtype{tensor.Float32, tensor.Float64}[seed%2], uint64(seed))
		outputs, trace := randomNetwork(s, 3+s.random.IntN(8))
		c, err := exprgraph.Read(exprgraph.Network{Inputs: s.inputs, Outputs: outputs})
		if err != nil && strings.Contains(err.Error(), "Gorgonia gives the node the shape") {
			continue
		}
		if err != nil {
			t.Errorf("seed %d: %v\n%v", seed, err, trace)
			continue
		}
		in := given(s.inputs)
		want, err := byOperators(s.g, outputs)
		if err != nil {
			continue // Gorgonia cannot run it
		}
		ran++
		if !t.Run(strconv.Itoa(seed), func(t *testing.T) { same(t, c, in, want, 20*tolerance(s.of)) }) {
			for _, line := range trace {
				t.Log(line)
			}
		}
		if seed >= taped { // the machine has a goroutine of its own, where a panic would end the test
			continue
		}
		if values, err := byGorgonia(s.g, outputs); err != nil || !alike(values, want) {
			apart++
		}
	}
	if apart > ran/10 {
		t.Errorf("the tape machine departs from Gorgonia's operators in %d of %d networks", apart, ran)
	}
	t.Logf("Gorgonia ran %d of %d; its tape machine departs from its operators in %d", ran, count, apart)
	if ran <= count/2 {
		t.Errorf("Gorgonia ran %d of %d networks", ran, count)
	}
}

// alike reports whether two runs of Gorgonia gave the same.
func alike(a, b []Value) bool {
	for i := range a {
		x, _ := numbers(a[i])
		y, _ := numbers(b[i])
		if len(x) != len(y) {
			return false
		}
		for j := range x {
			if !(math.Abs(x[j]-y[j]) <= 1e-4*(1+math.Abs(y[j]))) {
				return false
			}
		}
	}
	return true
}
