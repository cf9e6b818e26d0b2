package attnx_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/model"
)

// Equal weights of a network of PyTorch are one initializer and other names of it in the
// file. They are trained as one weight, so that the file that is written computes what
// was trained: the loss that it begins with is that of the step after the last.
func TestTrainAliases(t *testing.T) {
	dir := torchFiles(t)
	at := filepath.Join(dir, "aliases")
	file := filepath.Join(at, "model.onnx")
	aliases := 0
	for _, n := range must(onnx.DecodeFile(file)).Graph.Nodes {
		if n.Op == "Identity" {
			aliases++
		}
	}
	if aliases < 2 {
		t.Fatalf("the file has %d aliases", aliases)
	}
	run := func(file string, epochs int) *attnx.TrainResult {
		return must(tuned(t, dir, func(o *attnx.TrainOptions) {
			o.Init, o.Loss, o.Data.Files = file, model.CrossEntropy, []string{filepath.Join(at, "data.npz")}
			o.Settings.Steps, o.Settings.Epochs, o.Settings.Batch, o.Settings.Warmup, o.Settings.MinLR = 0, epochs, 6, 0, o.Settings.LR
		}))
	}
	last := func(r *attnx.TrainResult) float64 { return r.History[len(r.History)-1].Loss }
	for epochs := 1; epochs < 3; epochs++ {
		to := filepath.Join(t.TempDir(), "tuned.onnx")
		must(attnx.Convert(run(file, epochs).Run, to, attnx.ConvertOptions{Like: file}))
		want, got := last(run(file, epochs+1)), last(run(to, 1))
		if !(math.Abs(want-got) <= 1e-6) {
			t.Errorf("the loss of the file after %d steps is %g, of the run %g", epochs, got, want)
		}
	}
	for _, w := range must(read.Model(must(onnx.DecodeFile(file)), read.Options{Training: true})).Weights {
		if strings.Contains(w.Name, "4.") {
			t.Errorf("%s is a weight of its own", w.Name)
		}
	}
}

// A running moment that is another name of a weight cannot be updated: it is named
// before the first step.
func TestTrainSharedMoments(t *testing.T) {
	m := must(onnx.DecodeFile(filepath.Join(torchFiles(t), "statistics", "model.onnx")))
	dir := t.TempDir()
	for i, n := range m.Graph.Nodes {
		if n.Op == "BatchNormalization" {
			alias := &onnx.Node{Op: "Identity", Inputs: []string{n.Inputs[2]}, Outputs: []string{"another"}}
			m.Graph.Nodes[i].Inputs[3] = "another"
			m.Graph.Nodes = append([]*onnx.Node{alias}, m.Graph.Nodes...)
			break
		}
	}
	file := filepath.Join(dir, "model.onnx")
	var data bytes.Buffer
	check(m.Encode(&data))
	check(os.WriteFile(file, data.Bytes(), 0o644))
	_, err := tuned(t, torchFiles(t), func(o *attnx.TrainOptions) {
		o.Init, o.Loss, o.Settings.BatchStatistics = file, model.CrossEntropy, true
		o.Data.Files = []string{filepath.Join(torchFiles(t), "statistics", "data.npz")}
	})
	if e := (*attnx.Error)(nil); !errors.As(err, &e) || e.Option != "BatchStatistics" || !strings.Contains(err.Error(), `"another" is the same tensor as "0.bias"`) {
		t.Error(err)
	}
}
