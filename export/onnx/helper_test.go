package onnx_test

import (
	"bytes"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/attnx/attnx/export/onnx"
)

// pb puts the fields of a protobuf message one after the other: the tests
// write files that no encoder of ours would.
func pb(fields ...[]byte) []byte { return bytes.Join(fields, nil) }

func vint(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func text(n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), s)
}

func sub(n protowire.Number, fields ...[]byte) []byte { return text(n, string(pb(fields...))) }

func float(n protowire.Number, v float32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(nil, n, protowire.Fixed32Type), math.Float32bits(v))
}

func packed(v ...uint64) []byte {
	var b []byte
	for _, x := range v {
		b = protowire.AppendVarint(b, x)
	}
	return b
}

// modelWith is a file whose graph has the fields; the decoder needs no more.
func modelWith(graph ...[]byte) []byte { return pb(vint(1, 8), sub(7, graph...)) }

func encoded(t testing.TB, m *onnx.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	if int64(b.Len()) != m.EncodedSize() {
		t.Fatalf("EncodedSize says %d, Encode writes %d bytes", m.EncodedSize(), b.Len())
	}
	return b.Bytes()
}

// small is a valid model with something of everything that Check looks at:
// y = Add(x·w, bias), and an attribute that is a tensor.
func small() *onnx.Model {
	return &onnx.Model{
		IRVersion: 8, ProducerName: "test",
		Opsets:   []onnx.Opset{{Version: 17}, {Domain: "com.example", Version: 1}},
		Metadata: map[string]string{"b": "2", "a": "1"},
		Graph: &onnx.Graph{
			Name:   "g",
			Inputs: []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true, Param: "n"}, {Value: 2}}}},
			Initializers: []*onnx.Tensor{
				{Name: "w", DataType: onnx.Float, Dims: []int64{2, 2}, Raw: make([]byte, 16)},
				{Name: "bias", DataType: onnx.Float, Dims: []int64{2}, Raw: make([]byte, 8)},
			},
			Nodes: []*onnx.Node{
				{Op: "MatMul", Name: "product", Inputs: []string{"x", "w"}, Outputs: []string{"xw"}},
				{Op: "Add", Name: "sum", Inputs: []string{"xw", "bias"}, Outputs: []string{"y"}},
				{Op: "Constant", Outputs: []string{"c"}, Attributes: []onnx.Attribute{
					onnx.TensorAttr("value", &onnx.Tensor{DataType: onnx.Int64, Raw: make([]byte, 8)}),
				}},
				{Op: "Concat", Inputs: []string{"y", "y"}, Outputs: []string{"z"}, Attributes: []onnx.Attribute{onnx.IntAttr("axis", 1)}},
			},
			Outputs: []onnx.ValueInfo{{Name: "z", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true}, {Value: 4}}}},
			Values:  []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
		},
	}
}
