package huggingface_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
)

// prepared saves the parts of a folder and returns it.
func prepared(t *testing.T, c *model.Checkpoint, weights []format.Tensor, browser *huggingface.Web) (huggingface.Parts, string) {
	t.Helper()
	p, err := huggingface.Prepare(c, weights, browser)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := store.SaveFolder(folder, append(p.Texts, store.File{Name: huggingface.WeightsName, Write: p.Weights})); err != nil {
		t.Fatal(err)
	}
	return p, folder
}

// TestPrepare saves the parts of a folder, the weights in two types: Read takes
// them back, and each weight lies where Prepare said.
func TestPrepare(t *testing.T) {
	c := trained(t, "gpt2", tokens.BPE)
	weights := slices.Clone([]format.Tensor(c.Weights))
	for i := range weights {
		if i%3 > 0 { // the first one stays wide
			var err error
			if weights[i], _, err = weights[i].Convert(format.Float16); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, folder := prepared(t, c, weights, nil)
	wantNames(t, folder, "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
	file := content(t, folder, huggingface.WeightsName)
	for _, w := range weights {
		at, ok := p.Offsets[w.Name]
		if !ok || !bytes.HasPrefix(file[at:], w.Data) || at%int64(w.DType.Size()) != 0 {
			t.Errorf("%s %s is not at byte %d", w.Name, w.DType, at)
		}
	}
	back, _ := mustRead(t, folder)
	for i, w := range weights {
		wide, _, err := w.Convert(format.Float32)
		if err != nil {
			t.Fatal(err)
		}
		if back.Weights[i].Name != w.Name || !bytes.Equal(back.Weights[i].Data, wide.Data) {
			t.Errorf("%s comes back as another", w.Name)
		}
	}
	wantMember(t, content(t, folder, "config.json"), "torch_dtype", `"float16"`)
	wantMember(t, content(t, folder, "config.json"), "transformers.js_config", "")
	end := c.Vocab() - 1
	if !slices.Equal(p.Special.End, []int64{int64(end)}) {
		t.Errorf("a text ends at %v, want %d", p.Special.End, end)
	}
	wantJSON(t, content(t, folder, "generation_config.json"), fmt.Sprintf(`{"bos_token_id":%d,"eos_token_id":%[1]d,"pad_token_id":%[1]d,"do_sample":false}`, end))

	_, folder = prepared(t, c, c.Weights, &huggingface.Web{DType: "fp32", External: map[string]int{"model.onnx": 1}})
	if text := compact(t, content(t, folder, "config.json")); !strings.Contains(text, `"transformers.js_config":{"dtype":"fp32","use_external_data_format":{"model.onnx":1}}`) {
		t.Errorf("config.json leads transformers.js nowhere: %s", text)
	}
	wantMember(t, content(t, folder, "config.json"), "torch_dtype", `"float32"`)

	c = trained(t, "simple", tokens.Char)
	p, folder = prepared(t, c, c.Weights, nil)
	if p.Special.End != nil {
		t.Errorf("a text of characters ends at %d", p.Special.End)
	}
	wantJSON(t, content(t, folder, "generation_config.json"), `{"bos_token_id":null,"eos_token_id":null,"pad_token_id":null,"do_sample":false}`)
	if back, _ := mustRead(t, folder); !bytes.Equal(back.Config, c.Config) {
		t.Errorf("the configuration comes back as %s", back.Config)
	}
}

// TestPrepareRefuses checks that weights are refused that transformers cannot
// read.
func TestPrepareRefuses(t *testing.T) {
	c := trained(t, "gpt2", tokens.BPE)
	weights := slices.Clone([]format.Tensor(c.Weights))
	weights[1] = format.FromUint8s(weights[1].Name, []int{1}, []byte{1})
	if _, err := huggingface.Prepare(c, weights, nil); err == nil {
		t.Error("bytes are taken for weights")
	}
	c.Tokenizer = make([]byte, 65<<20)
	if _, err := huggingface.Prepare(c, c.Weights, nil); err == nil {
		t.Error("a tokenizer is written that would not be read back")
	}
}
