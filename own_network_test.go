package attnx_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
)

// command is the command line, which knows nothing of the networks in these
// tests.
var command = sync.OnceValues(func() (string, error) {
	path := filepath.Join(folder(), "attnx")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, "./cmd/attnx").CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// attnxCommand returns a command of attnx that runs in dir.
func attnxCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := command()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	return cmd
}

// attnx runs a command in dir, which must end with the code and say each of the
// texts.
func attnxRun(t *testing.T, dir string, code int, line string, says ...string) string {
	t.Helper()
	out, err := attnxCommand(t, dir, strings.Fields(line)...).CombinedOutput()
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Errorf("attnx %s: exit code %d, expected %d\n%s", line, got, code, out)
	}
	unbroken := strings.Join(strings.Fields(string(out)), " ")
	for _, text := range says {
		if !strings.Contains(string(out), text) && !strings.Contains(unbroken, text) {
			t.Errorf("attnx %s: it does not say %q\n%s", line, text, out)
		}
	}
	return string(out)
}

// onnxRuntime says where the library is, to the commands too.
func onnxRuntime(t *testing.T) ort.Options {
	t.Helper()
	lib, err := library.FindOrInstall(t.Context(), "", nil)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	t.Setenv(library.EnvLibrary, lib.Path)
	return ort.Options{Library: lib.Path}
}

func smallLlama(vocab int) nn.Network {
	return Llama{Vocab: vocab, Context: 16, Width: 32, Inner: 64, Layers: 2, Heads: 4, Groups: 2}
}

// startRun puts a run of one step, of the network for a vocabulary, and its text
// into dir.
func startRun(t *testing.T, dir string, of func(vocab int) nn.Network) {
	t.Helper()
	notes := filepath.Join(dir, "notes.txt")
	check(os.WriteFile(notes, []byte(fixtures.Notes()), 0o666))
	text, err := train.ReadText(t.Context(), []string{notes}, train.Reading{Glob: "*", Limit: 1 << 20})
	check(err)
	tok, err := tokens.Train(tokens.Word, text.Text, 0)
	check(err)
	data, err := train.FromText(text.Text, tok, 16)
	check(err)
	c, err := train.Start(of(tok.VocabSize()), tok, 1)
	check(err)
	o := train.DefaultOptions(1)
	batch := 12
	if fixtures.Exhaustive() {
		batch = 48
	}
	o.Batch, o.SaveEvery, o.Keep, o.DataSHA256 = batch, 3, 3, text.SHA256
	c, err = gorgonia.Fit(t.Context(), c, data, o, nil)
	check(err)
	run, err := model.OpenRun(filepath.Join(dir, "run"), o.Keep)
	check(err)
	check(run.Save(c))
	check(run.Close())
}

// A run of a network that attnx does not ship, begun by a program of its user's,
// is continued by the command line with both engines. One that is killed and
// resumed ends with the bytes of one that is left alone.
func TestOwnNetworkResumes(t *testing.T) {
	engines := []string{"gorgonia"}
	if lib, err := library.FindOrInstall(t.Context(), "", nil); err == nil {
		t.Setenv(library.EnvLibrary, lib.Path)
		engines = append(engines, "ort")
	}
	if !fixtures.Exhaustive() {
		engines = engines[len(engines)-1:]
	}
	start := t.TempDir()
	startRun(t, start, smallLlama)
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			resume := "train --resume run --data notes.txt --steps 16 --engine " + engine
			whole, killed := t.TempDir(), t.TempDir()
			check(os.CopyFS(whole, os.DirFS(start)))
			attnxRun(t, whole, 0, resume, "example/llama: 20,704 parameters", "step 16 of 16")
			check(os.CopyFS(killed, os.DirFS(start)))
			killAfterASave(t, killed, engine)
			attnxRun(t, killed, 0, resume, "step 16 of 16")
			want, err := os.ReadFile(filepath.Join(whole, "run", "step-00000016.safetensors"))
			check(err)
			got, err := os.ReadFile(filepath.Join(killed, "run", "step-00000016.safetensors"))
			check(err)
			if !bytes.Equal(got, want) {
				t.Error("the run that was killed ends with other bytes")
			}
			first, err := model.Load(filepath.Join(start, "run", "step-00000001.safetensors"))
			check(err)
			last, err := model.Load(filepath.Join(whole, "run", "step-00000016.safetensors"))
			check(err)
			if !(*last.Loss < *first.Loss-1) {
				t.Errorf("the loss is %g after 16 steps, was %g", *last.Loss, *first.Loss)
			}
		})
	}
}

