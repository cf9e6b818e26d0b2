package read

import (
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// sequenceFamily has the operators on sequences and optional values. Both are
// known while reading: a sequence is a list of values, an optional value has one
// or none.
var sequenceFamily = family{
	"SequenceEmpty":      {values: func(n *node) []*value { n.pass([]string{"dtype"}); return listOf(nil) }},
	"SequenceConstruct":  {values: func(n *node) []*value { return listOf(n.anyFrom(0)) }},
	"SequenceAt":         {values: readSequenceAt},
	"SequenceInsert":     {values: readSequenceInsert},
	"SequenceErase":      {values: readSequenceErase},
	"SequenceLength":     {values: readSequenceLength},
	"SequenceMap":        {values: readSequenceMap},
	"SplitToSequence":    {values: readSplitToSequence},
	"ConcatFromSequence": {values: readConcatFromSequence},

	"Optional":           {values: readOptional},
	"OptionalHasElement": {values: readOptionalHasElement},
	"OptionalGetElement": {values: readOptionalGetElement},
}

// listOf returns a sequence as the one result of a node.
func listOf(list []*value) []*value { return []*value{{isList: true, list: list}} }

// any returns argument i, which may be a sequence or an optional value.
func (n *node) any(i int) *value {
	if !n.has(i) {
		n.invalid("it has no input %d", i)
	}
	n.used[i] = true
	return n.args[i]
}

// anyFrom returns the arguments from i on.
func (n *node) anyFrom(i int) (all []*value) {
	for ; i < len(n.args); i++ {
		all = append(all, n.any(i))
	}
	return all
}

// list returns argument i, which must be a sequence.
func (n *node) list(i int) []*value {
	v := n.any(i)
	if !v.isList {
		n.invalid("its input %.80q is no sequence", v.name)
	}
	return v.list
}

// place returns argument i, a position in a sequence of count values.
func (n *node) place(i, count int) int {
	at := n.integer(i)
	if at < 0 {
		at += count
	}
	if at < 0 || at >= count {
		n.invalid("place %d of %d", n.integer(i), count)
	}
	return at
}

func readSequenceAt(n *node) []*value {
	list := n.list(0)
	return []*value{list[n.place(1, len(list))]}
}

// readSequenceInsert inserts a value before a position, or at the end.
func readSequenceInsert(n *node) []*value {
	list, at := n.list(0), 0
	if at = len(list); n.has(2) && n.integer(2) != at {
		at = n.place(2, len(list))
	}
	return listOf(slices.Insert(slices.Clone(list), at, n.any(1)))
}

func readSequenceErase(n *node) []*value {
	list := n.list(0)
	at := len(list) - 1
	if n.has(1) {
		at = n.place(1, len(list))
	}
	if at < 0 {
		n.invalid("its sequence is empty")
	}
	return listOf(slices.Delete(slices.Clone(list), at, at+1))
}

func readSequenceLength(n *node) []*value {
	return []*value{{elements: integerElements(graph.N(len(n.list(0)))).reshaped([]int{})}}
}

// readSequenceMap applies a graph to each value of a sequence, together with the
// values of other sequences.
func readSequenceMap(n *node) []*value {
	body, first := n.subgraph("body"), n.list(0)
	out := make([]*value, len(body.Outputs))
	for i := range out {
		out[i] = &value{isList: true}
	}
	for at := range first {
		in := []*value{first[at]}
		for _, v := range n.anyFrom(1) {
			if v.isList {
				if len(v.list) != len(first) {
					n.invalid("sequences of %d and %d values", len(first), len(v.list))
				}
				v = v.list[at]
			}
			in = append(in, v)
		}
		for i, v := range n.inner(body, n.prefix(at), in...) {
			out[i].list = append(out[i].list, v)
		}
	}
	return out
}

// record prepares a scope for a node whose function does everything itself.
func (n *node) record() { n.b = n.r.b.Scope(n.r.unique(n.name())) }

// listed wraps values of the graph as values of a sequence.
func (n *node) listed(all []*graph.Value) []*value {
	if err := n.recorded(); err != nil {
		panic(refusal{err})
	}
	list := make([]*value, len(all))
	for i, v := range all {
		list[i] = &value{name: v.Name, scope: n.scope, recorded: v}
	}
	return list
}

// readSplitToSequence splits into parts of the given sizes, or of one size, where
// the last part may be shorter, or into single positions.
func readSplitToSequence(n *node) []*value {
	n.record()
	x := n.arg(0)
	axis := n.axis(n.int("axis", 0), len(x.Shape))
	size, ok := x.Shape[axis].Number()
	if !ok {
		n.open("axis %d of %s is split", axis, x.Shape)
	}
	var sizes []int
	if n.has(1) && len(n.shape(1)) > 0 {
		sizes = n.integers(1)
	} else {
		each := 1
		if n.has(1) {
			each = n.integer(1)
		}
		if each < 1 {
			n.invalid("parts of %d", each)
		}
		for left := size; left > 0; left -= each {
			sizes = append(sizes, min(each, left))
		}
	}
	parts := n.slices(x, axis, sizes)
	if keep := n.flag("keepdims", true); !keep && !n.has(1) {
		for i, p := range parts {
			parts[i] = n.b.Reshape(p, slices.Delete(slices.Clone(p.Shape), axis, axis+1)...)
		}
	}
	return listOf(n.listed(parts))
}

func readConcatFromSequence(n *node) []*value {
	n.record()
	list := n.list(0)
	if len(list) == 0 {
		n.refuse("an empty sequence: its type is not known")
	}
	n.require("axis")
	parts := make([]*graph.Value, len(list))
	for i, v := range list {
		recorded, err := n.r.record(v)
		if err != nil {
			panic(refusal{err})
		}
		parts[i] = recorded
	}
	rank, stack := len(parts[0].Shape), n.flag("new_axis", false)
	if stack {
		axis := n.axis(n.int("axis", 0), rank+1)
		for i, p := range parts {
			parts[i] = n.b.Reshape(p, slices.Insert(slices.Clone(p.Shape), axis, graph.N(1))...)
		}
		return n.listed([]*graph.Value{n.b.Concat(axis, parts...)})
	}
	return n.listed([]*graph.Value{n.b.Concat(n.axis(n.int("axis", 0), rank), parts...)})
}

// identityRow is Identity's, which passes on sequences and optional values too.
func identityRow() row {
	w := unaryRow(graph.Identity)
	w.values = func(n *node) []*value {
		if !n.has(0) || n.args[0].isTensor() {
			return nil
		}
		return []*value{n.any(0)}
	}
	return w
}

func readOptional(n *node) []*value {
	n.pass([]string{"type"})
	if !n.has(0) {
		return []*value{{absent: true}}
	}
	return []*value{n.any(0)}
}

func readOptionalHasElement(n *node) []*value {
	has := n.has(0) && !n.any(0).absent
	e := blank(format.Bool, []int{})
	e.ints[0] = truth(has)
	return []*value{{elements: e}}
}

func readOptionalGetElement(n *node) []*value {
	v := n.any(0)
	if v.absent {
		n.invalid("its input %.80q has no value", v.name)
	}
	return []*value{v}
}
