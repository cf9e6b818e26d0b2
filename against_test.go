package attnx_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/pairs"
)

// Every architecture gets about as many parameters as any other, in every preset.
func TestAgainst(t *testing.T) {
	many := attnx.PairCorpus{Pairs: pairs.Grammar(20, 1)}
	for _, kind := range []struct {
		names []string
		pairs attnx.PairCorpus
	}{{arch.Decoders(), attnx.PairCorpus{}}, {arch.Translators(), many}} {
		presets := []string{"tiny"}
		if fixtures.Exhaustive() {
			presets = append(presets, "nano")
		}
		for _, preset := range presets {
			sizes, err := arch.Preset(preset)
			check(err)
			for _, name := range kind.names {
				own, err := arch.New(name, sizes, 300)
				check(err)
				first, err := model.Of(own)
				check(err)
				want, err := first.Parameters()
				check(err)
				o := attnx.TrainOptions{Arch: name, Preset: preset, Pairs: kind.pairs}
				for _, rival := range kind.names {
					if rival == name || !fixtures.Exhaustive() && name != kind.names[0] && rival != kind.names[len(kind.names)-1] {
						continue
					}
					other, parameters, err := o.Against(rival, first)
					check(err)
					network, err := arch.Resize(rival, other.Sizes, arch.Sizes{Layers: sizes.Layers, Heads: sizes.Heads, Context: sizes.Context}.Or(sizes), 300)
					if err != nil {
						t.Fatalf("%s against %s: %v", rival, name, err)
					}
					c, err := model.Of(network)
					check(err)
					if got, err := c.Parameters(); err != nil || got != parameters {
						t.Errorf("%s against %s: the network has %d parameters, %d were said (%v)", rival, name, got, parameters, err)
					}
					if apart := float64(parameters-want) / float64(want); apart < -0.03 || apart > 0.03 {
						t.Errorf("%s against %s (%s): %d parameters for %d", rival, name, preset, parameters, want)
					}
				}
			}
		}
	}
	for _, bad := range []string{"gpt2", "bert", "t5", "gru2"} {
		if err := (attnx.TrainOptions{}).CheckAgainst(bad); err == nil {
			t.Errorf("gpt2 is trained against %s", bad)
		}
	}
}

// train --against trains both networks, draws both, and ends with the verdict.
func TestTrainAgainst(t *testing.T) {
	dir := t.TempDir()
	check(os.WriteFile(filepath.Join(dir, "notes.txt"), []byte(fixtures.Notes()), 0o644))
	attnxRun(t, dir, 0, "train --data notes.txt --context 4 --batch 2 --steps 3 --engine gorgonia --against gru --out duel",
		"gru has width 4", "parameters, ", "duel/gpt2 ", "duel/gru ", "ends with the lower validation loss", "one seed each decides nothing")
	for _, name := range []string{"compare.png", "gpt2/step-00000003.safetensors", "gru/latest", "gru/config.yaml"} { // the GRU ends with the seconds of GPT-2
		if _, err := os.Stat(filepath.Join(dir, "duel", name)); err != nil {
			t.Error(err)
		}
	}
	attnxRun(t, dir, 0, "compare duel/gpt2 duel/gru", "; after ", " s each ", " leads: ")
	attnxRun(t, dir, 2, "train --data notes.txt --against bert --out d2", "--against", "take ")
	attnxRun(t, dir, 2, "train --data - --against gru --out d2", "name a file")
	attnxRun(t, dir, 2, "train --data notes.txt --against gpt2 --out d2", "name another")
}
