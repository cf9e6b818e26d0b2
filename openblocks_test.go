package attnx_test

import (
	"errors"
	"math"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/runtime"
)

// A GGUF file opens with its matrices in blocks, and computes what its numbers as
// float32 do. What is open describes its weights, and does not hold them again.
func TestOpenInBlocks(t *testing.T) {
	for _, dtype := range []blocks.Type{blocks.Q8_0, blocks.Q4_0, blocks.F32} {
		path := filepath.Join(t.TempDir(), "m.gguf")
		must(gguf.Write(path, wholeBlocks(), dtype))
		m, err := attnx.OpenModel(path, attnx.Options{Device: "cpu"})
		if errors.Is(err, runtime.ErrUnavailable) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		whole, err := attnx.OpenCheckpoint(second(gguf.Read(path)), export.Cache{LastLogits: true}, attnx.Options{Device: "cpu"})
		if err != nil {
			t.Fatal(err)
		}
		defer whole.Close()
		if m.Checkpoint.Weights != nil {
			t.Errorf("%s: the checkpoint holds the weights", dtype)
		}
		stored, inBlocks := int64(0), 0
		for _, i := range m.File.Graph.Initializers {
			stored += i.Elements() * i.DataType.Size()
			if i.Raw != nil {
				t.Errorf("%s: %s is held in the file", dtype, i.Name)
			}
		}
		for _, n := range m.File.Graph.Nodes {
			if n.Op == "MatMulNBits" {
				inBlocks++
			}
		}
		if (inBlocks > 0) != (dtype != blocks.F32) || stored == 0 {
			t.Errorf("%s: %d products are in blocks, of %d bytes of weights", dtype, inBlocks, stored)
		}
		logits := func(m *attnx.Model) []float32 {
			d, err := m.Logits(1)
			if err != nil {
				t.Fatal(err)
			}
			first, err := d.Prefill([][]int64{{1, 5, 2}})
			if err != nil {
				t.Fatal(err)
			}
			first = append([]float32(nil), first...)
			next, err := d.Step([]int64{3})
			if err != nil {
				t.Fatal(err)
			}
			return append(first, next...)
		}
		got, want := logits(m), logits(whole)
		for i, w := range want {
			if math.Abs(float64(got[i]-w)) > 1e-5*(1+math.Abs(float64(w))) {
				t.Fatalf("%s, logit %d: %g, of its numbers as float32 %g", dtype, i, got[i], w)
			}
		}
	}
}
