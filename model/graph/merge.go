package graph

import (
	"fmt"
	"strings"
)

// Merge drops values that another one computes already: the same operator, of
// the same arguments, with the same attributes (common subexpressions). The
// first of them stays.
func Merge(g *Graph) (*Graph, error) {
	seen := map[string]*Value{}
	number := map[*Value]int{}
	merged, err := Rewrite(g, func(b *Builder, v *Value, args []*Value) *Value {
		if v.Op == Input || v.Op == Param {
			return nil
		}
		var key strings.Builder
		fmt.Fprintf(&key, "%s %s%s%s", v.Op, v.DType, v.Shape, v.Attr.text(v.Op))
		for _, a := range args {
			if _, ok := number[a]; !ok {
				number[a] = len(number)
			}
			fmt.Fprintf(&key, " %d", number[a])
		}
		if first := seen[key.String()]; first != nil {
			return first
		}
		r := (&Builder{recording: b.recording}).clone(v, args)
		seen[key.String()] = r
		return r
	})
	if err != nil {
		return nil, err
	}
	return Prune(merged)
}
