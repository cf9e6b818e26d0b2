package runtime

import (
	"fmt"
	"iter"
	"slices"

	"github.com/attnx/attnx/format"
)

// keptElements bounds the elements of one case that are kept and compared: 32 MiB of
// the oracle's float64.
const keptElements = 1 << 22

// kept is what Verify keeps of an output of the oracle until every runtime has run:
// all of it, or a selection. The logits of a long text over a large vocabulary are
// the largest tensors.
type kept struct {
	selection
	name string
	rows format.Tensor // (rows,width): the rows that are kept whole
	rest format.Tensor // (n): what is kept of the others
	// bounds are those of rows and rest; an exact output has none.
	bounds map[Numbers][2]format.Tensor
}

// bound keeps the bounds of the selected elements.
func (k *kept) bound(n Numbers, b Bounds) error {
	t, ok := b.Of[k.name]
	if !ok {
		return nil
	}
	if err := t.Check(); err != nil || !slices.Equal(t.Shape, k.shape) {
		return fmt.Errorf("the bounds of %s have shape %v, expected %v (%v)", k.name, t.Shape, k.shape, err)
	}
	if k.bounds == nil {
		k.bounds = map[Numbers][2]format.Tensor{}
	}
	rows, rest := k.of(t, k.length)
	k.bounds[n] = [2]format.Tensor{rows, rest}
	return nil
}

// selection chooses elements of a tensor (...,T,width). Of each matrix (T,width) it
// keeps every every-th row whole, and the last one. Of another row r it keeps the
// columns c with (c+r) % stride = 0, so that over the rows all columns occur.
type selection struct {
	shape         []int
	width, length int // length is T
	every, stride int
}

// keep selects about limit elements of the outputs of a case.
func keep(outputs []format.Tensor, limit int) []kept {
	total := 0
	for _, t := range outputs {
		total += t.Elements()
	}
	all := make([]kept, len(outputs))
	for i, t := range outputs {
		n := t.Elements()
		if total > limit {
			n = int(float64(n) * float64(limit) / float64(total))
		}
		s := newSelection(t.Shape, n)
		all[i] = kept{selection: s, name: t.Name}
		all[i].rows, all[i].rest = s.of(t, s.length)
	}
	return all
}

// newSelection selects about n elements of a tensor of the given shape: three
// quarters of them in whole rows.
func newSelection(shape []int, n int) selection {
	s := selection{shape: shape, width: 1, length: 1, every: 1, stride: 1}
	if last := len(shape) - 1; last >= 0 {
		s.width = shape[last]
		if last > 0 {
			s.length = shape[last-1]
		}
	}
	all, _ := format.Elements(shape)
	if all <= n || all == 0 {
		return s
	}
	matrices := all / s.width / s.length
	whole := max(1, n*3/4/s.width/matrices)
	s.every = (s.length + whole - 1) / whole
	s.stride = min(s.width, (all+n/4)/max(1, n/4))
	return s
}

// line is the selected part of a row: its columns first, first+step and so on.
type line struct {
	row, first, step, n int // row counts over all matrices
	whole               bool
}

// lines yields the selected part of each of the last rows of all matrices.
func (s selection) lines(last int) iter.Seq[line] {
	return func(yield func(line) bool) {
		all, _ := format.Elements(s.shape)
		for r := range all / max(1, s.width) {
			t := r % s.length
			if t < s.length-last {
				continue
			}
			l := line{row: r, step: 1, n: s.width, whole: t%s.every == s.every-1 || t == s.length-1}
			if !l.whole {
				l.first, l.step = (s.stride-r%s.stride)%s.stride, s.stride
				l.n = (s.width - l.first + s.stride - 1) / s.stride
			}
			if !yield(l) {
				return
			}
		}
	}
}

// of returns the selected elements of a tensor that has the last rows of each matrix.
func (s selection) of(t format.Tensor, last int) (rows, rest format.Tensor) {
	size := t.DType.Size()
	row := s.width * size
	rows, rest = format.Tensor{Name: t.Name, DType: t.DType}, format.Tensor{Name: t.Name, DType: t.DType}
	data, whole, others := t.Data, 0, 0
	for l := range s.lines(last) {
		if l.whole {
			whole += l.n
		} else {
			others += l.n
		}
	}
	rows.Data, rest.Data = make([]byte, 0, whole*size), make([]byte, 0, others*size)
	for l := range s.lines(last) {
		if l.whole {
			rows.Data = append(rows.Data, data[:row]...)
		} else {
			for c := l.first; c < s.width; c += l.step {
				rest.Data = append(rest.Data, data[c*size:][:size]...)
			}
		}
		data = data[row:]
	}
	return s.shaped(rows, rest)
}

