//go:build cgo

package ort_test

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ort"
)

func TestBind(t *testing.T) {
	b := graph.NewBuilder()
	x, y := b.Input("x", format.Float32, graph.N(2)), b.Param("y", graph.Constant(0), 2)
	b.Output("sum", b.Add(x, y))
	b.Output("total", b.ReduceSum(b.Add(x, y), false, 0))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	data, err := export.Bytes(g, nil, export.Train{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.OpenBytes(data, ort.Options{})
	if err != nil {
		t.Skipf("no ONNX Runtime: %v", err)
	}
	defer s.Close()
	xs, ys, sum, total := []float32{1, 2}, []float32{10, 20}, make([]float32, 2), make([]float32, 1)
	in := []format.Tensor{format.FromFloat32s("y", []int{2}, ys), format.FromFloat32s("x", []int{2}, xs)}
	out := []format.Tensor{format.FromFloat32s("total", []int{}, total), format.FromFloat32s("sum", []int{2}, sum)}
	run, release, err := s.Bind(in, out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // what the memory holds at the time of a run counts
		xs[0], ys[1] = float32(i), float32(100*i)
		if err := run(); err != nil {
			t.Fatal(err)
		}
		if sum[0] != float32(i)+10 || sum[1] != 2+float32(100*i) || total[0] != sum[0]+sum[1] {
			t.Errorf("run %d: %v, total %v", i, sum, total)
		}
	}
	if n := testing.AllocsPerRun(20, func() { _ = run() }); n > 12 {
		t.Errorf("%v allocations a run", n)
	}
	release()
	release() // twice is no error

	wrong := func(name string, in, out []format.Tensor, want string) {
		t.Helper()
		if _, _, err := s.Bind(in, out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	wrong("a missing input", in[:1], out, `"x" is missing`)
	wrong("a missing output", in, out[:1], "sum")
	wrong("another shape", in, []format.Tensor{out[0], format.FromFloat32s("sum", []int{1, 2}, sum)}, "[1 2]")
	wrong("another type", in, []format.Tensor{out[0], format.FromInt64s("sum", []int{2}, make([]int64, 2))}, "I64")
	raw := make([]byte, 64)
	wrong("no place for a float32", in, []format.Tensor{out[0], {Name: "sum", DType: format.Float32, Shape: []int{2}, Data: raw[1:9]}}, "aligned")
	s.Close()
	wrong("a closed session", in, out, "closed")
}
