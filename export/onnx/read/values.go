package read

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// contradict notes the first of a graph's declared values, value_info and outputs, whose
// declaration is not what the graph computes: a runtime may believe it, as ONNX Runtime
// does where it works out shapes in advance.
func (r *reading) contradict(declared []onnx.ValueInfo, s *scope) {
	for _, d := range declared {
		v := s.values[d.Name]
		if v == nil || !v.isTensor() || d.Other != nil || r.contradiction != "" {
			continue
		}
		dtype, err := elementType(d.DataType)
		if err == nil && dtype != v.dtype() {
			r.contradiction = fmt.Sprintf("%.80q is declared as %s, and the graph computes %s", d.Name, d.DataType, v.dtype())
			continue
		}
		if shape := v.shape(); !d.NoShape && !r.admits(d.Dims, shape) {
			r.contradiction = fmt.Sprintf("%.80q is declared as %s, and the graph gives it the shape %s", d.Name, d, shape)
		}
	}
}

// admits reports whether declared dimensions are those of a shape for every size of the
// inputs.
func (r *reading) admits(declared []onnx.Dim, shape graph.Shape) bool {
	if len(declared) != len(shape) {
		return false
	}
	for i, d := range declared {
		want := graph.N(int(d.Value))
		if d.Open {
			known := false
			if want, known = r.namedDim(d.Param); d.Param == "" {
				continue
			} else if !known { // its first occurrence says what it is
				r.declaredDims[d.Param] = shape[i]
				continue
			}
		}
		if want != shape[i] {
			return false
		}
	}
	return true
}

// namedDim returns the dimension for a name in the file, or for a sum of such names.
func (r *reading) namedDim(name string) (graph.Dim, bool) {
	if d, ok := r.symbols[name]; ok {
		return d, true
	}
	if d, ok := r.declaredDims[name]; ok {
		return d, true
	}
	for _, word := range strings.FieldsFunc(name, func(c rune) bool { return strings.ContainsRune("+-* 0123456789", c) }) {
		if _, ok := r.symbols[word]; !ok {
			return graph.Dim{}, false
		}
	}
	return r.expression(name)
}
