package runtime

import (
	"fmt"
	"slices"
)

// MaskKind is how the rows of a mask hide tokens.
type MaskKind int

// The kinds of masks.
const (
	MaskWhole MaskKind = iota // hides none
	MaskEnd                   // hides the last ones
	MaskStart                 // hides the first ones
	MaskHoles                 // hides some between the first and the last
)

// String returns the kind as reports call it.
func (k MaskKind) String() string {
	return [...]string{"whole", "right padding", "left padding", "holes"}[k]
}

// Shows reports whether a mask of the kind shows a column of a row of the given width.
func (k MaskKind) Shows(column, width int, seed uint64) bool {
	return shown(int(k), column, width, splitMix(seed))
}

// Design is the sizes of one case, without its numbers.
type Design struct {
	Batch, Length int // Length is that of the new tokens
	Past          int // tokens before them; -1: the model has no past
	Mask          MaskKind
	Apart         bool // the positions do not follow the order of the tokens
}

// String returns the design as the name of a case.
func (d Design) String() string {
	text := fmt.Sprintf("batch %d, length %d", d.Batch, d.Length)
	if d.Past >= 0 {
		text = fmt.Sprintf("batch %d, past %d, new %d", d.Batch, d.Past, d.Length)
	}
	if d.Mask != MaskWhole {
		text += ", " + d.Mask.String()
	}
	if d.Apart {
		text += ", positions apart"
	}
	return text
}

// Area returns the columns of all texts of the case.
func (d Design) Area() int { return d.Batch * (d.Length + max(0, d.Past)) }

// Designs returns the designs for texts of up to context tokens, as Cases has them, within a
// budget of tokens in addition to one text of the whole context. The masks take turns through the
// given kinds; apart has positions take turns too.
func Designs(context, budget int, masks []MaskKind, apart bool) (all []Design) {
	for i, s := range caseSizes(context, budget) {
		d := Design{Batch: s.batch, Length: s.length, Past: -1, Apart: apart && i%2 == 1}
		if s.length > 1 {
			d.Mask = masks[i%len(masks)]
		}
		all = append(all, d)
	}
	return all
}

// PastDesigns returns designs for a model with a past of any number of columns: pairwise combinations of
// batch, past, new tokens, mask and positions for which fits is true, within a budget of
// tokens, past ones too. The count has the pairs.
func PastDesigns(context, budget int, masks []MaskKind, apart bool, fits func(Design) bool) ([]Design, Count) {
	shape := CacheShape{Context: context, Positions: apart}
	levels := shape.pastLevels()
	levels[3] = levels[3][:len(masks)]
	of := func(row []int) Design {
		p := shape.pastOf(levels, row)
		return Design{Batch: p.batch, Length: p.tokens, Past: p.columns, Mask: masks[p.mask], Apart: p.apart}
	}
	sizes := make([]int, len(levels))
	for i, l := range levels {
		sizes[i] = len(l)
	}
	rows, covered := pairwise(sizes, func(row []int) bool {
		d := of(row)
		width := d.Past + d.Length
		return d.Past >= 0 && width <= context && (d.Batch == 1 || d.Area() <= pastArea) && (d.Mask == MaskWhole || width > 2) && fits(d)
	}, max(8, budget/16))
	left := budget
	var all []Design
	for _, row := range rows {
		if d := of(row); len(all) < 8 || d.Area() <= left {
			all = append(all, d)
			left -= d.Area()
		}
	}
	if len(all) < len(rows) {
		covered.Covered = pairsOf(rows[:len(all)], covered.Of)
	}
	return all, covered
}

// pairsOf counts the pairs of levels of some rows.
func pairsOf(rows [][]int, most int) int {
	seen := map[levelPair]bool{}
	for _, row := range rows {
		for i := range row {
			for j := i + 1; j < len(row); j++ {
				seen[levelPair{i, row[i], j, row[j]}] = true
			}
		}
	}
	return min(len(seen), most)
}

// CoverageOfDesigns returns what designs reach, with the ids that their cases have. A context of 0 is not
// known.
func CoverageOfDesigns(designs []Design, ids Count, context int, masked bool) *Coverage {
	c := &Coverage{IDs: ids}
	lengths, batches, masks := map[int]bool{}, map[int]bool{}, map[MaskKind]bool{}
	reach := 0
	for _, d := range designs {
		lengths[d.Length], batches[d.Batch], masks[d.Mask] = true, true, true
		reach = max(reach, d.Length+max(0, d.Past))
	}
	c.Lengths, c.Batches = ranges(keys(lengths)), ranges(keys(batches))
	if context > 0 {
		c.Positions = Count{min(reach, context), context}
		c.Lacking = ranges(slices.DeleteFunc(edgeLengths(context), func(n int) bool { return lengths[n] }))
	}
	if masked {
		for _, k := range keys(masks) {
			if c.Masks != "" {
				c.Masks += ", "
			}
			c.Masks += k.String()
		}
	}
	return c
}

// Dealer returns a function that deals the numbers below n in a shuffled order, which starts over
// at its end.
func Dealer(n int, seed uint64) func() int64 {
	return (&deck{vocab: n, seed: seed}).next
}

// Random returns number i of a sequence that is a function of the seed.
func Random(seed uint64, i int) uint64 { return splitMix(splitMix(seed) + uint64(i)) }
