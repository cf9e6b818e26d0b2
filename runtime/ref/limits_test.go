package ref

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// limitsOf returns the bounds, in standard deviations, of rows whose copies are drawn.
func limitsOf(copies, rows, width int, draw func(row []float64)) []float64 {
	v := &graph.Value{}
	s := &shaking{copies: copies, shrink: 1, squares: map[*graph.Value]squares{}}
	exact := newArray(floats, []int{rows, width})
	stack := stackOf(copies, exact)
	for row := range slices.Chunk(stack.f, width) {
		draw(row)
	}
	s.add(v, exact, stack)
	return s.limits(s.squares[v], exact.shape)
}

// Bounds are near 6 deviations where many errors add up in a row. Where one error moves a whole
// row, its elements are too small together, and a bound is below 2.5 deviations hardly ever:
// without the copy that does the most, some ten times as often.
func TestLimits(t *testing.T) {
	const rows, width = 4096, 50
	rng := rand.New(rand.NewPCG(5, 6))
	for _, copies := range []int{manyCopies, fewCopies} {
		many := limitsOf(copies, rows, width, func(row []float64) {
			for i := range row {
				row[i] = rng.NormFloat64()
			}
		})
		if least, most := slices.Min(many), slices.Max(many); least < 5 || most > 25 {
			t.Errorf("%d copies: bounds of independent errors are %.3g to %.3g", copies, least, most)
		}
		one, small := limitsOf(copies, rows, width, func(row []float64) {
			e := rng.NormFloat64()
			for i := range row {
				row[i] = e
			}
		}), 0
		for r := range rows {
			if one[r*width] < 2.5 {
				small++
			}
		}
		if small > 4 {
			t.Errorf("%d copies: %d of %d rows that one error moves have a bound below 2.5 deviations", copies, small, rows)
		}
	}
}

// A long text has few copies, unless a number decides something.
func TestCopies(t *testing.T) {
	for _, c := range []struct {
		decides      bool
		rows, copies int
	}{{false, longText, fewCopies}, {false, longText - 1, manyCopies}, {true, longText, manyCopies}} {
		b := graph.NewBuilder()
		x := b.Input("x", format.Float32, graph.Sym("T"), graph.N(3))
		y := b.Exp(x)
		if c.decides {
			y = b.Where(b.Less(x, y), x, y)
		}
		b.Output("y", y)
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]format.Tensor{"x": format.FromFloat32s("x", []int{c.rows, 3}, make([]float32, 3*c.rows))}
		ruled, sizes, err := o.certified(in)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ruled.shake(in, sizes, runtime.Numbers{}, map[string]*graph.Value{"y": ruled.graph.Outputs[0].Value}, nil)
		if err != nil || s.copies != c.copies {
			t.Errorf("%+v: %d copies, %v", c, s.copies, err)
		}
	}
}
