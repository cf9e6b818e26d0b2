//go:build unix

package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
)

// Sizes of what fixtures/oracle/bench_translate.py measures.
const (
	sourceTokens = 20
	targetTokens = 24
)

// BenchmarkTranslate measures translating with the network in the folder that
// ATTNX_TRANSLATOR names, in ONNX Runtime with one thread: processor time of this
// process for each token. fixtures/oracle/bench_translate.py runs it beside others.
func BenchmarkTranslate(b *testing.B) {
	folder := os.Getenv("ATTNX_TRANSLATOR")
	if folder == "" {
		b.Skip("ATTNX_TRANSLATOR names no folder")
	}
	lib, err := library.Find("", "")
	if err != nil {
		b.Skip(err)
	}
	c, _, err := huggingface.Read(folder)
	if err != nil {
		b.Fatal(err)
	}
	cut, err := c.Cut()
	if err != nil {
		b.Fatal(err)
	}
	var parts []decode.Part
	for _, p := range []model.Part{cut.Encoder, cut.First, cut.Next} {
		data, err := export.Bytes(p.Graph, p.Weights, export.Plain{})
		if err != nil {
			b.Fatal(err)
		}
		s, err := ort.OpenBytes(data, ort.Options{Library: lib.Path, Threads: 1})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		parts = append(parts, s)
	}
	pair := decode.Pair{Encoder: parts[0], First: parts[1], Next: parts[2], Layers: cut.Layers(), Recurrent: cut.Recurrent()}
	special := huggingface.SpecialOf(c)
	for _, batch := range []int{1, 16} {
		sources, random := make([][]int64, batch), rand.New(rand.NewPCG(1, 1))
		for i := range sources {
			for range sourceTokens - 1 {
				sources[i] = append(sources[i], 2+random.Int64N(int64(c.Vocab()-3)))
			}
			sources[i] = append(sources[i], special.End[0])
		}
		for _, beams := range []int{1, 4} {
			o := decode.TranslateOptions{MaxTokens: targetTokens, Beams: beams, LengthPenalty: 1, Start: *special.Start, End: special.End, SourcePad: *special.Pad, Banned: []int64{*special.Pad}}
			b.Run(fmt.Sprintf("batch=%d/beams=%d", batch, beams), func(b *testing.B) {
				tokens, before := 0, processorTime(b)
				for b.Loop() {
					targets, err := decode.Translate(b.Context(), pair, sources, o)
					if err != nil {
						b.Fatal(err)
					}
					for _, t := range targets {
						tokens += len(t[0].IDs)
					}
				}
				b.ReportMetric((processorTime(b)-before)*1e3/float64(tokens), "cpu-ms/token")
				b.ReportMetric(float64(tokens)/float64(b.N), "tokens/op")
			})
		}
	}
}

// processorTime returns the seconds of this process in user mode.
func processorTime(b *testing.B) float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return float64(r.Utime.Sec) + float64(r.Utime.Usec)/1e6
}
