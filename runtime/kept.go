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
	Selection
	name string
	rows format.Tensor // (rows,width): the rows that are kept whole
	rest format.Tensor // (n): what is kept of the others
	// bounds are those of rows and rest; an exact output has none.
	bounds map[Numbers][2]format.Tensor
}

// KeepOf selects of the outputs of a case what Verify compares, by name. A tensor that is not
// selected as a whole has one axis then: the selected elements, line after line. The result
// has memory of its own, and the shapes that the outputs had.
func KeepOf(outputs map[string]format.Tensor) (selected map[string]format.Tensor, shapes map[string][]int, err error) {
	shapes, selected = map[string][]int{}, map[string]format.Tensor{}
	for name, t := range outputs {
		if err := t.Check(); err != nil {
			return nil, nil, err
		}
		shapes[name] = slices.Clone(t.Shape)
	}
	for name, s := range Select(shapes, keptElements) {
		t := outputs[name].WithName(name)
		if s.Whole() {
			t.Shape, t.Data = shapes[name], slices.Clone(t.Data)
		} else {
			t = s.flat(t)
		}
		selected[name] = t
	}
	return selected, shapes, nil
}

// flat returns the selected elements of a whole tensor, line after line.
func (s Selection) flat(t format.Tensor) format.Tensor {
	size, data := t.DType.Size(), []byte{}
	for l := range s.Lines() {
		row := t.Data[l.Row*s.width*size:]
		if l.Step == 1 {
			data = append(data, row[l.First*size:(l.First+l.N)*size]...)
			continue
		}
		for i := range l.N {
			at := (l.First + i*l.Step) * size
			data = append(data, row[at:at+size]...)
		}
	}
	return format.Tensor{Name: t.Name, DType: t.DType, Shape: []int{len(data) / max(1, size)}, Data: data}
}

// bound keeps the bounds of the selected elements.
func (k *kept) bound(n Numbers, b Bounds) error {
	t, ok := b.Of[k.name]
	if !ok {
		return nil
	}
	rows, rest, err := k.part(t)
	if err != nil {
		return fmt.Errorf("the bounds: %w", err)
	}
	if k.bounds == nil {
		k.bounds = map[Numbers][2]format.Tensor{}
	}
	k.bounds[n] = [2]format.Tensor{rows, rest}
	return nil
}

// share makes the bounds for n those for another arithmetic.
func (k *kept) share(n, with Numbers) {
	if shared, ok := k.bounds[with]; ok {
		k.bounds[n] = shared
	}
}

// Selecting is an oracle that need not compute what nobody keeps of large outputs.
type Selecting interface {
	Oracle
	// BoundsOf is Bounds for what keep selects of the outputs, for which it is asked once with
	// the shapes of those that are known. A selected output and its bounds may have one
	// axis: the selected elements, line after line.
	BoundsOf(inputs map[string]format.Tensor, keep func(shapes map[string][]int) map[string]Selection, numbers ...Numbers) (Bounded, error)
}

// BoundsOf is o's BoundsOf if keep is not nil and o is Selecting, and otherwise its Bounds.
func BoundsOf(o Oracle, inputs map[string]format.Tensor, keep func(shapes map[string][]int) map[string]Selection, numbers ...Numbers) (Bounded, error) {
	if s, ok := o.(Selecting); ok && keep != nil {
		return s.BoundsOf(inputs, keep, numbers...)
	}
	return o.Bounds(inputs, numbers...)
}

// Selection chooses elements of a tensor (...,T,width). Of each matrix (T,width) it
// keeps every every-th row whole, and the last one. Of another row r it keeps the
// columns c with (c+r) % stride = 0, so that over the rows all columns occur.
type Selection struct {
	shape         []int
	width, length int // length is T
	every, stride int
}

// Select selects about limit elements of outputs of the given shapes.
func Select(shapes map[string][]int, limit int) map[string]Selection {
	total := 0
	for _, shape := range shapes {
		n, _ := format.Elements(shape)
		total += n
	}
	all := make(map[string]Selection, len(shapes))
	for name, shape := range shapes {
		n, _ := format.Elements(shape)
		if total > limit {
			n = int(float64(n) * float64(limit) / float64(total))
		}
		all[name] = newSelection(shape, n)
	}
	return all
}

