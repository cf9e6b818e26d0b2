package attnx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/pairs"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// smallTranslator is the small T5 with a tokenizer of words, in which w5 is special.
func smallTranslator(t *testing.T) *model.Checkpoint {
	t.Helper()
	c, _, err := huggingface.Read(filepath.Join("fixtures", "translators", "t5, small"))
	okay(t, err)
	var text strings.Builder
	for i := range 59 {
		text.WriteString(strings.Repeat("w"+string(rune('A'+i))+" ", 59-i))
	}
	tok, err := tokens.Train(tokens.Word, text.String(), 0)
	okay(t, err)
	c.Tokenizer, err = tok.MarshalJSON()
	okay(t, err)
	c.Tokenizer = []byte(strings.Replace(string(c.Tokenizer), `"added_tokens":[`, `"added_tokens":[{"id":5,"content":"`+tok.Token(5)+`","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},`, 1))
	c.Tokenizer = []byte(strings.Replace(string(c.Tokenizer), "},]", "}]", 1))
	return c
}

// What a translator cannot do is refused by the option that was given, with what to do instead.
func TestTranslatorRefusals(t *testing.T) {
	c := smallTranslator(t)
	dir := t.TempDir()
	for name, x := range map[string]struct {
		to   string
		o    ExportOptions
		want []string
	}{
		"a training step without a length": {"t.onnx", ExportOptions{Profile: export.Train{}}, []string{"reads texts of any length", export.SetLength}},
		"a file with a cache":              {"c.onnx", ExportOptions{Profile: export.Cache{}}, []string{"Profile cache", NameAFolder}},
		"a fused folder":                   {"f/", ExportOptions{Profile: export.Cache{Fuse: true}}, []string{"Fuse: ", "leave it out"}},
		"the last logits":                  {"l/", ExportOptions{Profile: export.Cache{LastLogits: true}}, []string{"LastLogits: ", "leave it out"}},
		"Triton":                           {"", ExportOptions{Profile: export.Cache{}, Triton: filepath.Join(dir, "repository")}, []string{"Triton serves one model"}},
	} {
		to := x.to
		if to != "" {
			to = filepath.Join(dir, filepath.Base(x.to))
			if strings.HasSuffix(x.to, "/") {
				to += string(filepath.Separator)
			}
		}
		_, err := ExportCheckpoint(t.Context(), c, to, x.o)
		for _, want := range x.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, expected %q", name, err, want)
			}
		}
	}
	if err := c.Continues(); err == nil || strings.Contains(err.Error(), "model:") || !strings.Contains(err.Error(), model.TranslateText) {
		t.Error(err)
	}
	for want, o := range map[string]train.Options{"Smoothing is 1.5: take 0 to below 1": {Smoothing: 1.5}, `Best is "rouge": take bleu or chrf`: {Best: "rouge"}} {
		if err := checkTranslating(o); err == nil || err.Error() != want {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	if got := (pairs.Counts{Pairs: 1, Files: 1}).String(); got != "1 pair of 1 file" {
		t.Error(got)
	}
}

// The folder for transformers.js says where optimum does not run it: where an encoder has other
// heads than the decoder.
func TestMergedHeadsAreSaid(t *testing.T) {
	for heads, says := range map[string]bool{"4": true, "2": false} {
		n, err := arch.Parse("marian", []byte(`{"vocab_size":20,"decoder_vocab_size":20,"max_position_embeddings":16,"d_model":8,"encoder_layers":1,"decoder_layers":1,"encoder_ffn_dim":8,"decoder_ffn_dim":8,`+
			`"encoder_attention_heads":`+heads+`,"decoder_attention_heads":2,"activation_function":"relu","scale_embedding":false,"share_encoder_decoder_embeddings":true,"tie_word_embeddings":true}`))
		okay(t, err)
		c, err := model.New(n, 1)
		okay(t, err)
		zero := int64(0)
		c.Special = &model.Special{End: []int64{1}, Pad: &zero, Start: &zero}
		r, err := ExportCheckpoint(t.Context(), c, filepath.Join(t.TempDir(), "web")+"/", ExportOptions{Web: true})
		okay(t, err)
		var text strings.Builder
		r.WriteText(&text)
		if got := strings.Contains(text.String(), "optimum runs no merged decoder"); got != says {
			t.Errorf("%s heads of the encoder, 2 of the decoder: said: %t\n%s", heads, got, &text)
		}
	}
}

// Special tokens have no text in a translation, too many tokens are refused, and so is a text
// that is not UTF-8; a folder without its decoder names the file.
func TestTranslatorTexts(t *testing.T) {
	c := smallTranslator(t)
	path := filepath.Join(t.TempDir(), "t5.safetensors")
	okay(t, c.Save(path))
	tr, err := OpenTranslator(path, Options{})
	okay(t, err)
	defer tr.Close()
	plain, err := tr.Decode([]int64{7, 8})
	okay(t, err)
	if got, err := tr.Decode([]int64{7, 5, 8}); err != nil || got != plain {
		t.Errorf("%q, %v, expected %q without the special token", got, err, plain)
	}
	if _, err := tr.Encode("notes.txt: line 3", "caf\xe9"); err == nil || err.Error() != "notes.txt: line 3 is not UTF-8 at byte 4: convert it, with iconv -t UTF-8 for example" {
		t.Error(err)
	}
	n, err := arch.Parse("marian", []byte(`{"vocab_size":61,"decoder_vocab_size":61,"max_position_embeddings":16,"d_model":8,"encoder_layers":1,"decoder_layers":1,"encoder_ffn_dim":8,"decoder_ffn_dim":8,`+
		`"encoder_attention_heads":2,"decoder_attention_heads":2,"activation_function":"relu","scale_embedding":false,"share_encoder_decoder_embeddings":true,"tie_word_embeddings":true}`))
	okay(t, err)
	m, err := model.New(n, 1)
	okay(t, err)
	m.Special, m.Tokenizer = c.Special, c.Tokenizer
	okay(t, m.Save(path))
	short, err := OpenTranslator(path, Options{})
	okay(t, err)
	defer short.Close()
	if _, err := short.TranslateIDs(t.Context(), [][]int64{{7, 1}}, Translation{MaxTokens: 100}); err == nil || !strings.Contains(err.Error(), "MaxTokens is 100, the model writes at most 16") {
		t.Error(err)
	}
	short.Default.MaxTokens = 100 // of the model's file: cut, as before
	if _, err := short.TranslateIDs(t.Context(), [][]int64{{7, 1}}, Translation{}); err != nil {
		t.Error(err)
	}

	folder := filepath.Join(t.TempDir(), "pair") + "/"
	_, err = ExportCheckpoint(t.Context(), c, folder, ExportOptions{})
	okay(t, err)
	okay(t, os.Remove(filepath.Join(folder, nextFile)))
	if _, err := OpenTranslator(folder, Options{}); err == nil || !strings.Contains(err.Error(), nextFile+" is missing") || !strings.Contains(err.Error(), ExportAgain) {
		t.Error(err)
	}
	if _, err := verifyPair(t.Context(), c, folder, VerifyOptions{Budget: 10, Runtimes: []string{"ort-cpu"}}); err == nil || !strings.Contains(err.Error(), nextFile+" is missing") {
		t.Error(err)
	}
}
