package diff

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// TensorChange is how the elements of two stored values differ.
type TensorChange struct {
	A       string `json:"a"` // type and shape: "float (4,8)"
	B       string `json:"b"`
	Total   int    `json:"total"`   // elements
	Changed int    `json:"changed"` // of them
	// MaxAbs is the largest |b - a|; null if one is not finite, or they are no numbers.
	MaxAbs *float64 `json:"max_abs"`
	First  []int    `json:"first,omitempty"` // index of the first element that differs
	From   string   `json:"from,omitempty"`  // that element in the first file
	To     string   `json:"to,omitempty"`
	// Rounded: the elements of the second file are those of the first one, converted
	// to another type.
	Rounded bool `json:"rounded,omitempty"`
	// Axes is the permutation of the first file's axes that gives the second's.
	Axes []int `json:"axes,omitempty"`
}

// text describes a stored value: its type and, if it is small, its elements.
func (s *stored) text() string {
	const few = 4
	if s.tensor == nil || s.tensor.External != nil || s.tensor.Elements() > few {
		return s.kind()
	}
	t := s.tensor
	if t.DataType == onnx.String {
		return s.kind() + " " + list(t.Strings, func(v []byte) string { return quote.String(string(v)) })
	}
	x, err := read.Tensor(t, "")
	if err != nil {
		return s.kind()
	}
	var texts []string
	for i := range x.Elements() {
		texts = append(texts, element(x, i))
	}
	return s.kind() + " [" + strings.Join(texts, ",") + "]"
}

// element returns an element as text.
func element(t format.Tensor, i int) string {
	v, err := at64(t, i, i+1)
	if err != nil {
		return "?"
	}
	if t.DType == format.Float32 {
		return strconv.FormatFloat(v[0], 'g', -1, 32)
	}
	return strconv.FormatFloat(v[0], 'g', -1, 64)
}

// at64 returns elements as float64.
func at64(t format.Tensor, from, to int) ([]float64, error) {
	size := t.DType.Size()
	return format.Tensor{DType: t.DType, Shape: []int{to - from}, Data: t.Data[from*size : to*size]}.AsFloat64s()
}

// elements reports two stored values that differ, in the place of the given nodes.
func (s *scopeReport) elements(x, y *stored, i, j, slot int) {
	c := Change{Kind: Elements, Where: s.where, Name: cmp.Or(x.name, y.name), Tensor: &TensorChange{A: x.kind(), B: y.kind()}}
	if i >= 0 {
		other := c.Other
		c = s.of(Elements, i, j)
		c.Name, c.Tensor, c.Other = x.name, &TensorChange{A: x.kind(), B: y.kind()}, other
		if slot >= 0 && c.Name == "" {
			c.Name = slotName(s.pairing.a, &s.pairing.a.nodes[i], slot)
		}
	}
	if y.name != x.name {
		c.Other = y.name
	}
	if name := cmp.Or(x.attribute, y.attribute); name != "" {
		c.Kind, c.Name, c.From, c.To, c.Tensor = Attribute, name, x.text(), y.text(), nil
		s.add(c)
		return
	}
	if err := c.compare(s.collector, x, y); err != nil && s.failed == nil {
		s.failed = err
	}
	s.add(c)
}

// compare sets the kind of a change of stored values.
func (c *Change) compare(of *collector, x, y *stored) error {
	t := c.Tensor
	if x.sparse != nil || y.sparse != nil {
		c.Kind = Elements
		return nil
	}
	if x.tensor.DataType == onnx.String || y.tensor.DataType == onnx.String {
		t.strings(x.tensor, y.tensor)
		return nil
	}
	a, err := read.Tensor(x.tensor, of.a.Dir)
	b, errB := read.Tensor(y.tensor, of.b.Dir)
	if err != nil || errB != nil { // complex numbers
		return nil
	}
	t.Total = a.Elements()
	sameShape := slices.Equal(a.Shape, b.Shape)
	switch {
	case a.DType != b.DType && !sameShape:
		c.Kind = Shape
		return nil
	case a.DType != b.DType:
		c.Kind = ElementType
		return t.converted(a, b)
	}
	if axes := permutation(a, b); axes != nil {
		c.Kind, t.Axes = Transposed, axes
		return nil
	}
	if !sameShape {
		c.Kind = Shape
		if a.Elements() == b.Elements() {
			return t.values(a, b)
		}
		return nil
	}
	return t.values(a, b)
}

