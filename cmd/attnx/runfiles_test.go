package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
)

// runfiles writes the inputs of run.txt: good ones and bad ones.
func runfiles(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: runfiles")
	}
	write := func(name string, data []byte) {
		ts.Check(os.WriteFile(ts.MkAbs(name), data, 0o666))
	}
	array := func(t format.Tensor) []byte {
		var b bytes.Buffer
		ts.Check(npy.Write(&b, t))
		return b.Bytes()
	}
	ids := array(format.FromInt64s("", []int{1, 3}, []int64{1, 2, 3}))
	write("ids.npy", ids)
	write("cut.npy", ids[:len(ids)-5])
	write("flat.npy", array(format.FromInt64s("", []int{3}, []int64{1, 2, 3})))
	write("floats.npy", array(format.FromFloat32s("", []int{1, 3}, []float32{1, 2, 3})))
	write("far.npy", array(format.FromInt64s("", []int{1, 1}, []int64{1 << 40})))
	write("pickle.npy", bytes.Replace(ids, []byte("'<i8'"), []byte("'|O' "), 1))
	archive := func(fill func(z *zip.Writer)) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		fill(z)
		ts.Check(z.Close())
		return b.Bytes()
	}
	write("ids.npz", archive(func(z *zip.Writer) {
		w, err := z.Create("input_ids.npy")
		ts.Check(err)
		_, err = w.Write(ids)
		ts.Check(err)
	}))
	write("bomb.npz", archive(func(z *zip.Writer) {
		w, err := z.CreateRaw(&zip.FileHeader{Name: "input_ids.npy", Method: zip.Deflate, UncompressedSize64: 1 << 40, CompressedSize64: 4})
		ts.Check(err)
		_, err = io.WriteString(w, "\x00\x00\x00\x00")
		ts.Check(err)
	}))
	// A TensorProto: dims 1 and 3, data_type INT64, raw_data.
	write("ids.pb", append([]byte("\x08\x01\x08\x03\x10\x07\x4a\x18"), ids[len(ids)-24:]...))
	model := func(name string, in onnx.ValueInfo) {
		m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{
			Name: "g", Inputs: []onnx.ValueInfo{in}, Outputs: []onnx.ValueInfo{{Name: "y", DataType: in.DataType, NoShape: true}},
			Nodes: []*onnx.Node{{Op: "Identity", Inputs: []string{in.Name}, Outputs: []string{"y"}}},
		}}
		var b bytes.Buffer
		ts.Check(m.Encode(&b))
		write(name, b.Bytes())
	}
	// Folders with recorded inputs and outputs.
	recorded := func(folder string, in, out []byte) {
		ts.Check(os.MkdirAll(ts.MkAbs(folder+"/test_data_set_0"), 0o777))
		model(folder+"/any.onnx", onnx.ValueInfo{Name: "x", DataType: onnx.Int64, Dims: []onnx.Dim{{Value: 1}, {Value: 3}}})
		if in != nil {
			write(folder+"/test_data_set_0/input_0.pb", in)
		}
		write(folder+"/test_data_set_0/output_0.pb", out)
	}
	proto := func(head string, data []byte) []byte {
		return append([]byte(head+"\x4a"+string(rune(len(data)))), data...)
	}
	three, other := ids[len(ids)-24:], make([]byte, 24)
	good := proto("\x08\x01\x08\x03\x10\x07", three)
	recorded("right", good, good)
	recorded("wrong", good, proto("\x08\x01\x08\x03\x10\x07", other))
	recorded("shape", proto("\x08\x03\x10\x07", three), good)
	recorded("type", proto("\x08\x01\x08\x03\x10\x01", three[:12]), good)
	recorded("broken", good[:9], good)
	recorded("empty", nil, good)
	model("open.onnx", onnx.ValueInfo{Name: "x", DataType: onnx.Float, NoShape: true})
	model("image.onnx", onnx.ValueInfo{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true}, {Value: 3}, {Value: 4}, {Open: true, Param: "w"}}})
	model("text.onnx", onnx.ValueInfo{Name: "x", DataType: onnx.String})
}
