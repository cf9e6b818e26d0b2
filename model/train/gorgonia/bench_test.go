package gorgonia_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// BenchmarkGorgoniaStep takes one step of a preset at nanoGPT's batch of 12.
func BenchmarkGorgoniaStep(b *testing.B) {
	for _, preset := range []string{"tiny", "nano"} {
		b.Run(preset, func(b *testing.B) {
			c, err := model.New(gorgonia.PresetNetwork(b, preset, "gpt2", 65), 1)
			if err != nil {
				b.Fatal(err)
			}
			e, err := gorgonia.New(gorgonia.LossOf(b, c.Graph), gorgonia.Options{})
			if err != nil {
				b.Fatal(err)
			}
			weights := c.Weights
			var grads []format.Tensor
			for _, w := range weights {
				grads = append(grads, format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements())))
			}
			batch := randomBatch(12, c.Context(), c.Vocab(), 1)
			if _, err := e.Step(weights, batch, grads); err != nil { // compiles
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Step(weights, batch, grads); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/step")
			b.ReportMetric(float64(b.N*12*c.Context())/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// randomBatch draws ids; a tenth of the labels do not count.
func randomBatch(size, length, vocab int, seed uint64) train.Batch {
	n := size * length
	ids, labels := make([]int64, n), make([]int64, n)
	s := model.NewStream(seed, "test.batch")
	for i := range n {
		ids[i] = int64(s.IntN(uint64(3*i), vocab))
		labels[i] = int64(s.IntN(uint64(3*i+1), vocab))
		if s.IntN(uint64(3*i+2), 10) == 0 {
			labels[i] = model.IgnoreIndex
		}
	}
	return train.TextBatch(size, length, ids, labels)
}
