//go:build cgo

package ort

import (
	"strconv"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/attnx/attnx/format"
)

// The benchmarks run one model on the bare binding, its tensors made once and
// used again, and through a Session. The difference is what this package
// costs: it looks inputs up by name, checks them, and makes their handles.
// The model is 8 products of (N,256) with (256,256): with 512 rows about the
// work and the output of a small language model on a batch of a few sentences,
// with 8 rows on the shortest prompt.

var benchRows = []int{8, 512}

const (
	benchWidth  = 256
	benchLayers = 8
)

func benchModel() testModel {
	w := make([]float32, benchWidth*benchWidth)
	for i := range w {
		w[i] = float32(i%7-3) / 100
	}
	m := testModel{
		inputs:  []testValue{{"x", protoFloat, []string{"N", "256"}}},
		outputs: []testValue{{"y", protoFloat, []string{"N", "256"}}},
		weights: []testWeight{{"w", []int64{benchWidth, benchWidth}, w}},
	}
	from := "x"
	for i := range benchLayers {
		to := string(rune('a' + i))
		if i == benchLayers-1 {
			to = "y"
		}
		m.nodes = append(m.nodes, testNode{op: "MatMul", in: []string{from, "w"}, out: []string{to}})
		from = to
	}
	return m
}

func BenchmarkRun(b *testing.B) {
	s := session(b, benchModel(), Options{Threads: 1})
	for _, rows := range benchRows {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			in := tensors{"x": format.FromFloat32s("x", []int{rows, benchWidth}, make([]float32, rows*benchWidth))}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Run(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRunBare(b *testing.B) {
	needLibrary(b)
	if _, _, err := load("", "cpu"); err != nil {
		b.Fatal(err)
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		b.Fatal(err)
	}
	defer options.Destroy()
	if err := options.SetIntraOpNumThreads(1); err != nil {
		b.Fatal(err)
	}
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(benchModel().bytes(), []string{"x"}, []string{"y"}, options)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Destroy()
	for _, rows := range benchRows {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			shape := ort.NewShape(int64(rows), benchWidth)
			x, err := ort.NewEmptyTensor[float32](shape)
			if err != nil {
				b.Fatal(err)
			}
			defer x.Destroy()
			y, err := ort.NewEmptyTensor[float32](shape)
			if err != nil {
				b.Fatal(err)
			}
			defer y.Destroy()
			in, out := []ort.Value{x}, []ort.Value{y}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Run(in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
