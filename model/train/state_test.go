package train

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// TestStateIsChecked checks that a state that does not belong to its step is
// refused, whichever part of it was changed.
func TestStateIsChecked(t *testing.T) {
	run, _ := tinyRun(t, 8, &slope{})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	err := run.Run(ctx, func(e Event) error {
		if e.Step == 3 {
			stop()
		}
		return nil
	})
	if err != context.Canceled {
		t.Fatal(err)
	}
	for _, c := range []struct{ part, from, to, want string }{
		{"random", `"philox4x32-10"`, `"pcg64"`, `random numbers are from "pcg64"`},
		{"random", `"batches":3`, `"batches":4`, "are at batch 4"},
		{"random", `"seed":`, `"seed":9`, "of seed 9"},
		{"random", `{`, `[`, "random state"},
		{"data", `"batches":3`, `"batches":2`, "is at batch 2"},
		{"data", `"sha256":"`, `"sha256":"ff`, "of the text ff"},
		{"data", `}`, ``, "position in the data"},
		{"data", `{`, `{` + strings.Repeat(" ", maxState), "more than"},
	} {
		saved, err := run.Checkpoint(nil)
		if err != nil {
			t.Fatal(err)
		}
		part := map[string]*json.RawMessage{"random": &saved.Train.Random, "data": &saved.Train.Data}[c.part]
		changed := strings.Replace(string(*part), c.from, c.to, 1)
		if changed == string(*part) {
			t.Fatalf("%s has no %s: %s", c.part, c.from, *part)
		}
		*part = json.RawMessage(changed)
		if _, err := New(saved, &slope{}, run.data, run.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %q", c.part, c.to, err, c.want)
		}
	}
	saved, err := run.Checkpoint(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(saved, &slope{}, run.data, run.options); err != nil {
		t.Errorf("as it was saved: %v", err)
	}
	if saved.Loss == nil || saved.ValLoss == nil && run.options.EvalEvery == 1 {
		t.Errorf("the losses of the step are not kept: %v, %v", saved.Loss, saved.ValLoss)
	}
}
