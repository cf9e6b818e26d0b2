package ref

import (
	"math"
	"slices"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

const (
	// manyCopies are the perturbed evaluations of most graphs. The mean square of 8 is off by
	// half of itself; a row's mean shares that among the elements of the row.
	manyCopies = 8
	// fewCopies are those of a long text, whose rows share what they know with their
	// neighbours: together they have 32 samples of each element.
	fewCopies  = 4
	sharedRows = 8 // that are neighbours
	// longText is the number of rows from which on a text is long.
	longText = 256
)

// copiesFor returns the number of copies for what is wanted. They are few if all of it has
// many rows, and if no number decides an integer, a truth value or a step: fewer copies
// would miss some of these decisions.
func (c *certified) copiesFor(wanted map[*graph.Value]bool, p *plan) int {
	for v := range wanted {
		shape, known := p.shapes[v]
		if v.DType.Float() && (!known || len(shape) < 2 || shape[len(shape)-2] < longText) {
			return manyCopies
		}
	}
	for _, n := range c.graph.Nodes {
		float := func(v *graph.Value) bool { return v.DType.Float() }
		if _, rounds := n.Op.(graph.RoundTo8Bits); rounds || slices.ContainsFunc(n.Args, float) && (steps(n.Op) || !slices.ContainsFunc(n.Results, float)) {
			return manyCopies
		}
	}
	return fewCopies
}

// limits returns the bounds for the squares of a value of the given shape.
func (s *shaking) limits(sq squares, shape []int) []float64 {
	width, length := 1, 1
	if last := len(shape) - 1; last >= 0 {
		width = shape[last]
		if last > 0 {
			length = shape[last-1]
		}
	}
	limits := make([]float64, len(sq.sums))
	if len(limits) == 0 {
		return limits
	}
	rows := make([]limited, len(limits)/width)
	for r := range rows {
		rows[r] = newLimited(sq, limits, r, r*width, width)
	}
	for matrix := range slices.Chunk(rows, length) {
		s.limitRows(matrix, true)
	}
	return limits
}

// limitsOfLines is limits for the selected part of a value: each line is a row.
func (s *shaking) limitsOfLines(sq squares, selected runtime.Selection) []float64 {
	limits := make([]float64, len(sq.sums))
	var parts, whole []limited
	at, r := 0, 0
	for l := range selected.Lines() {
		if row := newLimited(sq, limits, r, at, l.N); l.Whole {
			whole = append(whole, row)
		} else {
			parts = append(parts, row)
		}
		at, r = at+l.N, r+1
	}
	s.limitRows(parts, false)
	s.limitRows(whole, true)
	return limits
}

// limited is a row whose bounds are set.
type limited struct {
	squares, limits []float64
	most            float64
}

func newLimited(sq squares, limits []float64, row, at, width int) limited {
	l := limited{sq.sums[at:][:width], limits[at:][:width], 1}
	if sq.most != nil {
		l.most = sq.most[row]
	}
	return l
}

// limitRows sets the bounds of rows, some neighbours at a time. They may have the same columns.
func (s *shaking) limitRows(rows []limited, same bool) {
	each := 1
	if s.copies < manyCopies {
		each = sharedRows
	}
	for len(rows) > 0 {
		n := min(each, len(rows))
		if len(rows)-n < each { // the last ones have as many neighbours as the others
			n = len(rows)
		}
		s.limitNeighbours(rows[:n], same && n > 1)
		rows = rows[n:]
	}
}

// limitNeighbours sets the bounds of rows that are neighbours. The variance of an element is the
// largest of its own estimate and the means of its row, of its column and of all:
// an estimate from 8 samples is below a tenth of the truth once in a thousand times, and an
// output has millions of elements. A row has many samples; those of its elements
// whose variance is above the mean keep their own. Without the same columns these have no mean.
//
// Where a few errors move the whole row, such as that of one score which decides what
// a token attends to, its elements are no samples of their own: all are too small
// together. The copies then differ in what they do to the row, and the one that does the most
// counts. If many errors add up in a row, that hardly differs from the mean.
func (s *shaking) limitNeighbours(rows []limited, same bool) {
	means := make([]mean, len(rows))
	var columns []mean
	if same {
		columns = make([]mean, len(rows[0].squares))
	}
	for r, row := range rows {
		for j, v := range row.squares {
			means[r].add(v)
			if same {
				columns[j].add(v)
			}
		}
	}
	var all mean
	for _, m := range means {
		all.sum, all.n = all.sum+m.sum, all.n+m.n
	}
	for r, row := range rows {
		pool := max(means[r].of(), all.of())
		for j, v := range row.squares {
			variance := max(v, pool)
			if same {
				variance = max(variance, columns[j].of())
			}
			limit := sigmas * math.Sqrt(variance*row.most/float64(s.copies)) / s.shrink
			if variance == 0 {
				limit = 0
			} else if math.IsNaN(limit) {
				limit = math.Inf(1)
			}
			row.limits[j] = limit
		}
	}
}

// mean is the mean of the numbers that are finite.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) {
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		m.sum, m.n = m.sum+v, m.n+1
	}
}

// of returns the mean, 0 without a number.
func (m mean) of() float64 { return m.sum / float64(max(m.n, 1)) }
