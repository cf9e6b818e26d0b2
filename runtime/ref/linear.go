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
)

var _ runtime.Bender = (*Oracle)(nil)

// Bends implements runtime.Bender: the copies are computed again with errors of their
// real size, and the same signs.
func (o *Oracle) Bends(inputs map[string]format.Tensor, n runtime.Numbers) (string, error) {
	c, sizes, err := o.certified(inputs)
	if err != nil {
		return "", err
	}
	wanted := map[string]*graph.Value{}
	for _, out := range c.graph.Outputs {
		wanted[out.Name] = out.Value
	}
	s, err := c.shake(inputs, sizes, n, wanted, nil)
	if err != nil {
		return "", err
	}
	return s.bends(wanted)
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
	values := slices.Collect(maps.Values(wanted))
	p, err := newPlan(s.graph, values, maps.Clone(s.plan.sizes))
	if err != nil {
		return "", err
	}
	whole := &shaking{
		certified: s.certified, plan: p, inputs: s.inputs, numbers: s.numbers, copies: s.copies, shrink: 1, held: map[*graph.Value]*shaken{},
		wanted: s.wanted, squares: map[*graph.Value]squares{}, unsure: map[*graph.Value][]bool{},
		picked: map[*graph.Value]bool{}, chosen: s.chosen,
	}
	if err := whole.run(); err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		small, real := 0.0, 0.0
		for i, q := range s.squares[wanted[name]].sums {
			if r := whole.squares[wanted[name]].sums[i]; finite(q) {
				small += q / square(s.shrink)
				real += r
			}
		}
		if small == 0 && real == 0 {
			continue
		}
		if ratio := math.Sqrt(real / small); !(ratio < curved && ratio > 1.0/curved) {
			return fmt.Sprintf("roundings are not small for %.80s: of their size they do %.2g times what a first-order bound says", name, ratio), nil
		}
	}
	return "", nil
}
