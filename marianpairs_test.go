package attnx_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// A Marian folder learns from targets as its target.spm cuts them: with source.spm all
// pairs would be too long for the context.
func TestTrainMarianTargets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "marian")
	check(os.CopyFS(dir, os.DirFS(filepath.Join("model", "huggingface", "testdata", "sentencepiece", "marian"))))
	check(os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type":"marian","vocab_size":200,"d_model":8,"encoder_attention_heads":2,"decoder_attention_heads":2,"encoder_layers":1,
		"decoder_layers":1,"encoder_ffn_dim":8,"decoder_ffn_dim":8,"max_position_embeddings":64,"eos_token_id":0,"pad_token_id":105,"decoder_start_token_id":105}`), 0o644))
	about, _, err := huggingface.ReadAbout(dir)
	check(err)
	n, err := about.Network()
	check(err)
	c, err := model.New(n, 1)
	check(err)
	c.Tokenizer, c.Special = about.Tokenizer, about.Special
	init := filepath.Join(t.TempDir(), "marian.safetensors")
	check(c.Save(init))
	tok, err := tokens.Parse(c.Tokenizer)
	check(err)
	const source, target = "the old house.", "ein kleine Mädchen schreibt wieder!"
	length := func(tok *tokens.Tokenizer, text string) int { return len(tok.AddSpecial(tok.Encode(text))) }
	context := max(length(tok, source), length(tok.Target(), target))
	if length(tok, target) <= context {
		t.Fatalf("source.spm cuts the target into %d tokens, not more than %d", length(tok, target), context)
	}
	data := filepath.Join(t.TempDir(), "pairs.tsv")
	check(os.WriteFile(data, []byte(strings.Repeat(source+"\t"+target+"\n", 40)), 0o644))
	o := train.DefaultOptions(1)
	o.Batch, o.EvalBatches = 2, 1
	r, err := attnx.Train(t.Context(), attnx.TrainOptions{
		Out: filepath.Join(t.TempDir(), "run"), Init: init, Pairs: attnx.PairCorpus{Files: []string{data}}, Context: context, Settings: o, Engine: "gorgonia",
	})
	check(err)
	if string(r.Model.Tokenizer) != string(c.Tokenizer) {
		t.Error("the run has another tokenizer")
	}
}
