package train_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// brokenEngine computes what another engine computes, with one number broken.
type brokenEngine struct {
	train.Evaluator
	gradient bool
}

func (e brokenEngine) Step(w []format.Tensor, b train.Batch, grads []format.Tensor) (float64, error) {
	loss, err := e.Evaluator.Step(w, b, grads)
	if e.gradient {
		g, err2 := grads[1].Float32s()
		g[3] = float32(math.Inf(1))
		return loss, errors.Join(err, err2)
	}
	return loss, err
}

// TestStepThatIsNoNumber breaks a run in three places and reads where the error
// finds it.
func TestStepThatIsNoNumber(t *testing.T) {
	for want, broken := range map[string]func(r *train.Trainer, c *model.Checkpoint, e train.Evaluator){
		`weight "h.1.mlp.c_fc.bias" is NaN at [2]`: func(r *train.Trainer, c *model.Checkpoint, e train.Evaluator) {
			set(r.Weights(), "h.1.mlp.c_fc.bias", 2, float32(math.NaN()))
		},
		// Twice 3e38 is too large for float32: the sum is the first value that meets it.
		`value "embeddings" (Add) is +Inf at [0 0 0]`: func(r *train.Trainer, c *model.Checkpoint, e train.Evaluator) {
			set(r.Weights(), "wpe.weight", 0, 3e38)
			for token := range c.Vocab() {
				set(r.Weights(), "wte.weight", token*c.Width(), 3e38)
			}
		},
		`the gradient of "wpe.weight" is +Inf at [0 3]`: func(r *train.Trainer, c *model.Checkpoint, e train.Evaluator) { r.SetEngine(brokenEngine{e, true}) },
	} {
		ids := make([]int64, 400)
		for i := range ids {
			ids[i] = int64(i % 7)
		}
		c, err := train.Start(train.PresetNetwork(t, "tiny", "gpt2", 7), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := train.NewText(ids, c.Context())
		if err != nil {
			t.Fatal(err)
		}
		engine, err := gorgonia.New(train.LossOf(t, c.Graph), gorgonia.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer engine.Close()
		run, err := train.New(c, engine, data, train.DefaultOptions(5))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.Step(); err != nil {
			t.Fatal(err)
		}
		broken(run, c, engine)
		before := string(c.Weights[4].Data)
		_, err = run.Step()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "step 2:") {
			t.Errorf("got %v, want step 2 and %s", err, want)
		}
		if string(c.Weights[4].Data) != before || run.StepsDone() != 1 {
			t.Error("the step was taken nevertheless")
		}
	}
}

func set(w model.Weights, name string, i int, x float32) {
	for _, t := range w {
		if t.Name == name {
			e, _ := t.Float32s()
			e[i] = x
		}
	}
}
