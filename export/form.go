package export

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/precision"
)

// FormOf returns the options with which export would write a file like m. They
// follow from its inputs, nodes and initializers; the profile alone is that of
// info. The metadata of a file may say anything.
func FormOf(m *onnx.Model, info Info) Options {
	o := Options{Profile: info.Profile, Length: info.Length}
	if in := m.Graph.Inputs; info.Profile == Flat && len(in) > 0 && len(in[0].Dims) > 0 && !in[0].Dims[0].Open {
		o.Length = int(in[0].Dims[0].Value)
	}
	if _, err := info.Profile.opset(int(m.Opset())); err == nil {
		o.Opset = int(m.Opset())
	}
	if !slices.Contains(numbered, info.Profile) {
		return o
	}
	for _, n := range m.Graph.Nodes {
		if n.Op == "GroupQueryAttention" {
			o.Fuse = info.Profile == Cache
		}
	}
	f := precision.Of(m)
	o.DType, o.Quantize = f.DType, f.Quantize
	return o
}
