package attnx_test

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// Train a model on a text, and continue the run for some steps more.
func ExampleTrain() {
	ctx, run := context.Background(), filepath.Join(folder(), "continued")

	result, err := attnx.Train(ctx, attnx.TrainOptions{
		Out:  run,
		Data: attnx.Corpus{Text: fixtures.Notes()}, // short sentences
		Kind: tokens.Word, Settings: train.DefaultOptions(20), Engine: "gorgonia",
	})
	check(err)
	fmt.Println(result.Ended, "after step", result.Model.Step, "of", result.Steps)

	result, err = attnx.Resume(ctx, run, attnx.ResumeOptions{Steps: 30, Data: attnx.Corpus{Text: fixtures.Notes()}})
	check(err)
	fmt.Println(result.Ended, "after step", result.Model.Step, "in", filepath.Base(result.Checkpoint))
	fmt.Println("losses:", len(result.History), "falling:", result.History[29].Loss < result.History[0].Loss)
	// Output:
	// complete after step 20 of 20
	// complete after step 30 in step-00000030.safetensors
	// losses: 30 falling: true
}
