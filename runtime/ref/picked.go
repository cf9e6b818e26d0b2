package ref

import (
	"fmt"
	"iter"
	"reflect"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// keeping selects elements of outputs, by their shapes.
type keeping func(shapes map[string][]int) map[string]runtime.Selection

// of returns what is selected of the wanted values whose sizes are known.
func (keep keeping) of(wanted map[string]*graph.Value, p *plan) map[*graph.Value]runtime.Selection {
	chosen := map[*graph.Value]runtime.Selection{}
	if keep == nil {
		return chosen
	}
	shapes := map[string][]int{}
	for name, v := range wanted {
		if shape, ok := p.shapes[v]; ok {
			shapes[name] = shape
		}
	}
	for name, selected := range keep(shapes) {
		chosen[wanted[name]] = selected
	}
	return chosen
}

// pick computes the selected elements of a wanted product and their copies, some rows at
// a time: the logits of a long text take more time than all else, and their copies many
// times the memory of the result. It returns false if the node is another one, or small.
func (s *shaking) pick(n *graph.Node, c call, args []*shaken, index uint64) (bool, error) {
	v := n.Results[0]
	if !s.wanted[v] || len(c.shapes[0]) < 2 {
		return false, nil
	}
	lines, count := s.linesOf(v, c.shapes[0])
	if count < manyElements {
		if _, part := s.partOf(v); !part {
			return false, nil
		}
	}
	w, ok := s.fixedFactor(n, c, args)
	if !ok || slices.ContainsFunc(args, func(a *shaken) bool { return a.doubt.f != nil }) {
		return false, nil
	}
	op := n.Op
	if gemm, is := op.(graph.Gemm); is {
		gemm.TransB = false // w is turned
		op = gemm
	}
	width := c.shapes[0][len(c.shapes[0])-1]
	var bias *array
	if len(args) == 3 {
		b := c.args[2].wide()
		if b.len() != 1 && b.len() != width || len(b.shape) == 2 && b.shape[0] != 1 {
			return false, nil
		}
		bias = &b
	}

	// The rows of which the same columns are selected go through the product together.
	type group struct{ first, step int }
	var order []group
	rows, starts, lineOf, at := map[group][]int{}, map[int]int{}, map[int]int{}, 0
	for l := range lines {
		g := group{l.First, l.Step}
		if rows[g] == nil {
			order = append(order, g)
		}
		rows[g] = append(rows[g], l.Row)
		starts[l.Row], lineOf[l.Row] = at, len(lineOf)
		at += l.N
	}
	out := newArray(floats, []int{count})
	s.measure(v, count, len(starts))
	for _, g := range order {
		var columns []int
		for j := g.first; j < width; j += g.step {
			columns = append(columns, j)
		}
		part := call{args: []array{{}, w}, types: c.types, sizes: c.sizes}
		if g.step > 1 {
			part.args[1] = columnsAt(w, columns)
		}
		if bias != nil {
			b := *bias
			if b.len() == width && g.step > 1 {
				b = columnsAt(array{shape: []int{1, width}, kind: floats, dtype: b.dtype, f: b.f}, columns)
			}
			part.args = append(part.args, b)
		}
		for some := range slices.Chunk(rows[g], max(1, manyElements/max(1, len(columns)))) {
			if err := s.pickRows(n, op, part, args[0], some, len(columns), s.units(n), index, func(i int, y []float64, moved func(k int) []float64) {
				at := starts[some[i]]
				copy(out.f[at:], y)
				s.addRow(v, y, moved, at, lineOf[some[i]])
			}); err != nil {
				return false, failed(n, err)
			}
		}
	}
	out.dtype = v.DType
	if _, s.picked[v] = s.partOf(v); !s.picked[v] {
		out.shape = c.shapes[0]
	}
	s.held[v] = &shaken{array: out}
	return true, nil
}

// manyElements is the size from which on a product that is only wanted is computed
// some rows at a time.
const manyElements = 1 << 20

// partOf returns the selection of a value; ok is false if all of it is wanted.
func (s *shaking) partOf(v *graph.Value) (selected runtime.Selection, ok bool) {
	selected, ok = s.chosen[v]
	return selected, ok && !selected.Whole()
}

// linesOf returns the wanted lines of a value and the number of their elements.
func (s *shaking) linesOf(v *graph.Value, shape []int) (lines iter.Seq[runtime.Line], count int) {
	selected, ok := s.partOf(v)
	if !ok {
		all, _ := format.Elements(shape)
		width := shape[len(shape)-1]
		return func(yield func(runtime.Line) bool) {
			for r := range all / max(1, width) {
				if !yield(runtime.Line{Row: r, Step: 1, N: width, Whole: true}) {
					return
				}
			}
		}, all
	}
	for l := range selected.Lines() {
		count += l.N
	}
	return selected.Lines(), count
}

// pickRows computes some rows of a product and its copies. c has the other factor. store receives
// the elements of each row, and its copies.
func (s *shaking) pickRows(n *graph.Node, op graph.Op, c call, x *shaken, rows []int, width int, u units, index uint64, store func(i int, y []float64, moved func(k int) []float64)) error {
	depth := c.args[1].shape[0]
	left := newArray(floats, []int{len(rows), depth})
	left.dtype = x.dtype
	stack := stackOf(s.copies, left)
	for i, r := range rows {
		copy(left.f[i*depth:], x.wide().f[r*depth:][:depth])
		for k := range s.copies {
			copy(layer(stack, k).f[i*depth:], layer(x.stack, k).f[r*depth:][:depth])
		}
	}
	c.args = slices.Clone(c.args)
	c.args[0], c.shapes = left, [][]int{{len(rows), width}}
	exact, err := applyOp(op, c)
	if err != nil {
		return fmt.Errorf("a part of it: %w", err)
	}
	slips := roundingRules[reflect.TypeOf(op)].slip(op, c, exact, u)
	moved := productCopies(c.args[1], left, stack, exact[0])
	if slips[0].partial != nil || mayOverflow(exact[0], u.most) {
		s.overflow(n, moved, exact[0], slips[0].partial, u.most)
	}
	s.jolt(moved, exact[0], slips[0], index<<32+uint64(rows[0])<<1+1)
	inLines(len(rows), s.copies*width, func(i int) {
		store(i, exact[0].f[i*width:][:width], func(k int) []float64 { return layer(moved, k).f[i*width:][:width] })
	})
	return nil
}

// columnsAt returns some columns of a matrix.
func columnsAt(w array, columns []int) array {
	k, n := w.shape[0], w.shape[1]
	out := w
	out.shape = []int{k, len(columns)}
	if w.s != nil {
		out.s = pickColumns(w.s, k, n, columns, w.turned)
		return out
	}
	out.f = pickColumns(w.f, k, n, columns, w.turned)
	return out
}

func pickColumns[E element](w []E, k, n int, columns []int, turned bool) []E {
	out := make([]E, k*len(columns))
	if turned { // its columns are rows in memory
		inLines(len(columns), k, func(i int) { copy(out[i*k:][:k], w[columns[i]*k:][:k]) })
		return out
	}
	inLines(k, len(columns), func(i int) {
		row, to := w[i*n:][:n], out[i*len(columns):]
		for j, column := range columns {
			to[j] = row[column]
		}
	})
	return out
}
