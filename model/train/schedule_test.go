package train_test

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/train"
)

// Rates by hand, from the definitions: 1.0 down to 0.2 in 11 steps after two of
// warm-up.
func TestSchedules(t *testing.T) {
	for _, c := range []struct {
		schedule string
		decay    int
		want     [13]float64
	}{
		{"", 0, [13]float64{0.5, 1, 1, 0.9804, 0.9236, 0.8351, 0.7236, 0.6, 0.4764, 0.3649, 0.2764, 0.2196, 0.2}},
		{train.Linear, 0, [13]float64{0.5, 1, 1, 0.92, 0.84, 0.76, 0.68, 0.6, 0.52, 0.44, 0.36, 0.28, 0.2}},
		{train.Constant, 0, [13]float64{0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{train.WarmupStableDecay, 4, [13]float64{0.5, 1, 1, 1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2}},
		{train.WarmupStableDecay, 0, [13]float64{0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.6, 0.2}}, // a fifth of 13 is 2
		{train.WarmupStableDecay, 99, [13]float64{0.5, 1, 1, 0.92, 0.84, 0.76, 0.68, 0.6, 0.52, 0.44, 0.36, 0.28, 0.2}},
	} {
		o := train.DefaultOptions(13)
		o.LR, o.MinLR, o.Warmup, o.Schedule, o.Decay = 1, 0.2, 2, c.schedule, c.decay
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		for step, want := range c.want {
			if got := o.Rate(step); math.Abs(got-want) > 1e-4 {
				t.Errorf("schedule %q, decay %d: step %d has rate %.5g, expected %.5g", c.schedule, c.decay, step, got, want)
			}
		}
	}
}

func TestScheduleRefused(t *testing.T) {
	for want, change := range map[string]func(*train.Options){
		`schedule "stairs": take cosine, linear, constant or wsd`:       func(o *train.Options) { o.Schedule = "stairs" },
		"a decay of 3 steps belongs to the schedule wsd, not to cosine": func(o *train.Options) { o.Decay = 3 },
		"a decay of -1 steps":                func(o *train.Options) { o.Schedule, o.Decay = train.WarmupStableDecay, -1 },
		"patience for -1 evaluations":        func(o *train.Options) { o.Patience = -1 },
		"evaluates after its last step only": func(o *train.Options) { o.Patience, o.EvalEvery = 1, 0 },
	} {
		o := train.DefaultOptions(10)
		change(&o)
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %s", err, want)
		}
	}
}
