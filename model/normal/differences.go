package normal

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// pairs matches the outputs of two forms, which have the same names.
func pairs(a, b form) (all [][2]int) {
	for _, o := range a.graph.Outputs {
		if i := slices.IndexFunc(b.graph.Outputs, func(p graph.Output) bool { return p.Name == o.Name }); i >= 0 {
			all = append(all, [2]int{a.numbers[o.Value], b.numbers[b.graph.Outputs[i].Value]})
		}
	}
	return all
}

// elementsAlone reports whether two forms differ in elements of weights and constants
// alone, and by more than rounding.
func (t *table) elementsAlone(a, b form) bool {
	s := skeleton{table: t, seen: map[[2]int]bool{}}
	for _, p := range pairs(a, b) {
		if !s.same(p[0], p[1]) {
			return false
		}
	}
	return s.changed
}

// skeleton compares how values are made, without the elements of weights.
type skeleton struct {
	*table
	seen    map[[2]int]bool
	changed bool // elements differ by more than rounding
}

func (s *skeleton) same(x, y int) bool {
	if x == y || s.seen[[2]int{x, y}] {
		return true
	}
	s.seen[[2]int{x, y}] = true
	p, q := s.exprs[x], s.exprs[y]
	if p.typ.String() != q.typ.String() || (p.op == nil) != (q.op == nil) {
		return false
	}
	if p.op == nil {
		s.changed = s.changed || beyondRounding(p.leaf, q.leaf)
		return true
	}
	if p.index != q.index || len(p.args) != len(q.args) || p.op.Name() != q.op.Name() {
		return false
	}
	if graph.Attributes(p.op) != graph.Attributes(q.op) {
		if windowed(p.op) {
			return false
		}
		s.changed = true
	}
	left, right := slices.Clone(p.args), slices.Clone(q.args)
	for i := 0; i < len(left); i++ { // sorted arguments may have changed places
		if j := slices.Index(right, left[i]); j >= 0 {
			left, right = slices.Delete(left, i, i+1), slices.Delete(right, j, j+1)
			i--
		}
	}
	slices.SortStableFunc(left, s.byLeaf)
	slices.SortStableFunc(right, s.byLeaf)
	for i := range left {
		if !s.same(left[i], right[i]) {
			return false
		}
	}
	return true
}

// windowed reports whether an operator can write one meaning with several attributes: that
// of padding.
func windowed(op graph.Op) bool {
	return strings.Contains(op.Name(), "Conv") || strings.Contains(op.Name(), "Pool") || op.Name() == "Pad"
}

// byLeaf puts constants after what is computed: sorted arguments are in the order of
// numbers, which other elements change.
func (s *skeleton) byLeaf(x, y int) int {
	constant := func(id int) int {
		if _, ok := s.tensor(id); ok {
			return 1
		}
		return 0
	}
	return constant(x) - constant(y)
}

// rounding is how much of a tensor's largest element an element may differ by: a few
// roundings of float32.
const rounding = 0x1p-21

// beyondRounding reports whether two tensors of one type and size differ by more than
// rounding.
func beyondRounding(a, b format.Tensor) bool {
	x, err := a.AsFloat64s()
	if err != nil {
		return true
	}
	y, err := b.AsFloat64s()
	if err != nil || len(x) != len(y) {
		return true
	}
	most := 0.0
	for i := range x {
		most = max(most, math.Abs(x[i]))
	}
	if !a.DType.Float() {
		most = 0
	}
	return slices.ContainsFunc(slices.Collect(indices(len(x))), func(i int) bool {
		return !(math.Abs(x[i]-y[i]) <= most*rounding) && math.Float64bits(x[i]) != math.Float64bits(y[i])
	})
}

// indices yields 0 to n-1.
func indices(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// selecting names the operators of each form by which it can give another result for
// some inputs alone, and of which it has more than the other. What both have in common
// does not count.
func (t *table) selecting(a, b form) (added, lacking string) {
	x, y := t.reached(a), t.reached(b)
	of := func(of, other map[int]bool) (count map[string]int, example map[string]string) {
		count, example = map[string]int{}, map[string]string{}
		for _, id := range slices.Sorted(maps.Keys(of)) {
			if kind, name := t.selects(id); kind != "" && !other[id] {
				count[kind]++
				if kind == "limit" { // Max and Min gather any number of terms
					count[kind] += max(0, len(t.exprs[id].args)-2)
				}
				example[kind] = name
			}
		}
		return count, example
	}
	first, firstOf := of(x, y)
	second, secondOf := of(y, x)
	more := func(n, than map[string]int, names map[string]string) string {
		for _, kind := range slices.Sorted(maps.Keys(n)) {
			if n[kind] > than[kind] {
				return names[kind]
			}
		}
		return ""
	}
	return more(second, first, secondOf), more(first, second, firstOf)
}

// reached are the numbers of the values from which the outputs are computed.
func (t *table) reached(f form) map[int]bool {
	all := map[int]bool{}
	var walk []int
	for _, o := range f.graph.Outputs {
		walk = append(walk, f.numbers[o.Value])
	}
	for len(walk) > 0 {
		id := walk[len(walk)-1]
		walk = walk[:len(walk)-1]
		if !all[id] {
			all[id] = true
			walk = append(walk, t.exprs[id].args...)
		}
	}
	return all
}

// selects returns the kind of a value's operator if it gives another result for some
// inputs alone, and what to call it.
func (t *table) selects(id int) (kind, name string) {
	e := t.exprs[id]
	if e.op == nil || !t.varies(id) {
		return "", ""
	}
	switch op := e.op.(type) {
	case graph.Where:
		return "condition", op.Name()
	case graph.Unary:
		switch op {
		case graph.Relu:
			return "limit", op.Name()
		case graph.IsNaN:
			return "comparison", op.Name()
		case graph.Sign, graph.Floor, graph.Ceil, graph.Round:
			return "step by " + op.Name(), op.Name()
		}
	case graph.Binary:
		switch op {
		case graph.Max, graph.Min:
			return "limit", op.Name()
		case graph.Mod, graph.FMod:
			return "step by " + op.Name(), op.Name()
		case graph.Equal, graph.Less, graph.LessOrEqual:
			return "comparison", op.Name()
		}
	case graph.ArgMax:
		return "step by " + op.Name() + graph.Attributes(op), op.Name()
	case graph.Slice:
		size := t.shape(e.args[0])[op.Axis]
		_, fixed := size.Number()
		end, known := op.Limit.Number()
		last, counted := size.Sub(op.Start).Number() // how many positions before the end
		if !fixed && (known && end > 1 || counted && last > 1) {
			return "end of an axis", op.Name()
		}
	case graph.Trilu:
		return "limit of columns", op.Name()
	case graph.Cast:
		if to := e.typ.DType; !to.Float() && to != format.Int64 && to != format.Bool {
			return "narrower type", fmt.Sprintf("Cast to %s", to)
		}
	}
	return "", ""
}

// varies reports whether a value depends on an input or on a size, and not on constants
// alone.
func (t *table) varies(id int) bool {
	_, constant := t.tensor(id)
	return !constant
}
