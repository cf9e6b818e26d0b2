package attnx

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
)

// Against returns the options of a run of another architecture, of arch.Decoders or, for
// Pairs, arch.Translators, that learns the same from the same data in the same steps.
// first is the model of a run with these options. The other network has as many layers,
// and the width with which it has about as many parameters: parameters says how many.
// Where widths are multiples of the heads, the inner width of its layers, if it has one,
// makes up for the rest.
func (o TrainOptions) Against(name string, first *model.Checkpoint) (other TrainOptions, parameters int, err error) {
	if err := o.CheckAgainst(name); err != nil {
		return o, 0, err
	}
	if !o.Pairs.empty() {
		name = arch.Translating(name)
	}
	want, err := first.Parameters()
	if err != nil {
		return o, 0, err
	}
	base, err := o.sizes()
	if err != nil {
		return o, 0, err
	}
	if !o.Pairs.empty() && o.Context == 0 {
		base.Context = pairContext
	}
	base = arch.Sizes{Layers: o.Sizes.Layers}.Or(base)
	base.Heads = cmp.Or(o.Sizes.Heads, base.Heads)
	count := func(s arch.Sizes) (int, error) {
		n, err := arch.New(name, s, first.Vocab())
		if err != nil {
			return 0, err
		}
		c, err := model.Of(n)
		if err != nil {
			return 0, err
		}
		return c.Parameters()
	}
	width := func(n int) arch.Sizes { s := base; s.Width = n; return s }
	unit := 1
	if arch.HasHeads(name, base, first.Vocab()) {
		unit = 2 * base.Heads // rotations take pairs of a head's columns
	}
	found, parameters, err := nearest(want, unit, func(n int) (int, error) { return count(width(n)) })
	if err != nil {
		return o, 0, fmt.Errorf("the width of %s with %s parameters: %w", name, quote.Count(want), err)
	}
	other = o
	other.Arch, other.Sizes = name, arch.Sizes{Layers: o.Sizes.Layers, Width: found}
	if unit > 1 {
		other.Sizes.Heads = o.Sizes.Heads
		inner := func(n int) arch.Sizes { s := width(found); s.Inner = n; return s }
		if n, p, err := nearest(want, 1, func(n int) (int, error) { return count(inner(n)) }); err == nil && distance(p, want) < distance(parameters, want) {
			other.Sizes.Inner, parameters = n, p
		}
	}
	return other, parameters, nil
}

// CheckAgainst refuses an architecture that cannot learn what a run with these options
// learns, or that has the run's own.
func (o TrainOptions) CheckAgainst(name string) error {
	known, own := arch.Decoders(), o.Arch
	if !o.Pairs.empty() {
		known, name, own = arch.Translators(), arch.Translating(name), arch.Translating(own)
	}
	switch {
	case !slices.Contains(known, name):
		return &OptionError{Option: "Against", Reason: fmt.Sprintf(" is %.64q: take %s", name, quote.Or(known))}
	case o.SeparateVocabularies && !arch.TakesTwoVocabularies(name):
		return &OptionError{Option: "Against", Reason: fmt.Sprintf(" is %.64q, which has one vocabulary for both sides: give the run one too", name)}
	case name == cmp.Or(own, known[0]):
		return &OptionError{Option: "Against", Reason: fmt.Sprintf(" is %.64q, the architecture of the run itself: name another", name)}
	case o.Network != nil || o.Init != "":
		return &OptionError{Option: "Against", Reason: ": another network begins with new weights, and with the sizes of a preset: leave out Network and Init"}
	}
	return nil
}

// nearest returns the multiple of unit for which a number that grows with it is closest to
// want. Multiples that are no valid size are passed over.
func nearest(want, unit int, of func(n int) (int, error)) (n, got int, err error) {
	high := 1
	for failed := 0; ; high *= 2 {
		p, e := of(high * unit)
		if e == nil && p >= want {
			break
		}
		if e == nil {
			failed = 0
		} else if failed++; failed == 8 {
			return 0, 0, e
		}
	}
	valid := func(n int) (int, int, error) { // the first valid one from n on
		for ; n < high; n++ {
			if p, e := of(n * unit); e == nil {
				return n, p, nil
			}
		}
		p, e := of(high * unit)
		return high, p, e
	}
	below, low := 0, 1
	top := high
	for low < top { // the first that is not too small
		middle := (low + top) / 2
		at, p, e := valid(middle)
		if e != nil {
			return 0, 0, e
		}
		if p < want {
			below, low = max(below, at), at+1
		} else {
			top = middle
		}
	}
	at, got, err := valid(low)
	if err != nil {
		return 0, 0, err
	}
	if below > 0 {
		if p, e := of(below * unit); e == nil && distance(p, want) < distance(got, want) {
			return below * unit, p, nil
		}
	}
	return at * unit, got, nil
}

func distance(a, b int) int { return max(a-b, b-a) }
