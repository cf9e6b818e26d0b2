package attnx

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
)

// What a translator looks at is what transformers reports as its attentions: of the
// encoder, of the decoder, and from the decoder to the source. An alignment is the mean of
// the last over layers and heads.
func TestExploreTranslator(t *testing.T) {
	dir := filepath.Join("fixtures", "translators")
	if other := os.Getenv("ATTNX_TRANSLATORS"); other != "" { // a folder of huggingface_seq2seq.py --make
		dir = other
	}
	made := readTranslators(t, dir)
	tok, err := tokens.Train(tokens.Word, "a b c", 0)
	if err != nil {
		t.Fatal(err)
	}
	source := made.Inputs["encoder_"+role.Tokens.Name()][0]
	read := made.Inputs[role.Tokens.Name()][0]
	target := append(slices.Clone(read[1:]), 1)
	for _, c := range made.Cases {
		m, _, err := huggingface.Read(filepath.Join(dir, c.Name))
		if err != nil {
			t.Fatal(err)
		}
		tr := oracleTranslator(t, m)
		tr.Tokenizer = tok
		got, next := map[string][][]float64{}, map[string]bool{}
		e, err := tr.Explore(source, target, 2, func(e *Exploration, m Matrix) error {
			l := e.Layers[m.Layer]
			part := map[[2]bool]string{{true, true}: "encoder", {false, false}: "decoder", {false, true}: "cross"}[[2]bool{l.OfSource, l.ToSource}]
			rows, columns := len(e.Tokens), len(e.Tokens)
			if l.OfSource {
				rows = len(e.Source)
			}
			if l.ToSource {
				columns = len(e.Source)
			}
			switch m.Symbol {
			case StepSoftmax:
				if m.Rows != rows || m.Columns != columns || len(e.Source) != len(source) || len(e.Tokens) != len(read) || l.Causal != (part == "decoder") {
					t.Errorf("%s: %s has %d × %d, layer %+v", c.Name, part, m.Rows, m.Columns, l)
				}
				if m.Head == 0 {
					got[part] = append(got[part], nil)
				}
				last := &got[part][len(got[part])-1]
				*last = append(*last, m.Values...)
			case StepKey, StepValue, StepSource:
				if m.Rows != columns {
					t.Errorf("%s: %s of %s has %d rows, expected %d", c.Name, m.Symbol, part, m.Rows, columns)
				}
			case StepScores:
			default:
				if m.Rows != rows {
					t.Errorf("%s: %s of %s has %d rows, expected %d", c.Name, m.Symbol, part, m.Rows, rows)
				}
			}
			next[part+" "+m.Symbol] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for part, layers := range c.Attentions {
			if len(got[part]) != len(layers) || len(layers) == 0 {
				t.Fatalf("%s: %d layers of %s, transformers has %d", c.Name, len(got[part]), part, len(layers))
			}
			for i := range layers {
				if d := furthest(got[part][i], layers[i]); d > 1e-5 { // T5's norms and softmax are float32 in transformers, whatever the model is
					t.Errorf("%s: layer %d of %s is off by %g", c.Name, i, part, d)
				}
			}
		}
		for part, steps := range map[string]string{"encoder": "X Q K V S A H′ H Z¹ Z²", "decoder": "X Q K V S A H′ H", "cross": "X E Q K V S A H′ H Z¹ Z²"} {
			for _, s := range strings.Fields(steps) {
				if !next[part+" "+s] {
					t.Errorf("%s: %s has no %s", c.Name, part, s)
				}
			}
		}
		if biased := strings.HasPrefix(c.Name, "t5"); e.Layers[0].Biased != biased || e.Layers[len(e.Layers)-1].Biased || !e.Next || len(e.Predicted) != len(read) {
			t.Errorf("%s: %+v, %d predicted", c.Name, e.Layers, len(e.Predicted))
		}
		a, err := tr.Align(source, target)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float64, len(read)*len(source)) // the mean over layers and heads
		heads := 0
		for _, layer := range c.Attentions["cross"] {
			heads += len(layer) / len(want)
		}
		for _, layer := range c.Attentions["cross"] {
			for i, w := range layer {
				want[i%len(want)] += w / float64(heads)
			}
		}
		if d := furthest(slices.Concat(a.Weights...), want); d > 1e-5 {
			t.Errorf("%s: the alignment is off by %g", c.Name, d)
		}
		for _, l := range a.Links {
			row := want[l[1]*len(source) : (l[1]+1)*len(source)]
			if row[l[0]] < slices.Max(row)-1e-5 && !tr.silent(source[slices.Index(row, slices.Max(row))]) {
				t.Errorf("%s: token %d is aligned with %d of %v", c.Name, l[1], l[0], row)
			}
		}
		if len(a.Links) != len(read)-1 { // all but the end
			t.Errorf("%s: links %v", c.Name, a.Links)
		}
	}
	tr := &Translator{Path: "empty"}
	if _, err := tr.Explore(nil, target, 1, nil); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Error(fmt.Sprint(err))
	}
}

// furthest returns the largest difference of two lists; infinite if one is longer.
func furthest(a, b []float64) (most float64) {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		most = max(most, math.Abs(a[i]-b[i]))
	}
	return most
}
