package attnx_test

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// States gives the hidden states of each token, which all tokens of the mask see.
type States struct{ Vocab, Context, Width int }

func (States) Architecture() string { return "example/states" }

func (n States) Forward(b *nn.Builder) {
	normal := graph.Normal(0.5)
	ids := b.Tokens(n.Context)
	x := b.Embedding("tokens", ids, n.Vocab, n.Width, normal)
	x = b.Add(x, b.Embedding("positions", b.Positions(), n.Context, n.Width, normal))
	look := nn.Attention{Heads: 2, Width: n.Width / 2, Mask: b.Mask()}
	b.Hidden(b.LayerNorm("norm", b.Add(x, b.Attention("attention", look, x, x, x)), n.Width, 1e-5))
}

// encoderFile saves a network with a tokenizer of words.
func encoderFile(t *testing.T, c *model.Checkpoint, words string) (path string, tok *tokens.Tokenizer) {
	t.Helper()
	tok, err := tokens.Train(tokens.Word, words, 0)
	if err != nil {
		t.Fatal(err)
	}
	if c.Tokenizer, err = tok.MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "encoder.safetensors")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	return path, tok
}

// alone runs the network in the oracle for one text, without padding.
func alone(t *testing.T, c *model.Checkpoint, ids []int64, output string) []float64 {
	t.Helper()
	o, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	ones := make([]int64, len(ids))
	for i := range ones {
		ones[i] = 1
	}
	given := map[string]format.Tensor{}
	for _, in := range c.Graph.Inputs {
		x := map[string][]int64{"input_ids": ids, "attention_mask": ones, "token_type_ids": make([]int64, len(ids))}[in.Name]
		given[in.Name] = format.FromInt64s(in.Name, []int{1, len(ids)}, x)
	}
	out, err := o.Run(given)
	if err != nil {
		t.Fatal(err)
	}
	x, err := out[output].Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

var encoderTexts = []string{"a b c d e f", "b", "c a", "f e d c b a f e d", "a a a a"}

// Embeddings are the mean or the first of the hidden states that the oracle gives
// for each text alone, whether the network pools them or attnx does.
func TestEmbed(t *testing.T) {
	const longest = 6
	c, err := model.New(States{Vocab: 20, Context: 8, Width: 6}, 3)
	if err != nil {
		t.Fatal(err)
	}
	plain, tok := encoderFile(t, c, strings.Join(encoderTexts, " "))
	for _, p := range []attnx.Pooling{{Kind: "mean"}, {Kind: "first"}, {Kind: "last"}, {Kind: "mean", Normalized: true}, {Kind: "last", Normalized: true}} {
		p.Longest = longest
		with, err := model.WithPooling(c, p)
		if err != nil {
			t.Fatal(err)
		}
		own, _ := encoderFile(t, with, strings.Join(encoderTexts, " "))
		for path, asked := range map[string]attnx.Pooling{plain: p, own: {}} {
			e, err := attnx.OpenEncoder(path, attnx.Options{})
			if err != nil {
				t.Fatal(err)
			}
			limit := 8
			if path == own {
				limit = longest
			}
			got, err := e.Embed(t.Context(), encoderTexts, asked)
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range encoderTexts {
				ids := tok.Encode(text)
				ids = ids[:min(len(ids), limit)]
				states := alone(t, c, ids, "last_hidden_state")
				want := make([]float64, 6)
				for j, x := range states {
					if p.Kind == "mean" || p.Kind == "first" && j < 6 || p.Kind == "last" && j >= len(states)-6 {
						want[j%6] += x
					}
				}
				length := 0.0
				for j := range want {
					if p.Kind == "mean" {
						want[j] /= float64(len(ids))
					}
					length += want[j] * want[j]
				}
				if got[i].Tokens != len(ids) || len(got[i].Values) != 6 {
					t.Fatalf("%v: %q: %d tokens, %d numbers", p, text, got[i].Tokens, len(got[i].Values))
				}
				for j, x := range got[i].Values {
					if p.Normalized {
						want[j] /= math.Sqrt(length)
					}
					if !(math.Abs(float64(x)-want[j]) < 1e-5) {
						t.Errorf("%+v in %s: %q: %v, want %v", asked, filepath.Base(path), text, got[i].Values, want)
						break
					}
				}
			}
			e.Close()
		}
	}
}

// Scores of classes are those that the oracle's logits give.
func TestClassify(t *testing.T) {
	c, err := model.New(Encoder{Vocab: 20, Context: 12, Width: 8, Heads: 2, Classes: 3}, 5)
	if err != nil {
		t.Fatal(err)
	}
	path, tok := encoderFile(t, c, strings.Join(encoderTexts, " "))
	e, err := attnx.OpenEncoder(path, attnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	got, err := e.Classify(t.Context(), encoderTexts)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range encoderTexts {
		logits := alone(t, c, tok.Encode(text), "logits")
		sum, last := 0.0, math.Inf(1)
		for _, x := range logits {
			sum += math.Exp(x)
		}
		for _, class := range got[i] {
			k := int(class.Label[len("LABEL_")] - '0')
			if want := math.Exp(logits[k]) / sum; !(math.Abs(class.Score-want) < 1e-5) || class.Score > last {
				t.Errorf("%q: %+v, want %g for class %d, the likeliest first", text, got[i], want, k)
			}
			last = class.Score
		}
		if len(got[i]) != 3 {
			t.Errorf("%q: %d classes", text, len(got[i]))
		}
	}
	if _, err := e.Embed(t.Context(), encoderTexts, attnx.Pooling{}); err == nil || !strings.Contains(err.Error(), "gives no hidden states") {
		t.Errorf("embeddings of a classifier: %v", err)
	}
	if _, err := e.Classify(t.Context(), []string{""}); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty text: %v", err)
	}
}

// Decoders and masked language models have embeddings without their head, and
// decoders of classes score the last token of each text, whether they know the
// padding or not.
func TestHeads(t *testing.T) {
	sizes := arch.Sizes{Layers: 1, Heads: 2, Width: 8, Context: 12}
	text := strings.Join(encoderTexts, " ")
	for _, name := range []string{"gpt2", "bert"} {
		n, err := arch.New(name, sizes, 20)
		if err != nil {
			t.Fatal(err)
		}
		c, err := model.New(n, 5)
		if err != nil {
			t.Fatal(err)
		}
		path, tok := encoderFile(t, c, text)
		trunk, err := c.Trunk()
		if err != nil {
			t.Fatal(err)
		}
		e, err := attnx.OpenTrunk(path, attnx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Embed(t.Context(), encoderTexts, attnx.Pooling{Kind: "last"})
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range encoderTexts {
			states := alone(t, trunk, tok.Encode(text), "last_hidden_state")
			wantNumbers(t, name+": "+text, got[i].Values, states[len(states)-8:])
		}
		e.Close()
		if name == "bert" {
			continue
		}
		saved, _ := encoderFile(t, trunk, text) // generates with the token embedding as its head
		l, err := attnx.Open(saved, attnx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Checkpoint.Continues(); err != nil {
			t.Error(err)
		}
		l.Close()
		for what, pad := range map[string]arch.ID{"no padding": 0, "padding": arch.IDOf(7), "0": arch.IDOf(0)} {
			classes := arch.Classes{Names: arch.LabelsOf([]string{"no", "yes", "else"})}
			classifies, err := arch.With(n, arch.Use{Head: arch.SequenceClassification, Classes: classes, Pad: pad})
			if err != nil {
				t.Fatal(err)
			}
			c, err := model.New(classifies, 9)
			if err != nil {
				t.Fatal(err)
			}
			path, tok := encoderFile(t, c, text)
			e, err := attnx.OpenEncoder(path, attnx.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.Classify(t.Context(), encoderTexts)
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range encoderTexts {
				logits, sum := alone(t, c, tok.Encode(text), "logits"), 0.0
				for _, x := range logits {
					sum += math.Exp(x)
				}
				for _, class := range got[i] {
					want := math.Exp(logits[slices.Index([]string{"no", "yes", "else"}, class.Label)]) / sum
					if !(math.Abs(class.Score-want) < 1e-5) {
						t.Errorf("%s: %q: %+v, want %g", what, text, got[i], want)
					}
				}
			}
			e.Close()
			file := filepath.Join(t.TempDir(), "classes.onnx")
			if _, err := attnx.ExportCheckpoint(t.Context(), c, file, attnx.ExportOptions{}); err != nil {
				t.Fatal(err)
			}
			report, err := attnx.Verify(t.Context(), c, []string{file}, attnx.VerifyOptions{Runtimes: []string{"ref"}})
			if err != nil || len(report.Files) != 1 || report.Files[0].Layer != runtime.IdenticalLayer {
				t.Errorf("%s: %+v, %v", what, report, err)
			}
		}
	}
}

// A tokenizer's file may say how many ids a text has, and which end is cut off; the
// length of the model's own pooling precedes it.
func TestTruncation(t *testing.T) {
	for _, longest := range []int{0, 5} {
		c, err := model.New(States{Vocab: 20, Context: 8, Width: 6}, 3)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = model.WithPooling(c, attnx.Pooling{Kind: "mean", Longest: longest}); err != nil {
			t.Fatal(err)
		}
		path, tok := encoderFile(t, c, strings.Join(encoderTexts, " "))
		c.Tokenizer = []byte(strings.Replace(string(c.Tokenizer), `"truncation":null`, `"truncation":{"direction":"Left","max_length":3,"strategy":"LongestFirst","stride":0}`, 1))
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
		e, err := attnx.OpenEncoder(path, attnx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ids, err := e.Encode("the text", encoderTexts[0])
		want := tok.Encode(encoderTexts[0])
		if want = want[len(want)-max(longest, 3):]; err != nil || !slices.Equal(ids, want) {
			t.Errorf("%v, %v, want %v", ids, err, want)
		}
		e.Close()
	}
}

func wantNumbers(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i, x := range got {
		if !(math.Abs(float64(x)-want[i]) < 1e-5) {
			t.Errorf("%s: %v, want %v", what, got, want)
			return
		}
	}
}

// A file that got embeddings on request is the checkpoint's model.
func TestExportPooling(t *testing.T) {
	c, err := model.New(States{Vocab: 20, Context: 8, Width: 6}, 3)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pooled.onnx")
	if _, err := attnx.ExportCheckpoint(t.Context(), c, file, attnx.ExportOptions{Pooling: attnx.Pooling{Kind: "mean", Normalized: true}}); err != nil {
		t.Fatal(err)
	}
	report, err := attnx.Verify(t.Context(), c, []string{file}, attnx.VerifyOptions{Runtimes: []string{"ref"}})
	if err != nil || len(report.Files) != 1 || report.Files[0].Layer != runtime.IdenticalLayer {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := attnx.ExportCheckpoint(t.Context(), c, file+".2.onnx", attnx.ExportOptions{Pooling: attnx.Pooling{Normalized: true}}); err == nil {
		t.Error("a normalization without a pooling is accepted")
	}
}
