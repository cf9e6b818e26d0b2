package attnx

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/onnxgo"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
	"github.com/attnx/attnx/runtime/ref"
)

// TestCertifyLines certifies the classes of lines.
func TestCertifyLines(t *testing.T) {
	tok, err := tokens.Train(tokens.Char, "abcdefg hijklmnop qrstuv", 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.New(sorter{tok.VocabSize()}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if c.Tokenizer, err = tok.MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	x, err := Certify(t.Context(), path, nil, "-", strings.NewReader("abc\n\nhij qrs\ntuv"), nil, VerifyOptions{Runtimes: []string{"ort-cpu"}})
	if err != nil || x.Tokens != 3 || x.Derived != 3 || x.Any != 3 || x.Wrong != 0 || x.Each[2].Words[0][:6] != "class " || x.Each[1].Worst.Rivals != 4 {
		t.Errorf("%+v, %v", x, err)
	}
	var b strings.Builder
	if err := x.WriteText(&b); err != nil || !strings.Contains(b.String(), "3 classes of lines") {
		t.Errorf("%v:\n%s", err, &b)
	}
}

// TestCertificatesInRuntimes has every runtime that is there, ONNX Runtime at three levels
// with one to three threads, choose the tokens that are certain.
func TestCertificatesInRuntimes(t *testing.T) {
	lib, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(library.EnvLibrary, lib)
	c := faultModel(t, "gpt2")
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	k := runtime.NewCase(1, 24, c.Vocab(), 7)
	certs, err := oracle.Certificates(k.Inputs(), runtime.Numbers{DType: format.Float32}, "logits", nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVerification(c, nil, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sessions, names := v.plainSessions()
	flat, err := ExportBytes(c, export.Flat{Length: k.Length})
	if err != nil {
		t.Fatal(err)
	}
	s, err := onnxgo.Runtime.Open(runtime.File{Data: flat}, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sessions, names = append(sessions, s), append(names, "onnx-go")
	plain, err := ExportBytes(c, export.Plain{})
	if err != nil {
		t.Fatal(err)
	}
	for _, level := range []ort.Optimization{ort.OptimizeAll, ort.OptimizeBasic, ort.OptimizeNone} {
		for threads := 1; threads <= 3; threads++ {
			s, err := ort.OpenBytes(plain, ort.Options{Library: lib, Threads: threads, Optimization: level})
			if err != nil {
				t.Fatal(err)
			}
			sessions, names = append(sessions, s), append(names, fmt.Sprint("ort ", level, ", threads ", threads))
		}
	}
	preferred, err := preferences(sessions, k, "logits", len(certs))
	if err != nil {
		t.Fatal(err)
	}
	firm := 0
	for row, x := range certs {
		if !x.Any {
			continue
		}
		firm++
		for i, p := range preferred {
			if p[row] != x.Best {
				t.Errorf("%s prefers %d: %+v", names[i], p[row], x)
			}
		}
	}
	for _, s := range sessions {
		s.Close()
	}
	if firm < 20 || len(sessions) < 11 {
		t.Errorf("%d of %d rows are certain, in %d runtimes", firm, len(certs), len(sessions))
	}
}

// sorter gives a text one of five classes.
type sorter struct{ vocab int }

func (sorter) Architecture() string { return "test/sorter" }
func (s sorter) Forward(b *nn.Builder) {
	x := b.Embedding("embed", b.Tokens(12), s.vocab, 16, graph.Normal(0.3))
	b.Logits(b.Project("head", b.Tanh(b.ReduceMean(x, false, 1)), 16, 5, graph.Normal(0.3)))
}

// TestCertify certifies a text: every runtime chooses the certain tokens, and a row
// of equal logits is not certain. In bfloat16 fewer tokens are certain.
func TestCertify(t *testing.T) {
	tok, err := tokens.Train(tokens.Char, "abcdefg hijklmnop qrstuv", 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := model.New(arch.GPT2{Vocab: tok.VocabSize(), Context: 16, Layers: 2, Heads: 2, Width: 16, Inner: 32, Epsilon: 1e-5}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c.Tokenizer, err = tok.MarshalJSON(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, text := filepath.Join(dir, "model.safetensors"), filepath.Join(dir, "text.txt")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte(strings.Repeat("abc hij qrs tuv", 5)), 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := Certify(t.Context(), path, nil, text, nil, nil, VerifyOptions{Runtimes: []string{"gorgonia", "ort-cpu"}})
	if err != nil {
		t.Fatal(err)
	}
	if x.Tokens != 75 || len(x.Each) != 75 || x.Wrong != 0 || x.Certain < 70 || !slices.Contains(x.Runtimes, "gorgonia") {
		t.Errorf("%+v", x)
	}
	if x.Derived != 75 || x.Any < 60 || x.Any > x.Ordered || x.Ordered > x.Certain {
		t.Errorf("of %d derived %d are certain in any order, %d in order, %d probably", x.Derived, x.Any, x.Ordered, x.Certain)
	}
	for _, e := range x.Each {
		if e.Certain != (e.Worst != nil) || e.Worst != nil && (!(e.Worst.Any >= e.Worst.Ordered && e.Worst.Ordered > 0) || len(e.Parts) != 5) {
			t.Errorf("token %d: %+v", e.Position, e)
		}
	}
	half, err := Certify(t.Context(), path, nil, text, nil, nil, VerifyOptions{Runtimes: []string{"gorgonia"}, Budget: 38})
	if err != nil || half.Derived != 38 || half.Each[1].Worst != nil || half.Each[2].Worst == nil {
		t.Errorf("%+v, %v", half, err)
	}
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	k := runtime.NewCase(2, 16, c.Vocab(), 1)
	certain := map[format.DType]int{}
	for _, d := range []format.DType{format.Float32, format.Float16, format.BFloat16} {
		margins, err := oracle.Margins(k.Inputs(), runtime.Numbers{DType: d}, "logits")
		if err != nil || len(margins) != 32 {
			t.Fatalf("%d margins, %v", len(margins), err)
		}
		for _, m := range margins {
			if m.Certain() {
				certain[d]++
			}
		}
	}
	if !(certain[format.Float32] > certain[format.Float16] && certain[format.Float16] > certain[format.BFloat16]) {
		t.Errorf("certain tokens by type: %v", certain)
	}
	for _, w := range c.Weights { // without weights all logits are equal
		clear(w.Data)
	}
	if oracle, err = ref.New(c.Graph, c.Weights); err != nil {
		t.Fatal(err)
	}
	margins, err := oracle.Margins(k.Inputs(), runtime.Numbers{}, "logits")
	if err != nil || slices.ContainsFunc(margins, runtime.Margin.Certain) {
		t.Errorf("equal logits are certain: %+v, %v", margins[0], err)
	}
}