// keep keeps about limit elements of the outputs of a case, or those that were selected before they
// were computed.
func keep(outputs []format.Tensor, selected map[string]Selection, limit int) ([]kept, error) {
	if selected == nil {
		shapes := make(map[string][]int, len(outputs))
		for _, t := range outputs {
			shapes[t.Name] = t.Shape
		}
		selected = Select(shapes, limit)
	}
	all := make([]kept, len(outputs))
	for i, t := range outputs {
		s, ok := selected[t.Name]
		if !ok { // its size was not known before
			s = newSelection(t.Shape, t.Elements())
		}
		all[i] = kept{Selection: s, name: t.Name}
		var err error
		if all[i].rows, all[i].rest, err = s.part(t); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// part returns the selected elements of a whole tensor, or of one that has only these.
func (s Selection) part(t format.Tensor) (rows, rest format.Tensor, err error) {
	if err := t.Check(); err != nil {
		return rows, rest, err
	}
	if slices.Equal(t.Shape, s.shape) {
		rows, rest = s.of(t, s.length)
		return rows, rest, nil
	}
	n := 0
	for l := range s.lines(s.length) {
		n += l.N
	}
	if !slices.Equal(t.Shape, []int{n}) {
		return rows, rest, fmt.Errorf("%s has shape %v, expected %v, or %d elements of it", t.Name, t.Shape, s.shape, n)
	}
	rows, rest = s.split(t)
	return rows, rest, nil
}

// split returns the rows and the rest of the selected elements, line after line.
func (s Selection) split(t format.Tensor) (rows, rest format.Tensor) {
	size := t.DType.Size()
	rows, rest = format.Tensor{Name: t.Name, DType: t.DType, Data: []byte{}}, format.Tensor{Name: t.Name, DType: t.DType, Data: []byte{}}
	data := t.Data
	for l := range s.Lines() {
		to := &rest.Data
		if l.Whole {
			to = &rows.Data
		}
		*to = append(*to, data[:l.N*size]...)
		data = data[l.N*size:]
	}
	return s.shaped(rows, rest)
}

// newSelection selects about n elements of a tensor of the given shape: three
// quarters of them in whole rows.
func newSelection(shape []int, n int) Selection {
	s := Selection{shape: shape, width: 1, length: 1, every: 1, stride: 1}
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

// Line is the selected part of a row: its columns First, First+Step and so on.
type Line struct {
	Row, First, Step, N int // Row counts over all matrices
	Whole               bool
}

// Whole reports whether every element is selected.
func (s Selection) Whole() bool { return s.every == 1 }

// Lines yields the selected part of each row.
func (s Selection) Lines() iter.Seq[Line] { return s.lines(s.length) }

// lines yields the selected part of each of the last rows of all matrices.
func (s Selection) lines(last int) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		all, _ := format.Elements(s.shape)
		for r := range all / max(1, s.width) {
			t := r % s.length
			if t < s.length-last {
				continue
			}
			l := Line{Row: r, Step: 1, N: s.width, Whole: t%s.every == s.every-1 || t == s.length-1}
			if !l.Whole {
				l.First, l.Step = (s.stride-r%s.stride)%s.stride, s.stride
				l.N = (s.width - l.First + s.stride - 1) / s.stride
			}
			if !yield(l) {
				return
			}
		}
	}
}

// of returns the selected elements of a tensor that has the last rows of each matrix.
func (s Selection) of(t format.Tensor, last int) (rows, rest format.Tensor) {
	size := t.DType.Size()
	row := s.width * size
	rows, rest = format.Tensor{Name: t.Name, DType: t.DType}, format.Tensor{Name: t.Name, DType: t.DType}
	data, whole, others := t.Data, 0, 0
	for l := range s.lines(last) {
		if l.Whole {
			whole += l.N
		} else {
			others += l.N
		}
	}
	rows.Data, rest.Data = make([]byte, 0, whole*size), make([]byte, 0, others*size)
	for l := range s.lines(last) {
		if l.Whole {
			rows.Data = append(rows.Data, data[:row]...)
		} else {
			for c := l.First; c < s.width; c += l.Step {
				rest.Data = append(rest.Data, data[c*size:][:size]...)
			}
		}
		data = data[row:]
	}
	return s.shaped(rows, rest)
}

// shaped gives selected elements their shapes.
func (s Selection) shaped(rows, rest format.Tensor) (_, _ format.Tensor) {
	rows.Shape = []int{len(rows.Data) / max(1, s.width*rows.DType.Size()), s.width}
	rest.Shape = []int{len(rest.Data) / max(1, rest.DType.Size())}
	return rows, rest
}

// place returns the index in the tensor of an element of the rows or of the rest.
func (s Selection) place(i int, whole bool, last int) []int {
	for l := range s.lines(last) {
		if l.Whole != whole {
			continue
		}
		if i < l.N {
			return unravel(l.Row*s.width+l.First+i*l.Step, s.shape)
		}
		i -= l.N
	}
	return nil
}

// ending returns what is selected of the last rows of each matrix, from what is
// selected of all rows.
func (s Selection) ending(rows, rest format.Tensor, last int) (_, _ format.Tensor) {
	if last == s.length || rows.DType == format.Invalid {
		return rows, rest
	}
	size := rows.DType.Size()
	from, more := rows.Data, rest.Data
	rows.Data, rest.Data = nil, nil
	for l := range s.lines(s.length) {
		source, to := &from, &rows.Data
		if !l.Whole {
			source, to = &more, &rest.Data
		}
		if l.Row%s.length >= s.length-last {
			*to = append(*to, (*source)[:l.N*size]...)
		}
		*source = (*source)[l.N*size:]
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
	for _, at := range []**BadValue{&d.FirstBad, &d.WorstBad} {
		if *at != nil {
			bad := **at
			bad.Index = k.place(flat(bad.Index), whole, last)
			*at = &bad
		}
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
