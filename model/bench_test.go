package model

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
)

// The checkpoint of GPT-2 in training: 124 M parameters and two moments each,
// 1.49 GB. Each benchmark has the yardstick beside it, to be run at the same
// time: go test -run '^$' -bench GPT2 -benchtime 3x ./model
func gpt2Training(b *testing.B) *Checkpoint {
	b.Helper()
	sizes, err := arch.Preset("gpt2")
	if err != nil {
		b.Fatal(err)
	}
	n, err := arch.New("gpt2", sizes, 50257)
	if err != nil {
		b.Fatal(err)
	}
	c, err := Of(n)
	if err != nil {
		b.Fatal(err)
	}
	c.Step, c.Train = 100, &TrainState{Options: []byte("{}"), Random: []byte("{}"), Data: []byte("{}")}
	random := rand.NewChaCha8([32]byte{1})
	for _, p := range c.Graph.Params {
		shape, _ := p.Shape.Numbers()
		n, _ := format.Elements(shape)
		for _, prefix := range []string{"", "optim.m.", "optim.v."} {
			t := format.FromFloat32s(prefix+p.Name, shape, make([]float32, n))
			random.Read(t.Data)
			if prefix == "" {
				c.Weights = append(c.Weights, t)
			} else {
				c.Train.Moments = append(c.Train.Moments, t)
			}
		}
	}
	return c
}

func gpt2File(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "gpt2.safetensors")
	if err := gpt2Training(b).Save(path); err != nil {
		b.Fatal(err)
	}
	return path
}

func throughput(b *testing.B, path string) {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
}

// BenchmarkSaveGPT2 saves, synced to disk, beside cp and sync of the same file:
// of-copy is the throughput of the one in terms of the other.
func BenchmarkSaveGPT2(b *testing.B) {
	c := gpt2Training(b)
	dir := b.TempDir()
	path := filepath.Join(dir, "c.safetensors")
	if err := c.Save(path); err != nil {
		b.Fatal(err)
	}
	b.Run("save", func(b *testing.B) { // in turn with the copy: the machine's moods hit both
		throughput(b, path)
		var copies, saves []time.Duration
		timed := func(to string, do func(to string) error) time.Duration {
			to = filepath.Join(dir, to)
			began := time.Now()
			if err := do(to); err != nil {
				b.Fatal(err)
			}
			took := time.Since(began)
			os.Remove(to)
			return took
		}
		for b.Loop() {
			b.StopTimer()
			copies = append(copies, timed("copy", func(to string) error {
				return exec.Command("sh", "-c", "cp "+path+" "+to+" && sync "+to).Run()
			}))
			b.StartTimer()
			saves = append(saves, timed("save", c.Save))
		}
		median := func(d []time.Duration) float64 {
			slices.Sort(d)
			return d[len(d)/2].Seconds()
		}
		b.ReportMetric(median(copies), "copy-median-s")
		b.ReportMetric(median(saves), "save-median-s")
		b.ReportMetric(median(copies)/median(saves), "of-copy")
	})
	b.Run("write", func(b *testing.B) { // to nowhere: what the checksums cost
		throughput(b, path)
		for b.Loop() {
			if err := c.Write(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("background", func(b *testing.B) { // what training waits for: a copy
		throughput(b, path)
		run, err := OpenRun(filepath.Join(dir, "run"), 1)
		if err != nil {
			b.Fatal(err)
		}
		defer run.Close()
		step := *c
		for b.Loop() {
			b.StopTimer()
			if err := run.Wait(); err != nil {
				b.Fatal(err)
			}
			step.Step++
			b.StartTimer()
			if err := run.Save(&step); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkLoadGPT2 loads everything, compared with its checksums; read is the
// file read into memory, verify the comparison with every SHA-256.
func BenchmarkLoadGPT2(b *testing.B) {
	path := gpt2File(b)
	b.Run("read", func(b *testing.B) {
		throughput(b, path)
		for b.Loop() {
			if _, err := os.ReadFile(path); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		throughput(b, path)
		for b.Loop() {
			if _, err := Load(path); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mapped", func(b *testing.B) {
		throughput(b, path)
		for b.Loop() {
			f, err := format.OpenMapped(path)
			if err != nil {
				b.Fatal(err)
			}
			for _, t := range f.Tensors() {
				if _, err := f.Tensor(t.Name); err != nil {
					b.Fatal(err)
				}
			}
			f.Close()
		}
	})
	b.Run("verify", func(b *testing.B) {
		throughput(b, path)
		for b.Loop() {
			f, err := format.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			if err := f.Verify(); err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	})
	b.Run("open", func(b *testing.B) { // what inspect does
		for b.Loop() {
			f, err := format.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	})
	b.Run("diff", func(b *testing.B) {
		x, err := format.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer x.Close()
		for b.Loop() {
			y, err := format.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := format.Diff(x.Reader, y.Reader, false); err != nil {
				b.Fatal(err)
			}
			y.Close()
		}
	})
	b.Run("torn", func(b *testing.B) { // not written to its end
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte{0}, 64), info.Size()-64); err != nil {
			b.Fatal(err)
		}
		f.Close()
		for b.Loop() {
			if _, err := format.Open(path); err == nil {
				b.Fatal("a torn file is opened")
			}
		}
	})
}