// shaped gives selected elements their shapes.
func (s selection) shaped(rows, rest format.Tensor) (_, _ format.Tensor) {
	rows.Shape = []int{len(rows.Data) / max(1, s.width*rows.DType.Size()), s.width}
	rest.Shape = []int{len(rest.Data) / max(1, rest.DType.Size())}
	return rows, rest
}

// place returns the index in the tensor of an element of the rows or of the rest.
func (s selection) place(i int, whole bool, last int) []int {
	for l := range s.lines(last) {
		if l.whole != whole {
			continue
		}
		if i < l.n {
			return unravel(l.row*s.width+l.first+i*l.step, s.shape)
		}
		i -= l.n
	}
	return nil
}

// ending returns what is selected of the last rows of each matrix, from what is
// selected of all rows.
func (s selection) ending(rows, rest format.Tensor, last int) (_, _ format.Tensor) {
	if last == s.length || rows.DType == format.Invalid {
		return rows, rest
	}
	size := rows.DType.Size()
	from, more := rows.Data, rest.Data
	rows.Data, rest.Data = nil, nil
	for l := range s.lines(s.length) {
		source, to := &from, &rows.Data
		if !l.whole {
			source, to = &more, &rest.Data
		}
		if l.row%s.length >= s.length-last {
			*to = append(*to, (*source)[:l.n*size]...)
		}
		*source = (*source)[l.n*size:]
	}
	return s.shaped(rows, rest)
}

// compare compares the selected elements with those of got, by the bounds for an
// arithmetic. If fewer is set, got may have only the last rows of each matrix: a model
// may return only the logits of the last tokens.
func (k kept) compare(n Numbers, got format.Tensor, fewer bool) Difference {
	last, shape := k.length, slices.Clone(k.shape)
	if axis := len(shape) - 2; fewer && axis >= 0 && len(got.Shape) == len(shape) && got.Shape[axis] >= 1 && got.Shape[axis] < last {
		last = got.Shape[axis]
		shape[axis] = last
	}
	if !slices.Equal(shape, got.Shape) {
		return Difference{Reason: fmt.Sprintf("%s has shape %v, the oracle's has %v", got.Name, got.Shape, k.shape)}
	}
	rows, rest := k.ending(k.rows, k.rest, last)
	rowBounds, restBounds := k.ending(k.bounds[n][0], k.bounds[n][1], last)
	gotRows, gotRest := k.of(got, last)
	d := k.placed(Compare(rows, gotRows, rowBounds), true, last)
	if rest.Elements() > 0 && d.Reason == "" {
		e := k.placed(Compare(rest, gotRest, restBounds), false, last)
		e.ArgmaxChecked, e.ArgmaxAgreed = 0, 0 // they are no whole rows
		first := d.FirstBad
		if first == nil || e.FirstBad != nil && slices.Compare(e.FirstBad.Index, first.Index) < 0 {
			first = e.FirstBad
		}
		d = d.Merge(e)
		d.FirstBad = first
	}
	return d
}

// placed gives a difference of selected elements the indices of the tensor.
func (k kept) placed(d Difference, whole bool, last int) Difference {
	width := 1
	if whole {
		width = k.width
	}
	flat := func(index []int) int {
		if len(index) < 2 {
			return index[0]
		}
		return index[0]*width + index[1]
	}
	if len(d.WorstIndex) > 0 {
		d.WorstIndex = k.place(flat(d.WorstIndex), whole, last)
	}
	if len(d.ClosestIndex) > 0 {
		d.ClosestIndex = k.place(flat(d.ClosestIndex), whole, last)
	}
	if d.FirstUnknown != nil {
		d.FirstUnknown = k.place(flat(d.FirstUnknown), whole, last)
	}
	if d.FirstBad != nil {
		bad := *d.FirstBad
		bad.Index = k.place(flat(bad.Index), whole, last)
		d.FirstBad = &bad
	}
	return d
}

// LastRows returns the last rows of each sequence of the logits x (B,T,V), as
// many as got (B,T',V) has: a model may return only the logits of the last
// tokens. It returns x if the shapes differ in another way.
func LastRows(x, got format.Tensor) format.Tensor {
	if len(x.Shape) != 3 || len(got.Shape) != 3 || got.Shape[1] < 1 || got.Shape[1] >= x.Shape[1] || got.Shape[0] != x.Shape[0] || got.Shape[2] != x.Shape[2] {
		return x
	}
	last := format.Tensor{Name: x.Name, DType: x.DType, Shape: got.Shape}
	row := x.Shape[2] * x.DType.Size()
	for b := range x.Shape[0] {
		end := (b + 1) * x.Shape[1] * row
		last.Data = append(last.Data, x.Data[end-got.Shape[1]*row:end]...)
	}
	return last
}
