package bundle

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// tritonTypes are Triton's names of element types, from its
// model_config.proto.
var tritonTypes = map[onnx.DataType]string{
	onnx.Float: "TYPE_FP32", onnx.Float16: "TYPE_FP16", onnx.BFloat16: "TYPE_BF16", onnx.Double: "TYPE_FP64",
	onnx.Int64: "TYPE_INT64", onnx.Int32: "TYPE_INT32", onnx.Bool: "TYPE_BOOL",
}

// TritonParameter is a parameter of a model in Triton's configuration.
type TritonParameter struct{ Key, Value string }

// TritonConfig returns the config.pbtxt of a model for Triton's ONNX Runtime
// backend. max_batch_size is 0 and the batch axis is part of the shape: Triton
// batches requests by concatenation, which fails for texts or pasts of
// different lengths. A client with several texts pads them on the left and
// sends them in one request. Clients get the parameters from the server with
// the rest of the configuration.
func TritonConfig(name string, m *onnx.Model, parameters []TritonParameter) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %q\nbackend: \"onnxruntime\"\ndefault_model_filename: \"model.onnx\"\nmax_batch_size: 0\n", name)
	for _, list := range []struct {
		name   string
		values []onnx.ValueInfo
	}{{"input", m.Graph.Inputs}, {"output", m.Graph.Outputs}} {
		fmt.Fprintf(&b, "%s [\n", list.name)
		for i, v := range list.values {
			t, ok := tritonTypes[v.DataType]
			if !ok || v.NoShape {
				return nil, fmt.Errorf("export: %s %.80q has type %s, which Triton's configuration cannot express", list.name, v.Name, v.DataType)
			}
			dims := make([]string, len(v.Dims))
			for axis, d := range v.Dims {
				dims[axis] = fmt.Sprint(d.Value)
				if d.Open {
					dims[axis] = "-1"
				}
			}
			comma := ","
			if i == len(list.values)-1 {
				comma = ""
			}
			fmt.Fprintf(&b, "  { name: %q, data_type: %s, dims: [ %s ] }%s\n", v.Name, t, strings.Join(dims, ", "), comma)
		}
		b.WriteString("]\n")
	}
	for _, p := range parameters {
		fmt.Fprintf(&b, "parameters { key: %q value: { string_value: %q } }\n", p.Key, p.Value)
	}
	return []byte(b.String()), nil
}
