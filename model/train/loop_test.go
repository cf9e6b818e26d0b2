package train

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
)

// slope is an engine whose loss is the sum of all weights: the gradient is 1
// everywhere. It lets the loop be tested without a network.
type slope struct {
	steps int
	nanAt int
}

func (s *slope) Step(w []format.Tensor, b Batch, grads []format.Tensor) (float64, error) {
	s.steps++
	for _, g := range grads {
		x, _ := g.Float32s()
		for i := range x {
			x[i] = 1
		}
	}
	if s.steps == s.nanAt {
		return math.NaN(), nil
	}
	return s.Loss(w, b)
}

func (s *slope) Loss(w []format.Tensor, _ Batch) (float64, error) {
	sum := 0.0
	for _, t := range w {
		x, err := t.AsFloat64s()
		if err != nil {
			return 0, err
		}
		for _, v := range x {
			sum += v
		}
	}
	return sum, nil
}

func (*slope) Name() string { return "slope" }
func (*slope) Close() error { return nil }

func tinyRun(t *testing.T, steps int, e Engine) (*Trainer, *model.Checkpoint) {
	t.Helper()
	start, err := Start(PresetNetwork(t, "tiny", "gpt2", 10), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	return resume(t, start, steps, e), start
}

func resume(t *testing.T, c *model.Checkpoint, steps int, e Engine) *Trainer {
	t.Helper()
	d, err := NewText(make([]int64, 400), 16)
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions(steps)
	o.EvalEvery = 3
	tr, err := New(c, e, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestRunTellsEveryStep(t *testing.T) {
	tr, _ := tinyRun(t, 7, &slope{})
	var events []Event
	if err := tr.Run(context.Background(), func(e Event) error { events = append(events, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(events) != 7 || events[6].Step != 7 {
		t.Fatalf("%d events for 7 steps", len(events))
	}
	for _, e := range events {
		evaluated := e.Step%3 == 0 || e.Step == 7
		if math.IsNaN(e.ValLoss) == evaluated {
			t.Errorf("step %d: validation loss %g, evaluated should be %t", e.Step, e.ValLoss, evaluated)
		}
		if e.TokensPerSecond <= 0 || e.LR <= 0 {
			t.Errorf("step %d: %+v", e.Step, e)
		}
	}
	if !(events[6].Loss < events[0].Loss) {
		t.Errorf("the loss went from %g to %g along its own gradient", events[0].Loss, events[6].Loss)
	}
}

// A run that is stopped and resumed ends with the same bytes.
func TestResumeIsExact(t *testing.T) {
	whole, _ := tinyRun(t, 8, &slope{})
	if err := whole.Run(context.Background(), func(Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	part, _ := tinyRun(t, 8, &slope{})
	err := part.Run(ctx, func(e Event) error {
		if e.Step == 3 {
			stop()
		}
		return nil
	})
	if err != context.Canceled {
		t.Fatalf("stopped with %v", err)
	}
	saved, err := part.Checkpoint(nil)
	if err != nil {
		t.Fatal(err)
	}
	if saved.Step != 3 {
		t.Fatalf("stopped after step %d, the step under way was 3", saved.Step)
	}
	rest := resume(t, saved, 8, &slope{})
	if err := rest.Run(context.Background(), func(Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want, got := whole.weights, rest.weights
	for i := range want {
		if !bytes.Equal(want[i].Data, got[i].Data) {
			t.Errorf("%s differs after a resume", want[i].Name)
		}
	}
}

func TestLossThatIsNoNumberStops(t *testing.T) {
	tr, c := tinyRun(t, 8, &slope{nanAt: 4})
	var before string
	err := tr.Run(context.Background(), func(e Event) error {
		if e.Step == 3 {
			before = c.Weights.Hash()
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "step 4: loss NaN") {
		t.Fatalf("got %v", err)
	}
	if tr.weights.Hash() != before {
		t.Error("the weights of step 3 were changed by the step that failed")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"0 steps":              func(o *Options) { o.Steps = 0 },
		"learning rate from 0": func(o *Options) { o.LR = 0 },
		"warm-up -1":           func(o *Options) { o.Warmup = -1 },
		"beta1 1":              func(o *Options) { o.Beta1 = 1 },
		"clip -1":              func(o *Options) { o.Clip = -1 },
	} {
		o := DefaultOptions(10)
		change(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A run ends with its budget of seconds, and then with an evaluation.
func TestRunEndsWithItsSeconds(t *testing.T) {
	for seconds, want := range map[float64]int{1e-12: 1, 1e9: 5, 0: 5} {
		run, _ := tinyRun(t, 5, &slope{})
		run.Seconds = seconds
		steps, last := 0, math.NaN()
		if err := run.Run(context.Background(), func(e Event) error {
			steps, last = e.Step, e.ValLoss
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if steps != want || math.IsNaN(last) {
			t.Errorf("%g seconds: %d steps, the last one's validation loss is %g; expected %d", seconds, steps, last, want)
		}
	}
}