func (t *TensorChange) strings(a, b *onnx.Tensor) {
	t.Total = len(a.Strings)
	for i := range min(len(a.Strings), len(b.Strings)) {
		if !bytes.Equal(a.Strings[i], b.Strings[i]) {
			if t.Changed++; t.Changed == 1 {
				t.First, t.From, t.To = []int{i}, quote.String(string(a.Strings[i])), quote.String(string(b.Strings[i]))
			}
		}
	}
}

// converted compares elements of another type.
func (t *TensorChange) converted(a, b format.Tensor) error {
	if r, _, err := a.Convert(b.DType); err == nil && a.DType.Float() && b.DType.Float() {
		t.Rounded = bytes.Equal(r.Data, b.Data)
	}
	return t.values(a, b)
}

// values compares elements one by one.
func (t *TensorChange) values(a, b format.Tensor) error {
	const part = 1 << 16
	largest, finite := 0.0, true
	first := -1
	n, sizeA, sizeB := a.Elements(), a.DType.Size(), b.DType.Size()
	for from := 0; from < n; from += part {
		to := min(n, from+part)
		if a.DType == b.DType && bytes.Equal(a.Data[from*sizeA:to*sizeA], b.Data[from*sizeB:to*sizeB]) {
			continue
		}
		x, err := at64(a, from, to)
		if err != nil {
			return err
		}
		y, err := at64(b, from, to)
		if err != nil {
			return err
		}
		for i := range x {
			if x[i] == y[i] && math.Signbit(x[i]) == math.Signbit(y[i]) || math.IsNaN(x[i]) && math.IsNaN(y[i]) {
				continue
			}
			if t.Changed++; first < 0 {
				first = from + i
			}
			d := math.Abs(y[i] - x[i])
			finite = finite && !math.IsNaN(d) && !math.IsInf(d, 0)
			largest = max(largest, d)
		}
	}
	if first < 0 {
		return nil
	}
	if finite {
		t.MaxAbs = &largest
	}
	t.First, t.From, t.To = index(first, a.Shape), element(a, first), element(b, first)
	return nil
}

func index(at int, shape []int) []int {
	all := make([]int, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		all[i] = at % shape[i]
		at /= shape[i]
	}
	return all
}

// permutation returns the order of a's axes that gives b, if that is not a's own;
// nil if there is none.
func permutation(a, b format.Tensor) []int {
	const most = 4 // axes
	rank := len(a.Shape)
	if rank < 2 || rank > most || rank != len(b.Shape) || a.Elements() != b.Elements() || a.Elements() == 0 {
		return nil
	}
	axes := make([]int, 0, rank)
	var found []int
	var try func()
	try = func() {
		if found != nil {
			return
		}
		if len(axes) == rank {
			if !slices.IsSorted(axes) && permuted(a, b, axes) {
				found = slices.Clone(axes)
			}
			return
		}
		for axis := range rank {
			if !slices.Contains(axes, axis) && a.Shape[axis] == b.Shape[len(axes)] {
				axes = append(axes, axis)
				try()
				axes = axes[:len(axes)-1]
			}
		}
	}
	try()
	return found
}

