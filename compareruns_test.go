package attnx_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/train"
)

// Runs of two networks, two seeds each, are compared over their seeds. Tokens and
// seconds add up, and runs on other data are not compared.
func TestCompareRuns(t *testing.T) {
	dir := t.TempDir()
	run := func(name, arch string, seed uint64, text string) string {
		o := train.DefaultOptions(3)
		o.Batch, o.EvalEvery, o.EvalBatches, o.Seed = 2, 3, 1, seed
		out, file := filepath.Join(dir, name), filepath.Join(dir, fmt.Sprint(len(text), ".txt"))
		check(os.WriteFile(file, []byte(text), 0o644))
		_, err := attnx.Train(t.Context(), attnx.TrainOptions{Out: out, Data: attnx.Corpus{Files: []string{file}}, Arch: arch, Context: 4, Settings: o, Engine: "gorgonia"})
		check(err)
		return out
	}
	names := arch.Decoders()
	first, other := names[0], names[len(names)-1]
	text := fixtures.Notes()
	runs := []string{run("a1", first, 1, text), run("a2", first, 2, text), run("b1", other, 1, text), run("b2", other, 2, text)}
	c, err := attnx.CompareRuns(runs, attnx.Options{})
	check(err)
	for _, r := range c.Runs {
		last := r.Curve[len(r.Curve)-1]
		if r.Steps != 3 || r.Tokens != 3*2*4 || last.Tokens != 24 || !(r.Seconds >= 0) || r.ValLoss == nil || r.Parameters == 0 || len(r.Curve) != 3 {
			t.Errorf("%+v", r)
		}
	}
	for _, r := range c.Runs { // the losses by position add up to the one that the engine computed
		sum, n := 0.0, 0
		for _, p := range r.Positions {
			sum, n = sum+float64(p.To-p.From+1)*p.Loss, n+p.To-p.From+1
		}
		if n != 4 || math.Abs(sum/4-*r.ValLoss) > 1e-5 {
			t.Errorf("%s: losses by position %v, of all %g", r.Run, r.Positions, *r.ValLoss)
		}
		if n := len(r.Speeds); n != 7 || r.Speeds[n-1].Length != 1024 {
			t.Errorf("%s: the speeds are %v", r.Run, r.Speeds)
		}
	}
	if !strings.Contains(c.Verdict, "with 2 seeds or more each") || !strings.Contains(c.Verdict, "ends with the lower validation loss") {
		t.Errorf("the verdict is %q", c.Verdict)
	}
	one, err := attnx.CompareRuns([]string{runs[0], runs[2]}, attnx.Options{})
	check(err)
	if !strings.Contains(one.Verdict, "one seed each decides nothing") {
		t.Errorf("the verdict of one seed is %q", one.Verdict)
	}
	apart, err := attnx.CompareRuns([]string{runs[0], run("c", other, 1, strings.Repeat("other text ", 30))}, attnx.Options{})
	check(err)
	if !strings.Contains(apart.Verdict, "different data") {
		t.Errorf("the verdict of other data is %q", apart.Verdict)
	}
	for _, bad := range [][]string{runs[:1], {runs[0], dir}} {
		if _, err := attnx.CompareRuns(bad, attnx.Options{}); err == nil {
			t.Errorf("%q is compared", bad)
		}
	}
}
