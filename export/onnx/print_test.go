package onnx_test

import (
	"bytes"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

func TestPrint(t *testing.T) {
	m := small()
	m.Graph.Initializers[1].Raw, m.Graph.Initializers[1].External = nil, &onnx.External{Location: "w.bin", Offset: 4096}
	m.Graph.Nodes[1].Name = "not printed"
	m.Graph.Nodes[1].Outputs[0] = "two\nlines\x1b[2J"
	m.Graph.Nodes = append(m.Graph.Nodes, custom(body("x")))
	m.Graph.Nodes[4].Attributes = append(m.Graph.Nodes[4].Attributes, onnx.StringAttr("mode", "a \"b\""), onnx.FloatAttr("alpha", 0.1),
		onnx.IntsAttr("perm", 1, 0), onnx.Attribute{Name: "f", Type: onnx.AttrFloats, Floats: []float32{0.5}},
		onnx.Attribute{Name: "s", Type: onnx.AttrStrings, Strings: [][]byte{[]byte("x")}})
	const want = `ir_version 8
producer test 
opset "" 17
opset "com.example" 1
metadata a (1 bytes)
metadata b (1 bytes)
input x float (n,2)
initializer w float[2 2]
initializer bias float[2] in w.bin at 4096
xw = MatMul(x, w)
"two\nlines\x1b[2J" = Add(xw, bias)
c = Constant() value=int64[]
z = Concat(y, y) axis=1
wrapped = com.example.Wrap(x) body=graph of 1 nodes mode="a \"b\"" alpha=0.1 perm=[1 0] f=[0.5] s=["x"]  # attnx cannot run it: attnx does not know the domain "com.example"
  body: graph body
    out = Neg(x)
    output out undefined ()
output z float (?,4)
`
	var b bytes.Buffer
	if err := onnx.Print(&b, m); err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, &b, want)
	}
}

// Every wanted result of a node becomes an output, whatever value_info says of it.
func TestMarkOutputs(t *testing.T) {
	m := small()
	m.Graph.Values = append(m.Graph.Values, onnx.ValueInfo{Name: "y", DataType: onnx.Bool}, onnx.ValueInfo{Name: "gone", DataType: onnx.Float})
	nodes := len(m.Graph.Nodes)
	all := func(string) bool { return true }
	marked, values := onnx.MarkOutputs(m, all)
	if len(m.Graph.Outputs) != 1 || len(m.Graph.Nodes) != nodes || len(marked.Graph.Values) != 0 {
		t.Errorf("outputs of the model itself %v, %d nodes; values %v", m.Graph.Outputs, len(m.Graph.Nodes), marked.Graph.Values)
	}
	for _, n := range m.Graph.Nodes {
		if values[n.Outputs[0]+".marked"] != n.Outputs[0] {
			t.Errorf("%s is no output: %v", n.Outputs[0], values)
		}
	}
	if len(marked.Graph.Outputs) != 1+len(values) || marked.Graph.Outputs[1].DataType != onnx.Float {
		t.Errorf("outputs %v", marked.Graph.Outputs)
	}
	if err := onnx.Check(marked, ""); err != nil {
		t.Error(err)
	}
	if some, values := onnx.MarkOutputs(m, func(v string) bool { return v == "y" }); len(values) != 1 || len(some.Graph.Outputs) != 2 {
		t.Errorf("one value marked: %v", values)
	}
	again, values := onnx.MarkOutputs(marked, all)
	if err := onnx.Check(again, ""); err != nil || len(values) != len(marked.Graph.Nodes) {
		t.Errorf("marked twice: %v, %v", values, err)
	}
}
