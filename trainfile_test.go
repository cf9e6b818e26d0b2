package attnx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train"
)

// torchFiles returns a folder with the exports of PyTorch that are in the tree.
func torchFiles(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "torch")
	check(os.CopyFS(dir, must(fs.Sub(fixtures.FS, "train_onnx"))))
	return dir
}

// arrays reads a .npz file.
func arrays(path string) map[string]format.Tensor {
	all := map[string]format.Tensor{}
	for _, a := range must(npy.ReadArchive(path, func(string) format.DType { return format.Invalid })) {
		all[a.Name] = a
	}
	return all
}

// gradientsOfFile compares the gradients of an ONNX file's weights with PyTorch's,
// in both engines.
func gradientsOfFile(t *testing.T, dir string) {
	t.Helper()
	var want struct {
		Kind                string
		Loss                float64
		Covered, Parameters int
		Statistics          bool `json:"batch_statistics"`
	}
	check(json.Unmarshal(must(os.ReadFile(filepath.Join(dir, "loss.json"))), &want))
	r := must(read.Model(must(onnx.DecodeFile(filepath.Join(dir, "model.onnx"))), read.Options{Training: true}))
	loss := must(must(model.LossFor(r.Graph, want.Kind, "")).Attach(r.Graph))
	data := arrays(filepath.Join(dir, "data.npz"))
	batch := train.Batch{}
	for i, in := range loss.Inputs {
		name := in.Name
		if in.Role().Kind == role.Labels {
			name = role.Labels.Name()
		}
		batch[train.KindOf(loss, i)] = data[name]
	}
	gradients := arrays(filepath.Join(dir, "gradients.npz"))
	c := &model.Checkpoint{Arch: "file", Graph: loss, Weights: model.Weights(r.Weights).Clone()}
	for _, engine := range []string{"gorgonia", "ort"} {
		e, _, err := attnx.OpenEngine(engine, c, attnx.EngineOptions{Loss: train.Options{BatchStatistics: want.Statistics}.Passes()})
		if engine == "ort" && err != nil {
			t.Logf("without ONNX Runtime: %v", err)
			continue
		}
		check(err)
		var grads []format.Tensor
		for _, w := range c.Weights {
			if _, ok := gradients[w.Name]; ok {
				grads = append(grads, format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements())))
			}
		}
		if len(grads) != len(gradients) {
			t.Errorf("%s: %d of %d initializers are weights of the graph", dir, len(grads), len(gradients))
		}
		got, err := e.Step(c.Weights, batch, grads)
		if err != nil {
			if engine == "gorgonia" {
				t.Logf("%s: %s: %v", filepath.Base(dir), engine, err)
				check(e.Close())
				continue
			}
			t.Errorf("%s: %s: %v", filepath.Base(dir), engine, err)
			continue
		}
		if d := math.Abs(got - want.Loss); !(d <= 1e-5*max(1, want.Loss)) {
			t.Errorf("%s, %s: the loss is %g, PyTorch's %g", filepath.Base(dir), engine, got, want.Loss)
		}
		worst := 0.0
		for _, g := range grads {
			x, y := must(g.Float32s()), must(gradients[g.Name].Float32s())
			off, size := 0.0, 0.0
			for i := range y {
				off, size = max(off, math.Abs(float64(x[i]-y[i]))), max(size, math.Abs(float64(y[i])))
			}
			if size < 1e-7 { // the keys' biases of attention
				size = 1e-3
			}
			worst = max(worst, off/size)
			if !(off <= 1e-4*size) {
				t.Errorf("%s, %s: the gradient of %s is %g from PyTorch's, of size %g", filepath.Base(dir), engine, g.Name, off, size)
			}
		}
		t.Logf("%s, %s: gradients of %d of %d parameters, at most %.2g of their size from PyTorch's", filepath.Base(dir), engine, want.Covered, want.Parameters, worst)
		check(e.Close())
	}
}

// The gradients of an ONNX file that PyTorch wrote are PyTorch's.
func TestTrainFileAsPyTorch(t *testing.T) {
	dir := torchFiles(t)
	for _, name := range []string{"mlp", "lstm", "statistics", "aliases", "singles", "singles_dynamo"} {
		gradientsOfFile(t, filepath.Join(dir, name))
	}
}

