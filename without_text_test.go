package attnx_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ref"
)

// withoutText are networks that continue no text, each with a batch of four and
// what it should answer.
var withoutText = map[string]struct {
	network nn.Network
	batch   map[string]format.Tensor
	tokens  int
	reason  string // why it continues no text,
	past    string // and why it has none
}{
	"mlp": {MLP{In: 3, Hidden: 6, Out: 2}, map[string]format.Tensor{
		"features": format.FromFloat32s("features", []int{4, 3}, []float32{1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1}),
		"labels":   format.FromFloat32s("labels", []int{4, 2}, []float32{1, -1, 0.5, 0, -0.5, 1, 1, 0}),
	}, 1, "no token input", "is not an input"},
	"encoder": {Encoder{Vocab: 9, Context: 6, Width: 8, Heads: 2, Classes: 3}, map[string]format.Tensor{
		"input_ids":      ids("input_ids", []int{4, 3}, 1, 2, 3, 4, 5, 0, 6, 0, 0, 8, 7, 6),
		"attention_mask": ids("attention_mask", []int{4, 3}, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 1, 1),
		"labels":         ids("labels", []int{4}, 0, 2, 1, 2),
	}, 3, "for whole texts", "mixes tokens"},
}

// A network on numbers and one that classifies are differentiated, trained,
// saved, read without their definition, exported and run like any other.
func TestNetworksWithoutText(t *testing.T) {
	o := onnxRuntime(t)
	for name, n := range withoutText {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c, err := model.New(n.network, 1)
			check(err)
			step, err := model.Step(c.Graph, 4, n.tokens)
			check(err)
			first, last := descend(t, step, c.Weights, n.batch, o)
			if !(last < first/4) {
				t.Errorf("the loss is %g after training, was %g", last, first)
			}
			if c.Context() > 0 {
				tok, err := tokens.Train(tokens.Word, "a b c d e f g h", 0)
				check(err)
				c.Tokenizer, err = tok.MarshalJSON()
				check(err)
			}
			path := filepath.Join(dir, "model.safetensors")
			check(c.Save(path))
			read, err := model.Load(path)
			check(err)
			if read.Arch != n.network.Architecture() || read.Weights.Hash() != c.Weights.Hash() {
				t.Errorf("read back: %s with other weights", read.Arch)
			}

			oracle, err := ref.New(read.Graph, read.Weights)
			check(err)
			file, err := export.Bytes(read.Graph, read.Weights, export.Plain{})
			check(err)
			cases, err := runtime.CasesOf(oracle.Inputs(), read.Context(), runtime.DefaultBudget, 1)
			check(err)
			report, err := runtime.Verify(t.Context(), oracle, []runtime.Candidate{
				{Name: "ort-cpu", Open: func() (runtime.Session, error) { return ort.OpenBytes(file, o) }},
			}, cases)
			check(err)
			if report.Verdict != runtime.Pass {
				t.Errorf("%s: %+v", report.Reason, report.Results)
			}
			refusesAPast(t, dir, read, n.reason, n.past)
			writesAFolder(t, dir, read)
			writesMatrices(t, dir, read)
		})
	}
}

// descend takes 200 steps down the gradient, computed by ONNX Runtime, and
// returns the first and the last loss. The first gradients are compared with the
// oracle's.
func descend(t *testing.T, step *graph.Graph, weights model.Weights, batch map[string]format.Tensor, o ort.Options) (first, last float64) {
	t.Helper()
	data, err := export.Bytes(step, nil, export.Train{})
	check(err)
	session, err := ort.OpenBytes(data, o)
	check(err)
	defer session.Close()
	oracle, err := ref.New(step, weights)
	check(err)
	want, err := oracle.Run(batch)
	check(err)
	in := map[string]format.Tensor{}
	for name, x := range batch {
		in[name] = x
	}
	for i := range 200 {
		for _, w := range weights {
			in[w.Name] = w
		}
		got, err := session.Run(in)
		check(err)
		loss, err := got["loss"].Float32s()
		check(err)
		if last = float64(loss[0]); i == 0 {
			first = last
		}
		for j, w := range weights {
			name := role.GradientOf(w.Name).Name()
			if i == 0 {
				if d := runtime.CompareWithin(1e-4, want[name].WithName(name), got[name].WithName(name)); !d.Within {
					t.Errorf("%s: %s %v", name, d.Reason, d.FirstBad)
				}
			}
			x, err := w.Float32s()
			check(err)
			d, err := got[name].Float32s()
			check(err)
			for k := range x {
				x[k] -= 0.3 * d[k]
			}
			weights[j] = format.FromFloat32s(w.Name, w.Shape, x)
		}
	}
	return first, last
}

