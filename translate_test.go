package attnx

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/ref"
)

// translatorCases is what fixtures/oracle/huggingface_seq2seq.py writes.
type translatorCases struct {
	Inputs map[string][][]int64 `json:"inputs"`
	Cases  []struct {
		Name       string                 `json:"name"`
		Attentions map[string][][]float64 `json:"attentions"` // encoder, decoder, cross: (H,rows,columns) of each layer
		Generated  map[string]struct {
			Settings struct {
				Beams   int             `json:"num_beams"`
				Best    int             `json:"num_return_sequences"`
				Penalty *float64        `json:"length_penalty"`
				Early   json.RawMessage `json:"early_stopping"`
				Banned  [][]int64       `json:"bad_words_ids"`
				Again   bool            `json:"renormalize_logits"`
			} `json:"settings"`
			Sequences [][]int64 `json:"sequences"`
			Scores    []float64 `json:"scores"`
		} `json:"generated"`
	} `json:"cases"`
}

func readTranslators(t *testing.T, dir string) (made translatorCases) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "cases.json"))
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// oracleTranslator runs the parts of a model on the float64 oracle.
func oracleTranslator(t *testing.T, c *model.Checkpoint) *Translator {
	t.Helper()
	cut, err := c.Cut()
	if err != nil {
		t.Fatal(err)
	}
	tr := &Translator{Path: "oracle", Checkpoint: c, special: huggingface.SpecialOf(c)}
	for _, p := range []model.Part{cut.Encoder, cut.First, cut.Next} {
		o, err := ref.New(p.Graph, p.Weights)
		if err != nil {
			t.Fatal(err)
		}
		tr.sessions = append(tr.sessions, rounded{o})
	}
	tr.parts = decode.Pair{Encoder: tr.sessions[0], First: tr.sessions[1], Next: tr.sessions[2], Layers: cut.Layers(), Recurrent: cut.Recurrent()}
	return tr
}

// wantTranslations compares translations with those of transformers' generate.
func wantTranslations(t *testing.T, tr *Translator, name string, made translatorCases, index int) {
	t.Helper()
	sources, masks := made.Inputs["encoder_"+role.Tokens.Name()], made.Inputs["encoder_"+role.AttentionMask.Name()]
	for setting, want := range made.Cases[index].Generated {
		s := want.Settings
		how := Translation{MaxTokens: 12, Beams: max(s.Beams, 1), Best: max(s.Best, 1), LengthPenalty: 1, Renormalize: s.Again}
		for _, word := range s.Banned {
			how.Banned = append(how.Banned, word...)
		}
		if s.Penalty != nil {
			how.LengthPenalty = *s.Penalty
		}
		switch string(s.Early) {
		case "true":
			how.EarlyStopping = decode.StopWhenFull
		case `"never"`:
			how.EarlyStopping = decode.StopNever
		}
		var texts [][]int64
		var rows []int // those that are not padded on the left, where positions are counted from the first column
		for i, mask := range masks {
			if mask[0] == 1 {
				n := slices.Index(append(slices.Clone(mask), 0), 0)
				texts, rows = append(texts, sources[i][:n]), append(rows, i)
			}
		}
		got, err := tr.TranslateIDs(context.Background(), texts, how)
		if err != nil {
			t.Fatal(err)
		}
		for i, of := range got {
			for j, target := range of {
				at := rows[i]*how.Best + j
				ids := want.Sequences[at][1:] // without the start
				if end := slices.Index(ids, 1); end >= 0 {
					ids = ids[:end+1] // behind it is padding
				}
				if !slices.Equal(target.IDs, ids) {
					t.Errorf("%s, %s: translation %d of source %d is %v, transformers has %v", name, setting, j, rows[i], target.IDs, ids)
				} else if len(want.Scores) > 0 && !(math.Abs(want.Scores[at]-target.Score) < 1e-5*max(1, math.Abs(target.Score))) {
					t.Errorf("%s, %s: the score of translation %d of source %d is %g, transformers has %g", name, setting, j, rows[i], target.Score, want.Scores[at])
				}
			}
		}
	}
}

