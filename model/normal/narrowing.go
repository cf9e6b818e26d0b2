package normal

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// narrowing names a Cast of the second form to floating-point numbers of a type with fewer digits
// or a smaller range than what it rounds, where the first form rounds fewer numbers to that type; "" if there is none.
// What both have in common does not count, nor does a Cast of numbers that the first form
// rounds to that type before or after it moves them.
func (t *table) narrowing(a, b form) string {
	first, second := t.reached(a), t.reached(b)
	rounded, open := map[format.DType]map[int]bool{}, map[format.DType]map[int]bool{} // numbers that the first form rounds to a type, and those of them that are not in common
	add := func(to map[format.DType]map[int]bool, d format.DType, id int) {
		if to[d] == nil {
			to[d] = map[int]bool{}
		}
		to[d][id] = true
	}
	for id := range first {
		if e := t.exprs[id]; e.typ.DType.Float() && t.varies(id) {
			for _, source := range t.sources(id) {
				if add(rounded, e.typ.DType, source); !second[id] {
					add(open, e.typ.DType, source)
				}
			}
		}
	}
	more, example := map[format.DType]map[int]bool{}, map[format.DType]string{}
	for _, id := range slices.Sorted(maps.Keys(second)) {
		e := t.exprs[id]
		if _, ok := e.op.(graph.Cast); !ok || first[id] || !t.varies(id) {
			continue
		}
		to, of := e.typ.DType, t.exprs[e.args[0]].typ.DType
		if !to.Float() || !of.Float() || !narrows(to, of) {
			continue
		}
		for _, source := range t.sources(id) {
			if !rounded[to][source] {
				add(more, to, source)
				example[to] = fmt.Sprintf("Cast to %s", to)
			}
		}
	}
	for _, to := range slices.Sorted(maps.Keys(more)) {
		if len(more[to]) > len(open[to]) {
			return example[to]
		}
	}
	return ""
}

// sources are the values of which a value has the numbers, in another type or at other places.
func (t *table) sources(id int) (all []int) {
	seen, walk := map[int]bool{}, []int{id}
	for len(walk) > 0 {
		id := walk[len(walk)-1]
		walk = walk[:len(walk)-1]
		if seen[id] || !t.varies(id) {
			continue
		}
		seen[id] = true
		e := t.exprs[id]
		switch e.op.(type) {
		case graph.Cast, graph.Reshape, graph.Transpose, graph.Slice, graph.Split, graph.Expand, graph.Gather:
			if t.exprs[e.args[0]].typ.DType.Float() {
				walk = append(walk, e.args[0])
				continue
			}
		case graph.Concat:
			walk = append(walk, e.args...)
			continue
		}
		all = append(all, id)
	}
	return all
}

// narrows reports whether a floating-point type lacks a digit or a power of two that another has.
func narrows(to, of format.DType) bool {
	lacks := func(x float64) bool { return of.Round(x) == x && to.Round(x) != x }
	for digits := 1; digits <= 52; digits++ {
		if lacks(1 + math.Ldexp(1, -digits)) {
			return true
		}
	}
	for exponent := -1074; exponent < 1024; exponent++ {
		if lacks(math.Ldexp(1, exponent)) {
			return true
		}
	}
	return false
}