// tuned trains a file of the fixtures with data in a form.
func tuned(t *testing.T, dir string, change func(*attnx.TrainOptions)) (*attnx.TrainResult, error) {
	t.Helper()
	settings := train.DefaultOptions(20)
	settings.Batch, settings.LR, settings.MinLR, settings.SaveEvery = 4, 1e-2, 1e-3, 100
	o := attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "run"), Init: filepath.Join(dir, "mlp", "model.onnx"), Loss: model.SquaredError,
		Data: attnx.Corpus{Files: []string{filepath.Join(dir, "mlp", "data.npz")}}, Settings: settings, Engine: "gorgonia",
	}
	change(&o)
	return attnx.Train(t.Context(), o)
}

// A file is trained from tables of each form, resumes to the same bits, and is
// written back with other numbers in its initializers only.
func TestTrainFile(t *testing.T) {
	dir := torchFiles(t)
	file := filepath.Join(dir, "mlp", "model.onnx")
	whole := must(tuned(t, dir, func(*attnx.TrainOptions) {}))
	if h := whole.History; !(h[len(h)-1].Loss < 0.8*h[0].Loss) {
		t.Errorf("the loss went from %g to %g", h[0].Loss, h[len(h)-1].Loss)
	}
	ctx, stop := context.WithCancel(t.Context())
	halted := ""
	_, err := tuned(t, dir, func(o *attnx.TrainOptions) {
		halted = o.Out
		o.Events.Step = func(m attnx.Metric) {
			if m.Step == 7 {
				stop()
			}
		}
		_, err := attnx.Train(ctx, *o)
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		o.Out += "2"
	})
	check(err)
	resumed := must(attnx.Resume(t.Context(), halted, attnx.ResumeOptions{}))
	if !bytes.Equal(must(os.ReadFile(whole.Checkpoint)), must(os.ReadFile(resumed.Checkpoint))) {
		t.Error("the resumed run ended with other bytes")
	}

	to := filepath.Join(t.TempDir(), "tuned.onnx")
	must(attnx.Convert(whole.Run, to, attnx.ConvertOptions{Like: file}))
	before, after := must(os.ReadFile(file)), must(os.ReadFile(to))
	old, now := must(onnx.Decode(before)), must(onnx.Decode(after))
	changed := 0
	for i, x := range now.Graph.Initializers {
		at := bytes.Index(before, old.Graph.Initializers[i].Raw)
		if at >= 0 && len(x.Raw) > 0 { // the elements lie at the same place
			if !bytes.Equal(before[at:at+len(x.Raw)], x.Raw) {
				changed++
			}
			copy(before[at:], x.Raw)
		}
	}
	if changed == 0 || !bytes.Equal(before, after) {
		t.Errorf("%d initializers changed, all else equal: %t", changed, bytes.Equal(before, after))
	}
	x := arrays(filepath.Join(dir, "mlp", "data.npz"))
	loss := func(path string) float64 {
		o := must(attnx.OpenONNX(path, attnx.Options{Runtime: attnx.Oracle}))
		defer o.Close()
		y := must(must(o.Run(map[string]format.Tensor{"x": x["x"]}))[0].AsFloat64s())
		sum := 0.0
		for i, want := range must(x["labels"].AsFloat64s()) {
			sum += (y[i] - want) * (y[i] - want) / float64(len(y))
		}
		return sum
	}
	if a, b := loss(file), loss(to); !(b < 0.8*a) {
		t.Errorf("the loss of the file was %g, of the trained one it is %g", a, b)
	}

	// The same numbers as CSV and as JSON Lines are the same examples.
	csv, lines := "a,b,c,d,e,f,g,y\n", ""
	in, labels := must(x["x"].Float32s()), must(x["labels"].Float32s())
	for i, y := range labels {
		var row []string
		for _, v := range in[i*7 : (i+1)*7] {
			row = append(row, fmt.Sprint(v))
		}
		csv += strings.Join(row, ",") + fmt.Sprintf(",%v\n", y)
		lines += fmt.Sprintf("{\"x\": [%s], \"label\": %v}\n", strings.Join(row, ", "), y)
	}
	for name, text := range map[string]string{"data.csv": csv, "data.jsonl": lines} {
		path := filepath.Join(t.TempDir(), name)
		check(os.WriteFile(path, []byte(text), 0o666))
		same := must(tuned(t, dir, func(o *attnx.TrainOptions) { o.Data.Files = []string{path} }))
		if same.Model.Weights.Hash() != whole.Model.Weights.Hash() {
			t.Errorf("%s: trained to other weights", name)
		}
	}
}

