package compare

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// declarations compares the inputs and outputs of the models: names, element
// types, and which axes have which numbers.
func (c *comparison) declarations() {
	c.declared("input", c.file.asked(), c.want.asked())
	c.declared("output", c.file.Graph.Outputs, c.want.Graph.Outputs)
}

// asked returns the inputs that are not initializers.
func (s *side) asked() []onnx.ValueInfo {
	return slices.DeleteFunc(slices.Clone(s.Graph.Inputs), func(v onnx.ValueInfo) bool { return s.tensors[v.Name] != nil })
}

func (c *comparison) declared(kind string, have, want []onnx.ValueInfo) {
	for _, w := range want {
		i := slices.IndexFunc(have, func(v onnx.ValueInfo) bool { return v.Name == w.Name })
		switch {
		case i < 0:
			c.departNode(kind+" "+w.Name, w.Name, "is missing")
		case !c.fits(have[i], w):
			c.departNode(kind+" "+w.Name, w.Name, "is declared as %s, export writes %s", have[i], w)
		}
	}
	for _, v := range have {
		if !slices.ContainsFunc(want, func(w onnx.ValueInfo) bool { return w.Name == v.Name }) {
			c.departNode(kind+" "+v.Name, "", "is not written by export")
		}
	}
}

// fits reports whether two declarations agree, except for names of open axes.
func (c *comparison) fits(have, want onnx.ValueInfo) bool {
	types := have.DataType == want.DataType || c.Rounded && have.DataType.Floating() && want.DataType.Floating()
	if have.NoShape || want.NoShape {
		return types
	}
	return types && slices.EqualFunc(have.Dims, want.Dims, func(a, b onnx.Dim) bool { return a.Open == b.Open && a.Value == b.Value })
}