// permuted reports whether b is a with its axes in another order.
func permuted(a, b format.Tensor, axes []int) bool {
	own, step := make([]int, len(axes)), 1
	for i := len(axes) - 1; i >= 0; i-- {
		own[i] = step
		step *= a.Shape[i]
	}
	steps, at := make([]int, len(axes)), make([]int, len(axes))
	for i, axis := range axes {
		steps[i] = own[axis]
	}
	size, from := a.DType.Size(), 0
	for to := range b.Elements() {
		if !bytes.Equal(a.Data[from*size:(from+1)*size], b.Data[to*size:(to+1)*size]) {
			return false
		}
		for i := len(at) - 1; i >= 0; i-- {
			at[i]++
			from += steps[i]
			if at[i] < b.Shape[i] {
				break
			}
			from -= at[i] * steps[i]
			at[i] = 0
		}
	}
	return true
}

// initializers reports stored values without a counterpart that nothing reads, or
// that became several or one.
func (s *scopeReport) initializers() {
	left := func(side *side, used, paired map[*stored]bool) (all, unread []*stored, free map[digest][]*stored) {
		free = map[digest][]*stored{}
		for _, v := range side.values {
			if v.stored == nil || v.stored.attribute != "" {
				continue
			}
			if !paired[v.stored] {
				free[v.stored.digest] = append(free[v.stored.digest], v.stored)
			}
			if len(v.readers)+len(v.outputs) == 0 && !used[v.stored] {
				unread = append(unread, v.stored)
			}
			all = append(all, v.stored)
		}
		return all, unread, free
	}
	allA, unread, freeA := left(s.pairing.a, s.usedA, s.pairedA)
	allB, unreadB, freeB := left(s.pairing.b, s.usedB, s.pairedB)
	// What nothing reads may be what a node without a counterpart reads in the other file.
	there := func(x *stored, own, other map[digest][]*stored) bool {
		if len(other[x.digest]) == 0 {
			return false
		}
		other[x.digest] = other[x.digest][1:]
		own[x.digest] = slices.DeleteFunc(own[x.digest], func(y *stored) bool { return y == x })
		return true
	}
	for _, x := range unread {
		if !there(x, freeA, freeB) {
			s.add(Change{Kind: StoredRemoved, Where: s.where, Name: x.name, From: x.kind()})
		}
	}
	for _, y := range unreadB {
		if slices.Contains(freeB[y.digest], y) && !there(y, freeB, freeA) {
			s.add(Change{Kind: StoredAdded, Where: s.where, Name: y.name, To: y.kind()})
		}
	}
	s.joined(allA, allB)
}

// joined reports values of one file that are several of the other one, which its
// nodes read at other places.
func (s *scopeReport) joined(a, b []*stored) {
	both := map[digest]int{}
	for _, x := range a {
		both[x.digest] |= 1
	}
	for _, x := range b {
		both[x.digest] |= 2
	}
	only := func(list []*stored) (all []*stored) {
		for _, x := range list {
			if both[x.digest] != 3 && x.tensor != nil && x.tensor.DataType != onnx.String && x.tensor.Elements() > 1 {
				all = append(all, x)
			}
		}
		return all
	}
	a, b = only(a), only(b)
	for _, y := range b {
		if parts := partsOf(y, a, s.collector.b.Dir, s.collector.a.Dir); parts != nil {
			s.add(Change{Kind: Joined, Where: s.where, Name: names(parts), From: fmt.Sprintf("%d values", len(parts)), To: s.nameOf(y)})
		}
	}
	for _, x := range a {
		if parts := partsOf(x, b, s.collector.a.Dir, s.collector.b.Dir); parts != nil {
			s.add(Change{Kind: Parted, Where: s.where, Name: x.name, From: x.kind(), To: names(parts)})
		}
	}
}

func (s *scopeReport) nameOf(x *stored) string { return quote.Line(x.name, 120) + " " + x.kind() }

func names(list []*stored) string {
	var all []string
	for _, x := range list {
		all = append(all, quote.Line(x.name, 80))
	}
	return strings.Join(all, ", ")
}