func TestTrainFileRefuses(t *testing.T) {
	dir := torchFiles(t)
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		check(os.WriteFile(path, []byte(text), 0o666))
		return path
	}
	lstm := func(rows string) func(*attnx.TrainOptions) {
		return func(o *attnx.TrainOptions) {
			o.Init, o.Loss = filepath.Join(dir, "lstm", "model.onnx"), model.CrossEntropy
			o.Data.Files = []string{write("d.jsonl", rows)}
		}
	}
	six := func(word, label string) string {
		return fmt.Sprintf("{\"words\":[1,1,1,1,1,%s],\"labels\":[0,0,0,0,0,%s]}\n", word, label)
	}
	data := func(name, text string) func(*attnx.TrainOptions) {
		return func(o *attnx.TrainOptions) { o.Data.Files = []string{write(name, text)} }
	}
	for want, change := range map[string]func(*attnx.TrainOptions){
		"row 2: label 4 is none of the network's classes 0 to 3":             lstm(six("1", "3") + six("1", "4")),
		"line 2: the JSON is cut short":                                      lstm("{\"words\":[1,2],\"labels\":[0,3]}\n{\"words\":[1,2],\"lab"),
		"line 2: its members are words, but the first line has":              lstm("{\"words\":[1,2],\"labels\":[0,3]}\n{\"words\":[1,2]}\n"),
		"line 2: \"words\": its numbers have shape [3], and had [2]":         lstm("{\"words\":[1,2],\"labels\":[0,3]}\n{\"words\":[1,2,3],\"labels\":[0,3]}\n"),
		"expected an integer":                                                lstm(six("2.5", "0")),
		"line 3: it has 2 values, the first line names 3 columns":            data("d.csv", "a,b,y\n1,2,3\n1,2\n"),
		"the columns have 2 numbers":                                         data("d.csv", "a,b,y\n1,2,3\n"),
		"no column is called labels, label, target or y":                     data("d.csv", "a,b,z\n1,2,3\n"),
		"there are no rows":                                                  data("d.csv", "a,b,y\n"),
		"row 2: \"x\" has a NaN, from which nothing is learned":              data("d.csv", "a,b,c,d,e,f,g,y\n1,2,3,4,5,6,7,1\n1,2,nan,4,5,6,7,1\n"),
		"row 1: \"y\" has a +Inf":                                            data("d.csv", "a,b,c,d,e,f,g,y\n1,2,3,4,5,6,7,inf\n"),
		"not read from compressed files: unpack it first":                    data("d.csv.gz", "a,b,y\n1,2,3\n"),
		"Smoothing spreads the labels of cross-entropy, and the loss is mse": func(o *attnx.TrainOptions) { o.Settings.Smoothing = 0.1 },
		"Pack joins texts, and the data are tables":                          func(o *attnx.TrainOptions) { o.Settings.Pack = true },
		"it is no .npz archive":                                              data("d.npz", "PK"),
		"of texts, the loss mse takes numbers":                               data("d.csv", "a,b,c,d,e,f,g,y\n1,2,3,4,5,6,7,x\n"),
		"every weight that the loss depends on is frozen":                    func(o *attnx.TrainOptions) { o.Settings.Freeze = []string{"*"} },
		"no loss is called \"best\"":                                         func(o *attnx.TrainOptions) { o.Loss = "best" },
		"the network has no output \"y\"":                                    func(o *attnx.TrainOptions) { o.Output = "y" },
		"take binary-cross-entropy":                                          func(o *attnx.TrainOptions) { o.Loss = model.CrossEntropy },
		"or name a Loss":                                                     func(o *attnx.TrainOptions) { o.Loss = "" },
		"Labels names a column, but the data have no columns": func(o *attnx.TrainOptions) {
			o.Labels, o.Data = "y", attnx.Corpus{Text: "abc"}
		},
	} {
		out := ""
		_, err := tuned(t, dir, func(o *attnx.TrainOptions) {
			change(o)
			out = o.Out
		})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("want %q: %v", want, err)
		}
		if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the run's folder was written", want)
		}
	}
}

