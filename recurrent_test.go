package attnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
)

// A recurrent network is trained, resumed to the same bytes, written as ONNX's own
// operator, proved and run, whole and with its states as inputs and outputs.
func TestRecurrentNetworks(t *testing.T) {
	onnxRuntime(t)
	for arch, operator := range map[string]string{"gru": "GRU", "lstm": "LSTM"} {
		t.Run(arch, func(t *testing.T) {
			dir := t.TempDir()
			check(os.WriteFile(filepath.Join(dir, "notes.txt"), []byte(fixtures.Notes()), 0o644))
			engines := map[string][]string{"gru": {"gorgonia"}, "lstm": {"ort"}}[arch]
			if fixtures.Exhaustive() {
				engines = []string{"gorgonia", "ort"}
			}
			for _, engine := range engines {
				begin := "train --data notes.txt --arch " + arch + " --context 8 --batch 2 --save-every 3 --engine " + engine
				attnxRun(t, dir, 0, begin+" --steps 6 --eval-every 3 --out "+engine)
				check(os.MkdirAll(filepath.Join(dir, engine+"2"), 0o755))
				for _, name := range []string{"step-00000003.safetensors", "source.json"} {
					data, err := os.ReadFile(filepath.Join(dir, engine, name))
					check(err)
					check(os.WriteFile(filepath.Join(dir, engine+"2", name), data, 0o644))
				}
				attnxRun(t, dir, 0, "train --resume "+engine+"2 --data notes.txt", "step 6 of 6")
				want, err := os.ReadFile(filepath.Join(dir, engine, "step-00000006.safetensors"))
				check(err)
				got, err := os.ReadFile(filepath.Join(dir, engine+"2", "step-00000006.safetensors"))
				check(err)
				if !bytes.Equal(got, want) {
					t.Errorf("%s: a resumed run ends with other bytes", engine)
				}
			}
			run := engines[0]
			attnxRun(t, dir, 0, "export "+run+" --profile plain -o m.onnx")
			attnxRun(t, dir, 0, "export "+run+" -o c.onnx --profile cache")
			attnxRun(t, dir, 0, "verify "+run+" c.onnx --runtimes ort-cpu-cache --budget 64", "identical by structure, for every input", "pass against ref-float64")
			attnxRun(t, dir, 0, "inspect c.onnx", "past_states.0.hidden", "present_states.1.hidden")
			// Beyond the context of its training a state goes on; the file without one computes
			// the whole text again for each token, and says the same as long as it can.
			long := attnxRun(t, dir, 0, "generate c.onnx --prompt lik --max-tokens 40 --quiet")
			short := attnxRun(t, dir, 0, "generate m.onnx --prompt lik --max-tokens 5 --quiet")
			if !strings.HasPrefix(long, strings.TrimRight(short, "\n")) {
				t.Errorf("the state says %q, the whole text %q", long, short)
			}
			attnxRun(t, dir, 2, "export "+run+" -o half.onnx --dtype float16", operator+" in float32 only")
			if !fixtures.Exhaustive() {
				return
			}
			attnxRun(t, dir, 0, "inspect m.onnx", operator+" ")
			attnxRun(t, dir, 0, "verify "+run+" m.onnx --runtimes ort-cpu --budget 64", "identical by structure, for every input", "pass against ref-float64")
			attnxRun(t, dir, 0, "generate "+run+" --prompt like --max-tokens 3", "3 tokens")
			attnxRun(t, dir, 0, "verify "+run+" --runtimes ref,gorgonia,ort-cpu", "pass")
			attnxRun(t, dir, 0, "generate m.onnx --prompt like --max-tokens 3", "3 tokens")
			attnxRun(t, dir, 0, "convert "+run+" -o folder/", "only attnx opens this folder")
			attnxRun(t, dir, 0, "verify folder/ m.onnx --runtimes ort-cpu", "identical by structure")
		})
	}
}
