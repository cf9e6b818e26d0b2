package attnx

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// declaresAlike reports whether each value that m declares (value_info) is declared as want
// has it: a runtime believes these declarations. names are want's names of m's values. Named
// dimensions may have other names, one for each.
func declaresAlike(m, want *onnx.Model, names map[string]string) bool {
	dims, back := map[string]string{}, map[string]string{}
	same := func(v, w onnx.ValueInfo) bool {
		if v.DataType != w.DataType || v.NoShape != w.NoShape || (v.Other == nil) != (w.Other == nil) {
			return false
		}
		return slices.EqualFunc(v.Dims, w.Dims, func(d, e onnx.Dim) bool {
			if d.Open != e.Open || d.Value != e.Value || (d.Param == "") != (e.Param == "") {
				return false
			}
			if d.Param == "" {
				return true
			}
			if dims[d.Param] == "" && back[e.Param] == "" {
				dims[d.Param], back[e.Param] = e.Param, d.Param
			}
			return dims[d.Param] == e.Param
		})
	}
	for _, lists := range [][2][]onnx.ValueInfo{{m.Graph.Inputs, want.Graph.Inputs}, {m.Graph.Outputs, want.Graph.Outputs}, {m.Graph.Values, want.Graph.Values}} {
		for _, v := range lists[0] {
			name, ok := names[v.Name]
			if !ok {
				name = v.Name
			}
			i := slices.IndexFunc(lists[1], func(w onnx.ValueInfo) bool { return w.Name == name })
			if i < 0 || !same(v, lists[1][i]) {
				return false
			}
		}
	}
	return true
}