// resumeAndKill resumes the run of a folder and kills itself after a step that
// the run has saved. It is what the program of the tests does where the
// environment asks for it.
func resumeAndKill(run, engine string) {
	_, err := attnx.Resume(context.Background(), run, attnx.ResumeOptions{
		Data: attnx.Corpus{Files: []string{filepath.Join(filepath.Dir(run), "notes.txt")}, Glob: "*"}, Steps: 16, Engine: engine,
		Events: attnx.TrainEvents{Step: func(m attnx.Metric) {
			later, err := filepath.Glob(filepath.Join(run, "step-*[2-9].safetensors"))
			check(err)
			if len(later) > 0 {
				self, err := os.FindProcess(os.Getpid())
				check(err)
				check(self.Kill())
				select {}
			}
		}},
	})
	check(err)
}

// The variables that ask for it.
const (
	envResume = "ATTNX_TEST_RESUME"
	envEngine = "ATTNX_TEST_ENGINE"
)

// killAfterASave has a run of dir resumed and killed after a save.
func killAfterASave(t *testing.T, dir, engine string) {
	t.Helper()
	self, err := os.Executable()
	check(err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envResume+"="+filepath.Join(dir, "run"), envEngine+"="+engine)
	out, err := cmd.CombinedOutput()
	if saved, _ := filepath.Glob(filepath.Join(dir, "run", "step-*[2-9].safetensors")); err == nil || len(saved) == 0 {
		t.Fatalf("it should be killed after a save: %v, saved %q: %s", err, saved, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "run", "step-00000016.safetensors")); err == nil {
		t.Fatal("the run ended before it was killed")
	}
}

