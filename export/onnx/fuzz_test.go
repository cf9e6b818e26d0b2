package onnx_test

import (
	"bytes"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// FuzzDecode: no file makes the decoder, the checker or the printer panic, and
// what is decoded means the same after it is written: the same bytes from then
// on, and the same verdict.
func FuzzDecode(f *testing.F) {
	m := small()
	m.Graph.Nodes = append(m.Graph.Nodes, custom(body("x")))
	f.Add(encoded(f, m))
	m.Graph.Initializers[0].Raw, m.Graph.Initializers[0].External = nil, &onnx.External{Location: "w", Offset: 4096, Length: 16, Checksum: "0"}
	f.Add(encoded(f, m))
	for _, c := range hostile() {
		if len(c.data) < 1<<12 {
			f.Add(c.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Decode(data)
		if err != nil {
			return
		}
		verdict := onnx.Check(m, "")
		var text bytes.Buffer
		if err := onnx.Print(&text, m); err != nil {
			t.Fatal(err)
		}
		first := encoded(t, m)
		back, err := onnx.Decode(first)
		if err != nil {
			t.Fatalf("our own file is refused: %v", err)
		}
		if second := encoded(t, back); !bytes.Equal(first, second) {
			t.Fatalf("% x\nthen\n% x", first, second)
		}
		if again := onnx.Check(back, ""); (verdict == nil) != (again == nil) {
			t.Fatalf("the verdict was %v and is %v", verdict, again)
		}
	})
}
