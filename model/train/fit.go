package train

import (
	"context"
	"errors"
	"strings"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
)

// FromText cuts a text into examples. Characters and bytes are learned from
// windows of the whole text (NewText); words from its lines, each a sequence
// of its own (NewLines).
func FromText(text string, t *tokens.Tokenizer, context int) (*Data, error) {
	if t.Kind() != tokens.Word {
		return NewText(t.Encode(text), context)
	}
	var lines [][]int64
	for line := range strings.Lines(text) {
		if ids := t.Encode(line); len(ids) > 0 {
			lines = append(lines, ids)
		}
	}
	return NewLines(lines, context)
}

// Fit trains the model of c with the Gorgonia engine and returns it as it is
// after the last step, with the state to go on from. event is told every step;
// it may be nil. An error that comes with a checkpoint, such as the end of
// ctx, came after what that checkpoint holds.
//
// It is Trainer and Gorgonia put together, for those who need neither alone.
func Fit(ctx context.Context, c *model.Checkpoint, d *Data, o Options, event func(Event)) (*model.Checkpoint, error) {
	g, err := model.BuildLoss(c.Config)
	if err != nil {
		return nil, err
	}
	engine, err := NewGorgonia(g, GorgoniaOptions{})
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	t, err := New(c, engine, d, o)
	if err != nil {
		return nil, err
	}
	runErr := t.Run(ctx, func(e Event) error {
		if event != nil {
			event(e)
		}
		return nil
	})
	reached, err := t.Checkpoint(c.Tokenizer)
	return reached, errors.Join(runErr, err)
}
