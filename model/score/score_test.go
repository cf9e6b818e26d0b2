package score_test

import (
	_ "embed"
	"encoding/json"
	"maps"
	"math"
	"testing"

	"github.com/attnx/attnx/model/score"
)

//go:embed testdata/sacrebleu.json
var golden []byte

// The scores are sacrebleu's (fixtures/oracle/score_golden.py). Both compute in float64.
func TestSacrebleu(t *testing.T) {
	var file struct {
		Cases []struct {
			Translations, References []string
			BLEU, ChrF               float64
		}
	}
	if err := json.Unmarshal(golden, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) < 5 {
		t.Fatal("there are no cases")
	}
	for i, c := range file.Cases {
		s := score.Of(c.Translations, c.References, nil)
		if math.Abs(s.BLEU-c.BLEU) > 1e-9 || math.Abs(s.ChrF-c.ChrF) > 1e-9 {
			t.Errorf("case %d: BLEU %v and chrF %v, sacrebleu has %v and %v", i, s.BLEU, s.ChrF, c.BLEU, c.ChrF)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	for text, want := range map[string]map[string]int{
		"%s: %d of %(total)s files, {name} {0} {}": {"%s": 1, "%d": 1, "%(total)s": 1, "{name}": 1, "{0}": 1, "{}": 1},
		"%1$s %2$-5.2lf %s %s ${HOME} %%":          {"%1$s": 1, "%2$-5.2lf": 1, "%s": 2, "${HOME}": 1, "%%": 1},
		"100 % done, {not this one}, 5% x":         {},
	} {
		if got := score.Placeholders(text); !maps.Equal(got, want) {
			t.Errorf("%q has %v, want %v", text, got, want)
		}
	}
	s := score.Of([]string{"eine %s", "zwei", "drei"}, []string{"eine %s", "%d zwei", "drei"}, []string{"one %s", "%d two", "three"})
	if s.Placeholders != 2 || s.Kept != 1 || math.Abs(s.Exact-200.0/3) > 1e-9 {
		t.Errorf("%+v", s)
	}
}
