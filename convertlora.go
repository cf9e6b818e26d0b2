package attnx

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/ortadapter"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// MergeAdapter is the remedy for a form that has no place for an adapter.
const MergeAdapter = "merge the adapter (Merge), or write it alone (Adapter)"

// KeepApart is the remedy for an adapter over the integers of an ONNX file.
const KeepApart = "export it, with the adapter beside them, or write the adapter alone (Adapter)"

// withoutAdapter returns a model in which its adapter is added to the weights if that is
// wanted. Without, only a checkpoint can hold it.
func withoutAdapter(from string, c *model.Checkpoint, merge, checkpoint bool) (*model.Checkpoint, error) {
	switch {
	case merge:
		m, err := c.Merged()
		if errors.As(err, new(*model.IntegersError)) {
			return nil, &Error{Err: fmt.Errorf("%s: %w", from, err), Do: KeepApart}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		return m, nil
	case c.LoRA != nil && !checkpoint:
		if err := c.Merges(); err != nil {
			return nil, &Error{Err: fmt.Errorf("%s: it has an adapter, for which the form that is written has no place, and %w", from, err), Do: KeepApart}
		}
		return nil, &Error{Err: fmt.Errorf("%s: it has an adapter, for which the form that is written has no place", from), Do: MergeAdapter}
	}
	return c, nil
}

// MeansAdapter reports whether a target path means an adapter of ONNX Runtime: its
// name ends with .onnx_adapter.
func MeansAdapter(path string) bool {
	return !MeansFolder(path) && strings.EqualFold(filepath.Ext(path), ".onnx_adapter")
}

// convertAdapter writes the adapter of a model as a folder of PEFT, or as a file of
// ONNX Runtime.
func convertAdapter(from, to string, o ConvertOptions) (*ConvertReport, error) {
	kind := output.Folder
	if MeansAdapter(to) {
		kind = output.Adapter
	}
	place, err := output.Claim(kind, to, from)
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
	var beside huggingface.BesideAdapter
	if s, err := train.Saved(c); err == nil && s.Init != nil {
		beside.Base, beside.Tokenizer = s.Init.Name, len(s.Init.Added) > 0
		if beside.Whole, err = besideAdapter(c, s); err == nil && len(beside.Whole) > 0 && kind != output.Folder {
			err = fmt.Errorf("weight %.80q has other rows of tokens than its base, and a file of ONNX Runtime holds the adapter alone", beside.Whole[0])
		}
		if err != nil {
			return nil, &Error{Err: fmt.Errorf("%s: %w", from, err), Do: MergeTrained}
		}
		if beside.Tokenizer && kind != output.Folder {
			o.Tell.Say(Notice, "%s: the run added %s, and a file of ONNX Runtime holds no tokenizer: take the one beside the exported model", to, quote.Of(len(s.Init.Added), "token"))
		}
	}
	if o.Saving != nil {
		o.Saving()
	}
	r := &ConvertReport{Path: filepath.Clean(to), Arch: c.Arch, DType: dtypeName(format.Float32), hub: true}
	var matrices []format.Tensor
	for _, w := range c.LoRA.Targets {
		a, b := c.LoRA.Names(w)
		for _, t := range c.Weights {
			if t.Name == a || t.Name == b {
				r.Parameters += t.Elements()
				matrices = append(matrices, t)
			}
		}
	}
	if kind == output.Folder {
		return r, huggingface.WriteAdapter(to, c, beside)
	}
	return r, store.Save(to, func(w io.Writer) error { return ortadapter.Write(w, matrices, c.Step) })
}

// MergeTrained is the remedy for an adapter that is not all that a run has changed.
const MergeTrained = "add the adapter to the weights (Merge)"

// besideAdapter returns the weights that a run has changed beside its adapter: those with a
// row for each token, which PEFT saves whole. There is no place for others.
func besideAdapter(c *model.Checkpoint, s train.Options) (whole []string, err error) {
	names, err := s.Trained(c.Graph)
	if err != nil {
		return nil, err
	}
	rows, none := c.OfTokens()
	if grew, err := grewFrom(c, s.Init); grew { // otherwise the base has rows to spare
		if err = errors.Join(err, none); err != nil {
			return nil, err
		}
		whole = rows
	}
	own := map[string]bool{}
	for _, w := range c.LoRA.Targets {
		a, b := c.LoRA.Names(w)
		own[a], own[b] = true, true
	}
	for _, name := range names {
		switch {
		case own[name] || slices.Contains(whole, name):
		case slices.Contains(rows, name):
			whole = append(whole, name)
		default:
			return nil, fmt.Errorf("weight %.80q was trained beside the adapter, which does not hold it", name)
		}
	}
	return whole, nil
}

// grewFrom reports whether added tokens have rows that the model they were added to does not
// have. Of a run that does not say how many that has, it reports whether all rows are taken.
func grewFrom(c *model.Checkpoint, from *train.Origin) (bool, error) {
	if len(from.Added) == 0 || from.Rows > 0 {
		return from.Rows > 0 && c.IDs() > from.Rows, nil
	}
	t, err := tokens.Parse(c.Tokenizer)
	return err != nil || t.VocabSize() == c.IDs(), err
}

// readAdapter reads an adapter of PEFT with its base.
func readAdapter(path string, tell Tell) (*model.Checkpoint, format.Rounding, error) {
	a, err := huggingface.OpenAdapter(path)
	if err != nil {
		return nil, format.Rounding{}, err
	}
	defer a.Close()
	at, err := a.BaseOf(path)
	if err != nil {
		return nil, format.Rounding{}, err
	}
	if huggingface.IsAdapter(at) {
		return nil, format.Rounding{}, fmt.Errorf("%s: its base %s is an adapter too: merge that one first", path, at)
	}
	tell.Say(Notice, "%s: an adapter of %s", path, at)
	base, rounding, err := readAny(at, tell, model.LoadModel)
	if err != nil {
		return nil, rounding, err
	}
	c, err := a.Apply(base)
	return c, rounding, err
}

var errNoAdapter = errors.New("the model has no adapter: one comes from training with LoRA")