// The command line exports, verifies, runs and examines a checkpoint of a
// network that it does not know, in every profile.
func TestOwnNetworkOnTheCommandLine(t *testing.T) {
	onnxRuntime(t)
	dir := t.TempDir()
	startRun(t, dir, smallLlama)
	attnxRun(t, dir, 0, "train --resume run --data notes.txt --steps 16 --engine gorgonia")
	attnxRun(t, dir, 0, "inspect run", "example/llama", "layers.1.self_attn.k_proj.weight")
	want := attnxRun(t, dir, 0, "generate run --prompt like --max-tokens 5 -q")

	for name, form := range map[string]struct {
		flags, runtimes string
		same            bool // it continues a text as the checkpoint does
	}{
		"plain": {"", "ref,gorgonia,ort-cpu", true},
		"cache": {"--profile cache", "ort-cpu-cache", true},
		"fused": {"--profile cache --fuse ort", "ort-cpu-cache", true},
		"flat":  {"--profile flat", "onnx-go", true},
		"half":  {"--profile cache --fuse ort --dtype float16", "ort-cpu-cache", true},
		"int8":  {"--profile cache --quantize int8", "ort-cpu", false},
		"int4":  {"--profile cache --quantize int4", "ort-cpu", false},
	} {
		if !fixtures.Exhaustive() && (name == "cache" || name == "fused" || name == "int8") {
			continue // half is fused and has a cache, and int4 has integers
		}
		file := name + ".onnx"
		attnxRun(t, dir, 0, "export run -o "+file+" "+form.flags, "wrote "+file)
		attnxRun(t, dir, 0, "inspect "+file, "lm_head.weight")
		attnxRun(t, dir, 0, "verify run "+file+" --budget 64 --runtimes "+form.runtimes, "pass against ref-float64")
		if got := attnxRun(t, dir, 0, "generate "+file+" --prompt like --max-tokens 5 -q"); got != want && form.same {
			t.Errorf("%s continues with %q, the checkpoint with %q", file, got, want)
		}
	}
	attnxRun(t, dir, 0, "export run -o step.onnx --profile train", "wrote step.onnx: profile train")
	attnxRun(t, dir, 0, "export run -o adamw.onnx --profile train --optimizer adamw", "wrote adamw.onnx: profile train")

	attnxRun(t, dir, 0, "export run -o model/", "tokenizer.json", `transformers and optimum have no architecture "example/llama"`)
	attnxRun(t, dir, 0, "verify run model --runtimes ort-cpu-cache --budget 64", "model/config.json", "model/tokenizer.json", "pass against ref-float64")
	if got := attnxRun(t, dir, 0, "generate model --prompt like --max-tokens 5 -q"); got != want {
		t.Errorf("the folder continues with %q, the checkpoint with %q", got, want)
	}
	config, err := os.ReadFile(filepath.Join(dir, "model", "config.json"))
	check(err)
	for _, text := range []string{`"model_type": "example/llama"`, `"num_key_value_heads": 2`, `"eos_token_id": null`, `"torch_dtype": "float32"`} {
		if !strings.Contains(string(config), text) {
			t.Errorf("config.json has no %s\n%s", text, config)
		}
	}
	attnxRun(t, dir, 2, "export run -o web/ --web", `no architecture "example/llama"`)
	attnxRun(t, dir, 2, "convert run -o transformers", "example/llama", "export it to ONNX instead")
	if _, err := os.Lstat(filepath.Join(dir, "transformers")); err == nil {
		t.Error("convert left a folder behind")
	}
	attnxRun(t, dir, 0, "convert plain.onnx -o again.safetensors", "example/llama, 20,704 parameters")
	if got := attnxRun(t, dir, 0, "generate again.safetensors --prompt like --max-tokens 5 -q"); got != want {
		t.Errorf("the checkpoint of plain.onnx continues with %q, the first with %q", got, want)
	}
	attnxRun(t, dir, 0, "average run -o mean.safetensors", "the mean of")
	attnxRun(t, dir, 0, "verify mean.safetensors --runtimes ort-cpu", "pass against ref-float64")
	attnxRun(t, dir, 1, "diff mean.safetensors run", "lm_head.weight")
	attnxRun(t, dir, 0, "attention run --text like", "layer 1, head 3")
	attnxRun(t, dir, 0, "checkpoints run", "16")
}

// Both engines compute its gradients, to within what float32 allows.
func TestOwnNetworkEngines(t *testing.T) {
	o := onnxRuntime(t)
	c, err := model.New(Llama{Vocab: 11, Context: 8, Width: 16, Inner: 24, Layers: 2, Heads: 4, Groups: 2}, 1)
	check(err)
	loss, err := model.WithLoss(c.Graph)
	check(err)
	inGo, err := gorgonia.New(loss, gorgonia.Options{})
	check(err)
	defer inGo.Close()
	through, err := train.NewCompiled("ort", c.Graph, func(g *graph.Graph) (train.Program, error) {
		data, err := export.Bytes(g, nil, export.Train{})
		if err != nil {
			return nil, err
		}
		return ort.OpenBytes(data, o)
	})
	check(err)
	defer through.Close()
	batch := train.TextBatch(2, 4, []int64{0, 1, 2, 3, 4, 5, 6, 7}, []int64{1, 2, 3, 4, 5, 6, 7, 8})
	want, got := c.Weights.Clone(), c.Weights.Clone()
	a, err := inGo.Step(c.Weights, batch, want)
	check(err)
	b, err := through.Step(c.Weights, batch, got)
	check(err)
	if d := a - b; d > 1e-5 || d < -1e-5 {
		t.Errorf("the losses are %g and %g", a, b)
	}
	for i, w := range want {
		x, err := w.Float32s()
		check(err)
		y, err := got[i].Float32s()
		check(err)
		for j := range x {
			if d := x[j] - y[j]; d > 1e-5 || d < -1e-5 {
				t.Fatalf("gradient %s[%d] is %g and %g", w.Name, j, x[j], y[j])
			}
		}
	}
}
