package graph

import (
	"slices"
	"strings"
)

// fromFront returns a with its axes counted from the front, the only form that
// a graph holds. An axis that is not there stays as it was given, for the rule
// to refuse.
func (a Attr) fromFront(op Op, args []*Value) Attr {
	if len(args) == 0 {
		return a
	}
	rank := len(args[0].Shape)
	front := func(axis int) int {
		if axis < 0 && axis >= -rank {
			return axis + rank
		}
		return axis
	}
	all := func(axes []int) []int {
		out := slices.Clone(axes)
		for i, axis := range axes {
			out[i] = front(axis)
		}
		return out
	}
	for _, name := range strings.Fields(op.Info().Attrs) {
		switch name {
		case "Axis":
			a.Axis = front(a.Axis)
		case "Axes":
			a.Axes = all(a.Axes)
			slices.Sort(a.Axes)
		case "Perm":
			a.Perm = all(a.Perm)
		}
	}
	return a
}
