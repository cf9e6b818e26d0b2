package ref

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

const (
	// largeShare is the bound, as a share of the root mean square of an output, from which
	// on the second order is looked at unasked.
	largeShare = 0.25
	// curved is how far the variance of errors of their real size may be from that of small
	// ones, as a factor.
	curved = 2
	// utmost is the size of the largest errors in standard deviations: √3 of an error that is
	// spread evenly, 2 of an integer that is either of two (see tieDoubt).
	utmost = 2
)

var _ runtime.Bender = (*Oracle)(nil)

// Bends implements runtime.Bender: the copies are computed again with errors of their
// real size, then with the largest that they can have, and the same signs. Where all outputs follow, the row of one
// element may not: the scores of one token decide what it attends to. Where errors do less than the bound says,
// what is beyond it is a fault all the more.
func (o *Oracle) Bends(inputs map[string]format.Tensor, n runtime.Numbers, bad ...runtime.BadValue) (string, error) {
	c, sizes, err := o.certified(inputs)
	if err != nil || len(bad) == 0 {
		return "", err
	}
	wanted := map[string]*graph.Value{}
	for _, out := range c.graph.Outputs {
		wanted[out.Name] = out.Value
	}
	for _, x := range bad {
		if wanted[x.Name] == nil {
			return "", nil
		}
	}
	s, err := c.shake(inputs, sizes, n, wanted, nil)
	if err != nil {
		return "", err
	}
	why := make([]string, len(bad))
	for _, size := range []float64{1, utmost} {
		whole, err := s.sized(wanted, size)
		if err != nil {
			return "", err
		}
		for i, x := range bad {
			if why[i] == "" {
				why[i] = s.excuses(whole, wanted[x.Name], x)
			}
		}
	}
	if slices.Contains(why, "") {
		return "", nil
	}
	return why[0], nil
}

// excuses returns why errors of another size, which do more than the bound says, may have led to
// a value beyond its bound; "" if they cannot have.
func (s *shaking) excuses(whole *shaking, v *graph.Value, x runtime.BadValue) string {
	shape, sq := s.shapeOf(v), whole.squares[v]
	from, to, at := lastAxisAt(shape, x.Index)
	if at < 0 || at >= len(sq.sums) {
		return ""
	}
	off := math.Abs(x.Got - x.Oracle)
	if math.IsNaN(off) {
		off = math.Inf(1)
	}
	if off > whole.limits(sq, shape)[at]*whole.shrink {
		return ""
	}
	if ratio := s.follows(whole, v, 0, len(sq.sums)); more(ratio) {
		return fmt.Sprintf("roundings are not small for %.80s: %s", x.Name, whole.doing(ratio))
	}
	if ratio := s.follows(whole, v, from, to); more(ratio) {
		return fmt.Sprintf("roundings are not small for the row of %.80s: %s", x.Place(), whole.doing(ratio))
	}
	return ""
}

// lastAxisAt returns the elements of the row along the last axis that has an index, and the element at
// the index; -1 if there is none.
func lastAxisAt(shape, index []int) (from, to, at int) {
	if len(index) != len(shape) {
		return 0, 0, -1
	}
	if len(shape) == 0 {
		return 0, 1, 0
	}
	last := len(shape) - 1
	for axis, i := range index[:last] {
		from = from*shape[axis] + i
	}
	from *= shape[last]
	return from, from + shape[last], from + index[last]
}

// large reports whether roundings change an output by a share that is not small.
func (s *shaking) large(wanted map[string]*graph.Value) bool {
	for _, v := range wanted {
		squares, a := s.squares[v].sums, s.held[v]
		if squares == nil || a == nil || a.kind != floats {
			continue
		}
		size, errors := 0.0, 0.0
		for i, x := range a.wide().f {
			if q := squares[i]; finite(q) && finite(x) {
				size += x * x
				errors += q / float64(s.copies)
			}
		}
		if sigmas*math.Sqrt(errors)/s.shrink > largeShare*math.Sqrt(size) {
			return true
		}
	}
	return false
}

// bends returns why an output does not follow roundings in proportion, "" if all do.
func (s *shaking) bends(wanted map[string]*graph.Value) (string, error) {
	whole, err := s.sized(wanted, 1)
	if err != nil {
		return "", err
	}
	return s.bent(whole, wanted), nil
}

// sized computes the copies again, with errors of another size.
func (s *shaking) sized(wanted map[string]*graph.Value, size float64) (*shaking, error) {
	p, err := newPlan(s.graph, slices.Collect(maps.Values(wanted)), maps.Clone(s.plan.sizes))
	if err != nil {
		return nil, err
	}
	whole := &shaking{
		certified: s.certified, plan: p, inputs: s.inputs, numbers: s.numbers, copies: s.copies, shrink: size, held: map[*graph.Value]*shaken{},
		wanted: s.wanted, squares: map[*graph.Value]squares{}, unsure: map[*graph.Value][]bool{},
		picked: map[*graph.Value]bool{}, chosen: s.chosen,
	}
	return whole, whole.run()
}

// bent returns the first output that does not follow errors of another size.
func (s *shaking) bent(whole *shaking, wanted map[string]*graph.Value) string {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if ratio := s.follows(whole, wanted[name], 0, len(s.squares[wanted[name]].sums)); more(ratio) || ratio <= 1.0/curved {
			return fmt.Sprintf("roundings are not small for %.80s: %s", name, whole.doing(ratio))
		}
	}
	return ""
}

// follows returns how many times what the bound says errors of another size do to elements of a value.
func (s *shaking) follows(whole *shaking, v *graph.Value, from, to int) float64 {
	small, real := 0.0, 0.0
	squares, others := s.squares[v].sums, whole.squares[v].sums
	for i := from; i < to && i < len(squares); i++ {
		if q := squares[i]; finite(q) {
			small += q / square(s.shrink)
			real += others[i] / square(whole.shrink)
		}
	}
	if small == 0 && real == 0 {
		return 1
	}
	return math.Sqrt(real / small)
}

// more reports whether errors do so much more than a bound says that it does not hold. NaN: they leave
// what a function is defined for.
func more(ratio float64) bool { return !(ratio < curved) }

func (s *shaking) doing(ratio float64) string {
	of := "of their size"
	if s.shrink != 1 {
		of = "of the largest size that they can have"
	}
	return fmt.Sprintf("%s they do %.2g times what a first-order bound says", of, ratio)
}
