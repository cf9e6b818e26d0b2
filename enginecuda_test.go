package attnx_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
)

// Steps on a GPU have the losses of PyTorch. Rounded factors move them by less than the
// rounding of one product: 2^-8 of a loss of about 4.
func TestStateStaysOnGPU(t *testing.T) {
	golden := must(fixtures.Finetuning())
	folder := filepath.Join(t.TempDir(), "gpt2")
	check(os.CopyFS(folder, must(fs.Sub(fixtures.FS, "transformers_gpt2/whole"))))
	var batches []train.Batch
	for _, rows := range golden.Rows {
		var ids, labels []int64
		for _, row := range rows {
			n := len(row) - 1
			ids, labels = append(ids, row[:n]...), append(labels, row[1:]...)
		}
		batches = append(batches, train.TextBatch(len(rows), len(rows[0])-1, ids, labels))
	}
	data := must(train.NewText(make([]int64, 1000), 9))
	o := train.DefaultOptions(golden.Options.Steps)
	o.Batch, o.EvalEvery = 4, 0
	o.LR, o.MinLR, o.Warmup, o.Beta1, o.Beta2 = golden.Options.LR, golden.Options.MinLR, golden.Options.Warmup, golden.Options.Beta1, golden.Options.Beta2
	o.Epsilon, o.WeightDecay, o.Clip = golden.Options.Epsilon, golden.Options.WeightDecay, golden.Options.Clip
	for dtype, most := range map[string]float64{train.Float32: 1e-4, train.TF32: 0.016, train.BFloat16: 0.016} {
		c := must(attnx.Load(folder, nil))
		e, _, err := attnx.OpenEngine("ort", c, attnx.EngineOptions{Device: "cuda", DType: dtype, Update: &o})
		if errors.Is(err, runtime.ErrUnavailable) {
			t.Skipf("without CUDA: %v", err)
		}
		check(err)
		run := must(train.New(c, &givenUpdates{Updater: e.(train.Updater), batches: batches}, data, o))
		worst := 0.0
		for _, loss := range golden.Cases[0].Losses {
			worst = max(worst, math.Abs(must(run.Step()).Loss-loss))
		}
		t.Logf("%s: losses at most %.2g from PyTorch's", dtype, worst)
		if !(worst <= most) {
			t.Errorf("%s: a loss is %g from PyTorch's", dtype, worst)
		}
		check(e.Close())
	}
}
