package attnx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model/score"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// ran is a run of two evaluations, whose second step ends after the given seconds.
func ran(arch string, seconds, first, last, bleu float64) RunSummary {
	return RunSummary{Arch: arch, Parameters: 10, ValLoss: &last, Scores: &score.Scores{BLEU: bleu},
		Curve: []CurvePoint{{Step: 1, Seconds: seconds / 2, ValLoss: &first}, {Step: 2, Seconds: seconds, ValLoss: &last}}}
}

func atSeconds(runs []RunSummary) RunsAt {
	return at(runs, func(p CurvePoint) float64 { return p.Seconds }, true)
}

func atSteps(runs ...RunSummary) RunsAt {
	return at(runs, func(p CurvePoint) float64 { return float64(p.Step) }, false)
}

// At equal seconds the mean over seeds is compared, and a network that ends better may be
// behind there. BLEU at the end is a mean too.
func TestVerdictAtEqualSeconds(t *testing.T) {
	runs := []RunSummary{ran("slow", 8, 6, 2, 30), ran("slow", 8, 5, 1, 40), ran("quick", 4, 4, 3, 10), ran("quick", 4, 4, 3.5, 11)}
	at := at(runs, func(p CurvePoint) float64 { return p.Seconds }, true)
	if got, want := bySeconds(runs, at), "; after 4.0 s each quick leads: 3.2500 (quick), 5.5000 (slow)"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	if got, want := byScores(runs), "; BLEU at the end: 35.0 (slow), 10.5 (quick)"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	late := append(runs[:3:3], ran("slow", 20, 6, 2, 30)) // its first evaluation is after 10 s
	if got := bySeconds(late, RunsAt{At: 4, Losses: []*float64{at.Losses[0], at.Losses[1], at.Losses[2], nil}}); !strings.HasSuffix(got, "nothing can be said: slow had no evaluation yet") {
		t.Errorf("a run without evaluations there: %q", got)
	}
	// A run that ended before the first evaluation of another one is compared there, with its last loss.
	if got, want := bySeconds(late[2:], atSeconds(late[2:])), "; after 10.0 s each quick leads: 3.0000 (quick), 6.0000 (slow)"; got != want {
		t.Errorf("%q, expected %q", got, want)
	}
	// At equal steps nobody waits: the runs are compared where the one of the fewest steps ended.
	long := RunSummary{Arch: "long", Curve: []CurvePoint{{Step: 1}, {Step: 500, ValLoss: late[0].ValLoss}}}
	if steps := atSteps(late[0], long); steps.At != 2 || steps.Losses[0] == nil || steps.Losses[1] != nil {
		t.Errorf("at equal steps: %+v", steps)
	}
	late[3].Scores = nil
	if got := byScores(late); got != "" {
		t.Errorf("a run without scores: %q", got)
	}
	if got := bySeconds(runs[:2], at) + byScores(runs[:2]); got != "" {
		t.Errorf("runs of one network: %q", got)
	}
}

// Who holds out what is learned is told so: of one pair, or with pairs for validation that
// are among those of training.
func TestHeldOutPairsThatAreLearned(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, two, apart := put("one.tsv", "a b\tc d\n"), put("two.tsv", "a b\tc d\ne f\tg h\n"), put("apart.tsv", "f e\th g\n")
	for i, c := range []struct{ data, val, want string }{
		{one, "", "1 of 1 pairs held out are also learned"}, {two, one, "1 of 1 pairs held out are also learned"}, {two, apart, ""},
	} {
		var told []string
		o := train.DefaultOptions(1)
		o.Batch, o.EvalBatches = 1, 1
		options := TrainOptions{Out: filepath.Join(dir, string(rune('a'+i))), Pairs: PairCorpus{Files: []string{c.data}}, Kind: tokens.Char, Context: 8, Settings: o, Engine: "gorgonia"}
		if c.val != "" {
			options.Val = Corpus{Files: []string{c.val}}
		}
		options.Events.Tell = func(level find.Level, message string) {
			if level == find.Warning {
				told = append(told, message)
			}
		}
		if _, err := Train(t.Context(), options); err != nil {
			t.Fatal(err)
		}
		if all := strings.Join(told, "\n"); c.want == "" && strings.Contains(all, "learned") || !strings.Contains(all, c.want) {
			t.Errorf("%s beside %s: %q, expected %q", c.val, c.data, all, c.want)
		}
	}
}

// Types of numbers, as the formats call them, that float32 changes.
func TestBecomesFloat32(t *testing.T) {
	for name, want := range map[string]bool{
		"F32": false, "float": false, "double": false, "float32": false, "I64": false, "int64": false, "uint16": false, "U8": false, "bool": false, "BOOL": false,
		"F16": true, "BF16": true, "float16": true, "bfloat16": true, "Q8_0": true, "Q4_K": true, "IQ4_XS": true, "TQ1_0": true, "float8e4m3fn": true, "F8_E4M3": true,
	} {
		if got := becomesFloat32(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
