package train_test

import (
	"math"
	"slices"
	"testing"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/gorgonia"
)

// TestAccumulate compares the gradient of three batches of two sequences with
// that of one batch of the same six. Lines have different lengths, so that the
// batches have different numbers of labels.
func TestAccumulate(t *testing.T) {
	const text = "a\nb c d e f g\nc a\nd e a b c d\ne f\na b c d e f\ng a b\nc\nd e f g a b\nb a\n"
	tok, err := tokens.Train(tokens.Word, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := train.Start(train.PresetNetwork(t, "tiny", "gpt2", tok.VocabSize()), tok, 1)
	if err != nil {
		t.Fatal(err)
	}
	data, err := train.FromText(text, tok, c.Context())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := gorgonia.New(train.LossOf(t, c.Graph), gorgonia.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	o := train.DefaultOptions(10)
	o.Batch, o.Accumulate = 2, 3
	run, err := train.New(c, engine, data, o)
	if err != nil {
		t.Fatal(err)
	}
	loss, got, err := run.Gradients(4)
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	var ids, labels []int64
	for i := range 3 {
		part := run.Draw(4*3 + i)
		x, _ := part[role.Tokens].Int64s()
		y, _ := part[role.Labels].Int64s()
		ids, labels = append(ids, x...), append(labels, y...)
		n := 0
		for _, l := range y {
			if l != model.IgnoreIndex {
				n++
			}
		}
		counts = append(counts, n)
	}
	if slices.Max(counts) == slices.Min(counts) {
		t.Fatalf("the batches have %v labels: the test says nothing", counts)
	}
	want := train.SameShapes(c.Weights)
	wantLoss, err := engine.Step(c.Weights, train.TextBatch(6, len(ids)/6, ids, labels), want)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(loss-wantLoss) > 1e-6 {
		t.Errorf("loss %g, of one batch %g", loss, wantLoss)
	}
	for i := range want {
		x, _ := got[i].Float32s()
		y, _ := want[i].Float32s()
		for j := range y {
			if d := math.Abs(float64(x[j] - y[j])); d > 1e-6 {
				t.Fatalf("%s[%d] is %g, of one batch %g", want[i].Name, j, x[j], y[j])
			}
		}
	}
}
