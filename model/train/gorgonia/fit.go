package gorgonia

import (
	"context"
	"errors"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
)

// Fit trains the model of c with this engine and returns it after the last
// step, with the state for resuming. It calls event after every step; event
// may be nil. With an error such as the end of ctx, it also returns a
// checkpoint if there is one.
//
// Fit combines train.Trainer and Engine for callers that need neither alone.
func Fit(ctx context.Context, c *model.Checkpoint, d *train.Data, o train.Options, event func(train.Event)) (*model.Checkpoint, error) {
	g, err := model.WithLoss(c.Graph)
	if err != nil {
		return nil, err
	}
	engine, err := New(g, Options{Loss: o.Passes(), Recompute: o.Recompute})
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	t, err := train.New(c, engine, d, o)
	if err != nil {
		return nil, err
	}
	runErr := t.Run(ctx, func(e train.Event) error {
		if event != nil {
			event(e)
		}
		return nil
	})
	reached, err := t.Checkpoint(c.Tokenizer)
	return reached, errors.Join(runErr, err)
}
