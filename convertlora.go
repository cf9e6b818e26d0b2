package attnx

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/train"
)

// MergeAdapter is the remedy for a form that has no place for an adapter.
const MergeAdapter = "merge the adapter (Merge), or write it alone (Adapter)"

// withoutAdapter returns a model in which its adapter is added to the weights if that is
// wanted. Without, only a checkpoint can hold it.
func withoutAdapter(from string, c *model.Checkpoint, merge, checkpoint bool) (*model.Checkpoint, error) {
	switch {
	case merge:
		m, err := c.Merged()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		return m, nil
	case c.LoRA != nil && !checkpoint:
		return nil, &Error{Err: fmt.Errorf("%s: it has an adapter, for which the form that is written has no place", from), Do: MergeAdapter}
	}
	return c, nil
}

// convertAdapter writes the adapter of a model as a folder of PEFT.
func convertAdapter(from, to string, o ConvertOptions) (*ConvertReport, error) {
	place, err := output.Claim(output.Folder, to, from)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	c, _, err := readAny(from, o.Tell, model.Load)
	if err != nil {
		return nil, err
	}
	if c.LoRA == nil {
		return nil, fmt.Errorf("%s: %w", from, errNoAdapter)
	}
	base := ""
	if s, err := train.Saved(c); err == nil && s.Init != nil {
		base = s.Init.Name
	}
	if o.Saving != nil {
		o.Saving()
	}
	if err := huggingface.WriteAdapter(to, c, base); err != nil {
		return nil, err
	}
	r := &ConvertReport{Path: filepath.Clean(to), Arch: c.Arch, DType: dtypeName(format.Float32), hub: true}
	for _, w := range c.LoRA.Targets {
		a, b := c.LoRA.Names(w)
		for _, t := range c.Weights {
			if t.Name == a || t.Name == b {
				r.Parameters += t.Elements()
			}
		}
	}
	return r, nil
}

var errNoAdapter = errors.New("the model has no adapter: one comes from training with LoRA")
