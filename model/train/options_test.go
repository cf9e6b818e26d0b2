package train

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/attnx/attnx/model"
)

// The settings of a run come from a file: one that makes a run that never ends,
// or none, is refused, whichever it is.
func TestSavedOptionsAreBounded(t *testing.T) {
	good, err := json.Marshal(DefaultOptions(100))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string]string{
		"steps":        "0 -1 1000000000000000000",
		"batch":        "0 -1 1000000000000000000",
		"accumulate":   "-1 1000000000000000000",
		"lr":           "0 -1",
		"min_lr":       "-1 1",
		"warmup":       "-1 1000000000000000000",
		"beta1":        "-1 1",
		"beta2":        "-1 1",
		"epsilon":      "0 -1",
		"weight_decay": "-1",
		"clip":         "-1",
		"eval_every":   "-1 1000000000000000000",
		"eval_batches": "0 -1 1000000000000000000",
		"save_every":   "-1 1000000000000000000",
		"keep":         "-1 1000000000000000000",
	} {
		for value := range strings.FieldsSeq(values) {
			var options map[string]json.RawMessage
			if err := json.Unmarshal(good, &options); err != nil {
				t.Fatal(err)
			}
			options[name] = json.RawMessage(value)
			text, err := json.Marshal(options)
			if err != nil {
				t.Fatal(err)
			}
			if o, err := Saved(&model.Checkpoint{Train: &model.TrainState{Options: text}}); err == nil {
				t.Errorf("%s %s was taken: %+v", name, value, o)
			}
		}
	}
	if _, err := Saved(&model.Checkpoint{Train: &model.TrainState{Options: good}}); err != nil {
		t.Errorf("as it was saved: %v", err)
	}
}
