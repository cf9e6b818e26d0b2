package attnx_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/runtime/decode"
)

// The states of sequences of different lengths, one of which rests for a step, give the
// logits of the whole texts.
func TestStatesOfSequences(t *testing.T) {
	onnxRuntime(t)
	dir := t.TempDir()
	check(os.WriteFile(filepath.Join(dir, "notes.txt"), []byte(fixtures.Notes()), 0o644))
	for _, arch := range []string{"gru", "lstm"} {
		run := filepath.Join(dir, arch)
		attnxRun(t, dir, 0, "train --data notes.txt --context 8 --batch 2 --steps 2 --engine gorgonia --arch "+arch+" --out "+run)
		c, err := attnx.Load(run, nil)
		check(err)
		plain, err := attnx.OpenCheckpoint(c, export.Plain{}, attnx.Options{})
		check(err)
		whole, err := plain.Logits(2)
		check(err)
		for _, last := range []bool{false, true} {
			carried, err := attnx.OpenCheckpoint(c, export.Cache{LastLogits: last}, attnx.Options{})
			check(err)
			m, err := carried.Logits(2)
			check(err)
			if _, ok := m.(*decode.Recurrent); !ok {
				t.Fatalf("%s decodes with a %T", arch, m)
			}
			texts := [][]int64{{1, 2, 3, 4}, {5}}
			got, err := m.Prefill(texts)
			check(err)
			compare := func(what string, got []float32, rows ...int) {
				t.Helper()
				want, err := whole.Prefill(texts)
				check(err)
				vocab := len(want) / 2
				for _, b := range rows {
					for i, x := range want[b*vocab:][:vocab] {
						if y := got[b*vocab+i]; x-y > 1e-5 || y-x > 1e-5 {
							t.Fatalf("%s, %s, sequence %d: logit %d is %g, of the whole text %g", arch, what, b, i, y, x)
						}
					}
				}
			}
			compare("the prompts", slices.Clone(got), 0, 1)
			for _, ids := range [][]int64{{7, 2}, {decode.Idle, 3}, {1, 1}} {
				got, err = m.Step(ids)
				check(err)
				var moved []int
				for b, id := range ids {
					if id != decode.Idle {
						texts[b], moved = append(texts[b], id), append(moved, b)
					}
				}
				compare("a step", slices.Clone(got), moved...)
			}
			check(carried.Close())
		}
		check(plain.Close())
	}
}
