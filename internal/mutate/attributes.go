package mutate

import (
	"math/rand/v2"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// attributes is a fault of the attributes of a name, or of a type if the name is "".
func attributes(name string, t onnx.AttributeType, change func(a *onnx.Attribute) bool) func(w *view, r *rand.Rand) []Fault {
	return func(w *view, r *rand.Rand) (all []Fault) {
		for _, n := range w.Graph.Nodes {
			for i, a := range n.Attributes {
				if a.Type != t || name != "" && a.Name != name || name == "" && slices.Contains([]string{"axis", "epsilon", "perm", "keepdims", "to"}, a.Name) {
					continue
				}
				test := a
				test.Ints = slices.Clone(a.Ints)
				if !change(&test) {
					continue
				}
				all = append(all, Fault{Place: n.Outputs[0] + ": " + a.Name, Value: n.Outputs[0], apply: func(s *surgeon) {
					b := &s.Graph.Nodes[s.index(n.Outputs[0])].Attributes[i]
					b.Ints, b.String = slices.Clone(b.Ints), slices.Clone(b.String)
					change(b)
				}})
			}
		}
		return all
	}
}

var attributeKinds = []kind{
	{"epsilon", attributes("epsilon", onnx.AttrFloat, func(a *onnx.Attribute) bool { a.Float *= 100; return true })},
	{"axis", attributes("axis", onnx.AttrInt, func(a *onnx.Attribute) bool {
		if a.Int == -1 || a.Int > 0 {
			a.Int--
		} else {
			a.Int++
		}
		return true
	})},
	{"permutation", attributes("perm", onnx.AttrInts, func(a *onnx.Attribute) bool {
		n := len(a.Ints)
		if n < 2 {
			return false
		}
		a.Ints[n-1], a.Ints[n-2] = a.Ints[n-2], a.Ints[n-1]
		return true
	})},
	{"keepdims", attributes("keepdims", onnx.AttrInt, func(a *onnx.Attribute) bool { a.Int = 1 - a.Int; return true })},
	{"integer attribute", attributes("", onnx.AttrInt, func(a *onnx.Attribute) bool { a.Int++; return true })},
	{"number attribute", attributes("", onnx.AttrFloat, func(a *onnx.Attribute) bool { a.Float *= 1.05; return a.Float != 0 })},
	{"list attribute", attributes("", onnx.AttrInts, func(a *onnx.Attribute) bool {
		if len(a.Ints) == 0 {
			return false
		}
		a.Ints[0]++
		return true
	})},
	{"element type of a cast", attributes("to", onnx.AttrInt, func(a *onnx.Attribute) bool {
		if a.Int != int64(onnx.Bool) {
			return false
		}
		a.Int = int64(onnx.Int64)
		return true
	})},
	{"operator set", func(w *view, r *rand.Rand) []Fault {
		return []Fault{{Place: "opset 11", apply: func(s *surgeon) {
			s.Opsets = slices.Clone(s.Opsets)
			for i, o := range s.Opsets {
				if o.Domain == "" {
					s.Opsets[i].Version = 11
				}
			}
		}}}
	}},
}
