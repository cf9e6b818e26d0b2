package model

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
)

// Run is the folder of a training run that this process writes. It keeps the
// newest checkpoints and the one with the lowest validation loss. It is not
// safe for concurrent use.
type Run struct {
	*store.Folder
	copy    *Checkpoint // the checkpoint being saved
	pending chan error  // result of the save; nil if none is running
}

// OpenRun opens the folder of a run, as store.OpenFolder does. keep is the
// number of newest checkpoints to keep.
func OpenRun(dir string, keep int) (*Run, error) {
	f, err := store.OpenFolder(dir, store.Options{Keep: keep, Check: CheckWhole})
	if err != nil {
		return nil, err
	}
	return &Run{Folder: f}, nil
}

// Save saves c in the background. It returns once c is copied; the caller may
// then change c. It waits for the previous save first, and returns the error
// of that.
func (r *Run) Save(c *Checkpoint) error {
	if err := r.Wait(); err != nil {
		return err
	}
	copied := c.copyInto(r.copy)
	meta, tensors, err := copied.contents()
	if err != nil {
		return err
	}
	infos := make([]format.TensorInfo, len(tensors))
	for i, t := range tensors {
		infos[i] = t.Info()
	}
	size, err := format.SealedSize(meta, infos)
	if err != nil {
		return err
	}
	score := math.NaN()
	if c.Rank != nil {
		score = *c.Rank
	} else if c.ValLoss != nil {
		score = *c.ValLoss
	}
	pending := make(chan error, 1)
	r.copy, r.pending = copied, pending
	go func() {
		pending <- r.Folder.Save(copied.Step, size, score, func(w io.Writer) error { return format.WriteSealed(w, meta, tensors) })
	}()
	return nil
}

// Poll returns the error of a save that has ended since the last call. It does
// not wait.
func (r *Run) Poll() error {
	select {
	case err := <-r.pending: // never ready while pending is nil
		r.pending = nil
		return err
	default:
		return nil
	}
}

// Wait waits for the running save and returns its error.
func (r *Run) Wait() error {
	if r.pending == nil {
		return nil
	}
	err := <-r.pending
	r.pending = nil
	return err
}

// Close waits for the running save and releases the folder.
func (r *Run) Close() error { return errors.Join(r.Wait(), r.Folder.Close()) }

// copyInto returns a copy of c that shares no tensors with it. It reuses the
// memory of old, an earlier copy or nil, where the sizes fit.
func (c *Checkpoint) copyInto(old *Checkpoint) *Checkpoint {
	spare := map[string][]byte{}
	if old != nil {
		for _, t := range old.Weights {
			spare[t.Name] = t.Data
		}
		if old.Train != nil {
			for _, t := range old.Train.Moments {
				spare[t.Name] = t.Data
			}
		}
	}
	copyOf := func(tensors []format.Tensor) []format.Tensor {
		out := slices.Clone(tensors)
		each(len(out), func(i int) {
			data := spare[out[i].Name]
			if len(data) != len(out[i].Data) {
				data = make([]byte, len(out[i].Data))
			}
			copy(data, out[i].Data)
			out[i].Data = data
		})
		return out
	}
	copied := *c
	copied.Weights = copyOf(c.Weights)
	if c.Train != nil {
		state := *c.Train
		state.Moments = copyOf(state.Moments)
		copied.Train = &state
	}
	return &copied
}

// CheckWhole is a store.Check that reads every byte of a checkpoint. The score
// is the validation loss.
func CheckWhole(path string, r io.ReaderAt, size int64) (score float64, broken, err error) {
	return checkFile(path, r, size, (*format.Reader).Verify)
}

// CheckSeal is a store.Check that reads only header and seal of a checkpoint.
// It detects a truncated file of any size in a moment.
func CheckSeal(path string, r io.ReaderAt, size int64) (score float64, broken, err error) {
	return checkFile(path, r, size, func(*format.Reader) error { return nil })
}

func checkFile(path string, r io.ReaderAt, size int64, verify func(*format.Reader) error) (score float64, broken, err error) {
	f, err := format.NewReader(r, size)
	if err == nil && f.Seal() == nil {
		return math.NaN(), &format.SealError{File: path, Offset: -1, Reason: "the file has no seal, which every checkpoint of a run has: reseal it to add one"}, nil
	}
	if err == nil {
		err = verify(f)
	}
	var bad *format.FormatError
	var seal *format.SealError
	switch {
	case errors.As(err, &bad):
		bad.File = path
		return math.NaN(), bad, nil
	case errors.As(err, &seal):
		seal.File = path
		return math.NaN(), seal, nil
	case err != nil:
		return math.NaN(), nil, fmt.Errorf("%s: %w", path, err)
	}
	_, val, err := Losses(f.Metadata())
	if rank, bad := loss(f.Metadata(), metaRank); err == nil && (bad != nil || rank != nil) {
		val, err = rank, bad
	}
	if err != nil {
		return math.NaN(), fmt.Errorf("%s: %w", path, err), nil
	}
	if val == nil {
		return math.NaN(), nil, nil
	}
	return *val, nil, nil
}
