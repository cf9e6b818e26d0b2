package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/export/onnx"
)

// FuzzDecode: no file makes the decoder, the checker or the printer panic, and
// what is decoded means the same after it is written: the same bytes from then
// on, and what Check took it takes again.
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
	foreign, err := filepath.Glob("../../fixtures/onnx/*.onnx")
	if err != nil || len(foreign) == 0 {
		f.Fatal("no fixtures", err)
	}
	for _, path := range foreign {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Decode(data)
		if err != nil {
			return
		}
		verdict := onnx.Check(m, "")
		if found := onnx.Problems(m, ""); (verdict == nil) != (len(found) == 0) || verdict != nil && verdict.Error() != found[0].Error() {
			t.Fatalf("the verdict is %v, the problems are %v", verdict, found)
		}
		m.Operators()
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
		if again := onnx.Check(back, ""); verdict == nil && again != nil { // what was doubtful is not written
			t.Fatalf("it was taken, and now %v", again)
		}
	})
}