// The gradients of further networks, and files that Python opens after training.
func TestTrainFileInPython(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("ATTNX_PYTHON names no Python with the packages of fixtures/oracle/requirements-ci.txt")
	}
	script, dir := filepath.Join("fixtures", "oracle", "train_onnx.py"), t.TempDir()
	out, err := exec.Command(python, script, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	names := must(os.ReadDir(dir))
	for _, e := range names {
		gradientsOfFile(t, filepath.Join(dir, e.Name()))
		var about struct{ Kind string }
		check(json.Unmarshal(must(os.ReadFile(filepath.Join(dir, e.Name(), "loss.json"))), &about))
		file := filepath.Join(dir, e.Name(), "model.onnx")
		settings := train.DefaultOptions(10)
		settings.Batch = 4
		r := must(attnx.Train(t.Context(), attnx.TrainOptions{
			Out: filepath.Join(t.TempDir(), "run"), Init: file, Loss: about.Kind, Engine: "ort",
			Data: attnx.Corpus{Files: []string{filepath.Join(dir, e.Name(), "data.npz")}}, Settings: settings,
		}))
		to := filepath.Join(t.TempDir(), "tuned.onnx")
		must(attnx.Convert(r.Run, to, attnx.ConvertOptions{Like: file}))
		out, err := exec.Command(python, script, "--compare", file, to).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", e.Name(), err, out)
		}
		t.Logf("%s: %s", e.Name(), out)
	}
	if !slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name() == "bert" }) {
		t.Error("there is no BERT")
	}
}

// A step in training form moves the running moments a tenth of the way to those of
// the batch, as PyTorch does, and they are written back. Without a BatchNormalization
// it is refused.
func TestTrainBatchStatistics(t *testing.T) {
	dir := torchFiles(t)
	at := filepath.Join(dir, "statistics")
	run := must(tuned(t, dir, func(o *attnx.TrainOptions) {
		o.Init, o.Loss, o.Data.Files = filepath.Join(at, "model.onnx"), model.CrossEntropy, []string{filepath.Join(at, "data.npz")}
		o.Settings.Steps, o.Settings.Epochs, o.Settings.Batch, o.Settings.BatchStatistics = 0, 1, 5, true
	}))
	to := filepath.Join(t.TempDir(), "new.onnx")
	must(attnx.Convert(run.Run, to, attnx.ConvertOptions{Like: filepath.Join(at, "model.onnx")}))
	off := arrays(filepath.Join(at, "gradients.npz"))
	before, after := must(read.Model(must(onnx.DecodeFile(filepath.Join(at, "model.onnx"))), read.Options{})), must(read.Model(must(onnx.DecodeFile(to)), read.Options{}))
	found := 0
	for i, was := range before.Weights {
		if !strings.Contains(was.Name, "running") {
			continue
		}
		found++
		x, y, d := must(was.Float32s()), must(after.Weights[i].Float32s()), must(off[was.Name].Float32s())
		for j, v := range x {
			if want := v - 0.1*d[j]; math.Abs(float64(want-y[j])) > 1e-6 {
				t.Errorf("%s[%d] is %g, PyTorch has %g", was.Name, j, y[j], want)
			}
		}
	}
	if found != 2 || run.Steps != 1 {
		t.Errorf("%d moments, %d steps", found, run.Steps)
	}
	if _, err := tuned(t, dir, func(o *attnx.TrainOptions) { o.Settings.BatchStatistics = true }); err == nil || !strings.Contains(err.Error(), "the network has no BatchNormalization") {
		t.Error(err)
	}
}
