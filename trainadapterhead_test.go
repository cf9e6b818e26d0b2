package attnx_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
)

// An adapter that includes a head of its own computes in PEFT what it computes here. It
// is read back with the whole weight that PEFT saves beside it, also where the base has
// another one, and refused if that has another shape.
func TestAdapterHeadInPEFT(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON_PEFT")
	if python == "" {
		python = os.Getenv("ATTNX_PYTHON")
	}
	if python == "" {
		t.Skip("neither ATTNX_PYTHON_PEFT nor ATTNX_PYTHON names a Python with peft")
	}
	for name, config := range map[string]string{
		"llama":    `{"vocab_size":61,"hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":2,"head_dim":8,"hidden_act":"silu","rms_norm_eps":1e-5,"rope_parameters":{"rope_type":"default","rope_theta":10000},"intermediate_size":24,"max_position_embeddings":16,"tie_word_embeddings":false}`,
		"gpt_neox": `{"vocab_size":61,"hidden_size":16,"num_hidden_layers":1,"num_attention_heads":2,"hidden_act":"gelu","layer_norm_eps":1e-5,"attention_bias":true,"use_parallel_residual":true,"rope_parameters":{"rope_type":"default","rope_theta":10000,"partial_rotary_factor":0.25},"intermediate_size":24,"max_position_embeddings":16,"tie_word_embeddings":false}`,
	} {
		dir := t.TempDir()
		file, base, adapter := filepath.Join(dir, "base.safetensors"), filepath.Join(dir, "base"), filepath.Join(dir, "adapter")
		check(must(model.New(must(arch.Parse(name, []byte(config))), 1)).Save(file))
		must(attnx.Convert(file, base, attnx.ConvertOptions{}))
		run := must(withLoRA(t, func(o *attnx.TrainOptions) { o.Init, o.LoRATargets = base, []string{"*"} })).Run
		must(attnx.Convert(run, adapter, attnx.ConvertOptions{Adapter: true}))
		record := filepath.Join(dir, "logits.json")
		cmd := exec.Command(python, filepath.Join("fixtures", "oracle", "check_adapter.py"), base, adapter, record)
		if out, err := cmd.CombinedOutput(); err != nil {
			if cmd.ProcessState.ExitCode() == 3 {
				t.Skipf("%s", out)
			}
			t.Fatalf("%v\n%s", err, out)
		}
		var got struct {
			IDs           [][]int64
			Logits, Plain [][][]float64

			Targets, Linear []string
		}
		check(json.Unmarshal(must(os.ReadFile(record)), &got))
		flat := func(x [][][]float64) []float64 { return slices.Concat(slices.Concat(x...)...) }
		ours := oracleLogits(must(attnx.Load(run, nil)), slices.Concat(got.IDs...), []int{len(got.IDs), len(got.IDs[0])})
		if apart, plain := furthest(ours, flat(got.Logits)), furthest(ours, flat(got.Plain)); !(apart <= 1e-4) || plain < 1e-2 {
			t.Errorf("%s: logits from PEFT's: %g; without the adapter %g", name, apart, plain)
		}
		more := slices.DeleteFunc(got.Targets, func(name string) bool { return slices.Contains(got.Linear, name) })
		if len(more) != 1 || !strings.HasSuffix(more[0], "head") && more[0] != "embed_out" {
			t.Errorf("%s: the pattern * changes %q beside PEFT's all-linear, expected the head", name, more)
		}
		weights := filepath.Join(adapter, "adapter_model.safetensors")
		c := must(attnx.Load(run, nil))
		for i, p := range c.Graph.Params {
			if p.Name != "lm_head.weight" && p.Name != "embed_out.weight" {
				continue
			}
			for _, rows := range []int{61, 62} {
				r := must(format.NewMemoryReader(must(os.ReadFile(weights))))
				var tensors []format.Tensor
				for _, t := range r.Tensors() {
					tensors = append(tensors, must(r.Tensor(t.Name)))
				}
				const name = "base_model.model.lm_head.base_layer.weight"
				tensors = slices.DeleteFunc(tensors, func(t format.Tensor) bool { return t.Name == name })
				head := format.FromFloat32s(name, []int{rows, 16}, slices.Repeat([]float32{0.5}, rows*16))
				h := format.Header{}
				tensors = append(tensors, head)
				for _, t := range tensors {
					h.Tensors = append(h.Tensors, t.Info())
				}
				var data bytes.Buffer
				w := format.NewWriter(&data, h)
				for _, t := range tensors {
					w.Add(t)
				}
				check(w.Close())
				check(os.WriteFile(weights, data.Bytes(), 0o600))
				to := filepath.Join(t.TempDir(), "x.safetensors")
				_, err := attnx.Convert(adapter, to, attnx.ConvertOptions{})
				if rows == 62 {
					if err == nil || !strings.Contains(err.Error(), "and the base has [61 16]") {
						t.Errorf("%s, 62 rows: %v", name, err)
					}
				} else if check(err); !bytes.Equal(must(model.Load(to)).Weights[i].Data, head.Data) {
					t.Errorf("%s: the base's head is in the place of the adapter's", name)
				}
			}
		}
	}
}