// Greedy and beam search over the parts of a network give the translations of
// transformers' generate, in a batch of sources of different lengths.
func TestTranslations(t *testing.T) {
	dir := filepath.Join("fixtures", "translators")
	if other := os.Getenv("ATTNX_TRANSLATORS"); other != "" { // a folder of huggingface_seq2seq.py --make
		dir = other
	}
	made := readTranslators(t, dir)
	for i, c := range made.Cases {
		m, _, err := huggingface.Read(filepath.Join(dir, c.Name))
		if err != nil {
			t.Fatal(err)
		}
		wantTranslations(t, oracleTranslator(t, m), c.Name+" (oracle)", made, i)
		tr, err := translatorOf(c.Name, m, Options{})
		if err != nil {
			t.Fatal(err)
		}
		wantTranslations(t, tr, c.Name+" ("+tr.Runtime.String()+")", made, i)
		if err := tr.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The parts of a network compute what the whole does: the states of the encoder, and
// the logits of the target, whether it is computed at once or in two runs.
func TestCutIsTheNetwork(t *testing.T) {
	dir := filepath.Join("fixtures", "translators")
	made := readTranslators(t, dir)
	tensor := func(name string, rows [][]int64, from, to int) format.Tensor {
		var all []int64
		for _, r := range rows {
			all = append(all, r[from:to]...)
		}
		return format.FromInt64s(name, []int{len(rows), to - from}, all)
	}
	for _, c := range made.Cases {
		m, _, err := huggingface.Read(filepath.Join(dir, c.Name))
		if err != nil {
			t.Fatal(err)
		}
		tokens, source, mask := role.Tokens.Name(), role.SourceTokens.Name(), role.SourceMask.Name()
		target, length, width := made.Inputs[tokens], len(made.Inputs[tokens][0]), len(made.Inputs[source][0])
		whole, err := ref.New(m.Graph, m.Weights)
		if err != nil {
			t.Fatal(err)
		}
		ids, shown := tensor(source, made.Inputs[source], 0, width), tensor(mask, made.Inputs[mask], 0, width)
		want := mustRun(t, whole, map[string]format.Tensor{source: ids, mask: shown, tokens: tensor(tokens, target, 0, length)})
		tr := oracleTranslator(t, m)
		states := mustRun(t, tr.parts.Encoder, map[string]format.Tensor{tokens: ids.WithName(tokens), role.AttentionMask.Name(): shown})
		hidden := role.SourceStates.Name()
		wantNear(t, c.Name+": states", states[role.Hidden.Name()], want[hidden])
		split := length / 2
		first := mustRun(t, tr.parts.First, map[string]format.Tensor{mask: shown, hidden: states[role.Hidden.Name()], tokens: tensor(tokens, target, 0, split)})
		given := map[string]format.Tensor{mask: shown, tokens: tensor(tokens, target, split, length)}
		for i := range tr.parts.Layers {
			for past, present := range map[role.Kind]role.Kind{
				role.PastTargetKey: role.PresentTargetKey, role.PastTargetValue: role.PresentTargetValue, role.PastSourceKey: role.PresentSourceKey, role.PastSourceValue: role.PresentSourceValue,
			} {
				given[role.Layered(past, i).Name()] = first[role.Layered(present, i).Name()]
			}
		}
		next := mustRun(t, tr.parts.Next, given)
		logits := role.Logits.Name()
		vocab := m.Vocab()
		a, b, all := floats(t, first[logits]), floats(t, next[logits]), floats(t, want[logits])
		for row := range len(target) {
			joined := slices.Concat(a[row*split*vocab:(row+1)*split*vocab], b[row*(length-split)*vocab:(row+1)*(length-split)*vocab])
			for i, x := range joined {
				if y := all[row*length*vocab+i]; !(math.Abs(x-y) < 1e-5) {
					t.Fatalf("%s: logit %d of row %d is %g in two runs, %g at once", c.Name, i, row, x, y)
				}
			}
		}
	}
}

func mustRun(t *testing.T, s interface {
	Run(map[string]format.Tensor) (map[string]format.Tensor, error)
}, in map[string]format.Tensor) map[string]format.Tensor {
	t.Helper()
	out, err := s.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func floats(t *testing.T, x format.Tensor) []float64 {
	t.Helper()
	out, err := x.AsFloat64s()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantNear(t *testing.T, what string, got, want format.Tensor) {
	t.Helper()
	a, b := floats(t, got), floats(t, want)
	for i := range b {
		if len(a) != len(b) || !(math.Abs(a[i]-b[i]) < 1e-5) {
			t.Fatalf("%s: %d elements, expected %d; element %d differs", what, len(a), len(b), i)
		}
	}
}