// refusesAPast shows that what has no causal attention gets no cache and no
// text, with the reason, and that nothing is left behind.
func refusesAPast(t *testing.T, dir string, c *model.Checkpoint, reason, past string) {
	t.Helper()
	if _, err := model.Cached(c.Graph, false); !errors.As(err, new(*graph.CacheError)) {
		t.Errorf("a cache: %v", err)
	}
	attnxRun(t, dir, 0, "inspect model.safetensors", c.Arch)
	attnxRun(t, dir, 0, "export model.safetensors -o plain.onnx", "wrote plain.onnx: profile plain")
	attnxRun(t, dir, 0, "inspect plain.onnx", c.Graph.Inputs[0].Name)
	for _, name := range []string{"model.safetensors", "plain.onnx"} {
		attnxRun(t, dir, 2, "generate "+name+" --prompt a", name+": the network \""+c.Arch+"\" cannot continue a text: it", reason)
	}
	attnxRun(t, dir, 2, "export model.safetensors -o c.onnx --profile cache", "no cache of keys and values", past, "export it to a file with --profile plain")
	attnxRun(t, dir, 2, "export model.safetensors -o folder/ --fuse ort", "no cache of keys and values", past, "export it to a file with --profile plain")
	attnxRun(t, dir, 2, "export model.safetensors --triton repository", "no cache of keys and values", past, "export it to a file with --profile plain")
	attnxRun(t, dir, 2, "convert model.safetensors -o folder", "cannot write a folder of the architecture \""+c.Arch+"\"")
	shows := 2 // nothing, without tokens
	if c.Context() > 0 {
		shows = 0
	}
	attnxRun(t, dir, shows, "attention model.safetensors --text a")
	left, err := os.ReadDir(dir)
	check(err)
	if len(left) != 2 {
		t.Errorf("left behind are %v", left)
	}
	attnxRun(t, dir, 0, "verify model.safetensors plain.onnx --runtimes ort-cpu", "pass against")
}

// writesAFolder shows that the folder of what continues no text has the profile
// plain and nothing for generation, that it is verified, and that a changed file
// in it is found.
func writesAFolder(t *testing.T, dir string, c *model.Checkpoint) {
	t.Helper()
	attnxRun(t, dir, 0, "export model.safetensors -o folder/", "wrote folder/: profile plain", "continues no text")
	attnxRun(t, dir, 0, "export model.safetensors -o half/ --profile plain --dtype float16", "wrote half/: profile plain")
	attnxRun(t, dir, 0, "export model.safetensors -o int8/ --quantize int8", "wrote int8/: profile plain")
	want := []string{"config.json", "model.onnx", "model.safetensors"}
	if len(c.Tokenizer) > 0 {
		want = append(want, "tokenizer.json", "tokenizer_config.json")
	}
	files, err := filepath.Glob(filepath.Join(dir, "folder", "*"))
	check(err)
	for i, file := range files {
		files[i] = filepath.Base(file)
	}
	if !slices.Equal(files, want) {
		t.Errorf("the folder has %v", files)
	}
	attnxRun(t, dir, 0, "inspect folder", "plain")
	attnxRun(t, dir, 0, "verify model.safetensors folder --runtimes ort-cpu", "folder/config.json", "folder/model.safetensors", "pass against")
	attnxRun(t, dir, 0, "verify model.safetensors half --runtimes ort-cpu", "half/config.json", "half/model.safetensors", "pass against")
	attnxRun(t, dir, 0, "verify model.safetensors int8 --runtimes ort-cpu", "int8/model.onnx", "pass against")
	config := filepath.Join(dir, "folder", "config.json")
	text, err := os.ReadFile(config)
	check(err)
	check(os.WriteFile(config, bytes.Replace(text, []byte(c.Arch), []byte("example/other"), 1), 0o666))
	attnxRun(t, dir, 1, "verify model.safetensors folder --runtimes ort-cpu", "config.json")
	check(os.Remove(config))
	attnxRun(t, dir, 1, "verify model.safetensors folder --runtimes ort-cpu", "is missing, export writes it")
}

// writesMatrices shows that onnx-go runs the profile flat of what continues no
// text, with as many tokens or rows as one asks for.
func writesMatrices(t *testing.T, dir string, c *model.Checkpoint) {
	t.Helper()
	attnxRun(t, dir, 0, "export model.safetensors -o flat.onnx --profile flat", "wrote flat.onnx: profile flat")
	attnxRun(t, dir, 0, "export model.safetensors -o four.onnx --profile flat --length 4", "wrote four.onnx: profile flat")
	for _, name := range []string{"flat.onnx", "four.onnx"} {
		attnxRun(t, dir, 0, "verify model.safetensors "+name+" --runtimes onnx-go", name, "pass against")
	}
	if c.Context() > 0 { // (1,V) would be the scores of the token
		attnxRun(t, dir, 2, "export model.safetensors -o one.onnx --profile flat --length 1", "cannot have a sequence of one token")
	}
}
