package attnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/fixtures"
)

// A recurrent network is trained, resumed to the same bytes, written as ONNX's own
// operator, proved and run, and refuses a cache of keys and values by name.
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
			attnxRun(t, dir, 0, "verify "+run+" m.onnx --runtimes ort-cpu --budget 64", "identical by structure, for every input", "pass against ref-float64")
			attnxRun(t, dir, 0, "generate "+run+" --prompt like --max-tokens 3", "3 tokens")
			attnxRun(t, dir, 2, "export "+run+" -o c.onnx --profile cache", "no cache of keys and values", "rnn.0", "export it to a file with --profile plain")
			if !fixtures.Exhaustive() {
				return
			}
			attnxRun(t, dir, 0, "inspect m.onnx", operator+" ")
			attnxRun(t, dir, 0, "verify "+run+" --runtimes ref,gorgonia,ort-cpu", "pass")
			attnxRun(t, dir, 0, "generate m.onnx --prompt like --max-tokens 3", "3 tokens")
			attnxRun(t, dir, 0, "convert "+run+" -o folder/", "only attnx opens this folder")
			attnxRun(t, dir, 0, "verify folder/ m.onnx --runtimes ort-cpu", "identical by structure")
		})
	}
}
