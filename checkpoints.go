package attnx

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
)

// KeptCheckpoint describes a checkpoint in the folder of a run.
type KeptCheckpoint struct {
	Step    int      `json:"step"`
	Loss    *float64 `json:"loss"`     // null if not known
	ValLoss *float64 `json:"val_loss"` // null if not known
	Bytes   int64    `json:"bytes"`
	State   string   `json:"state"` // "sealed", "broken", "unreadable" or "set aside"
	Reason  string   `json:"reason,omitempty"`
	Latest  bool     `json:"latest"`
	Best    bool     `json:"best"`
	File    string   `json:"file"`
}

// Checkpoints describes the checkpoints of a run, oldest first, followed by those
// that were set aside. The run may be in progress. The state of a checkpoint is
// derived from its header and seal only.
func Checkpoints(run string) (rows []KeptCheckpoint, err error) {
	if _, err := find.Expect(run, "a run's folder", find.RunFolder, find.ModelFolder, find.OtherFolder); err != nil {
		return nil, err
	}
	err = find.Again(run, func() (err error) {
		rows, err = checkpoints(run)
		return err
	})
	return rows, err
}

func checkpoints(run string) (rows []KeptCheckpoint, err error) {
	saved, aside, err := store.List(run, model.CheckSeal)
	if err != nil {
		return nil, err
	}
	if len(saved)+len(aside) == 0 {
		return nil, find.NoCheckpoint(run)
	}
	for _, c := range saved {
		row, err := describe(c)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	for _, path := range aside {
		rows = append(rows, KeptCheckpoint{State: "set aside", File: path})
	}
	return rows, nil
}

// describe returns an error only if the checkpoint no longer exists.
func describe(c store.Saved) (KeptCheckpoint, error) {
	row := KeptCheckpoint{Step: c.Step, Bytes: c.Bytes, State: "sealed", Latest: c.Latest, Best: c.Best, File: c.Path}
	fails := func(state string, err error) (KeptCheckpoint, error) {
		row.State, row.Reason = state, quote.Line(err.Error(), 2000)
		return row, nil
	}
	if c.Broken != nil {
		return fails("broken", c.Broken)
	}
	f, err := format.Open(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return row, err
	}
	if err = cmp.Or(c.Err, err); err != nil {
		return fails("unreadable", err)
	}
	defer f.Close()
	if row.Loss, row.ValLoss, err = model.Losses(f.Metadata()); err != nil {
		return fails("broken", err)
	}
	return row, nil
}

// Average returns the mean of the weights of several checkpoints of one network,
// without training state, and the files that it averaged. The folder of a run means
// the checkpoints that it keeps: the newest last of them, or all if last is
// 0.
func Average(paths []string, last int, tell Tell) (mean *model.Checkpoint, files []string, err error) {
	runs := 0
	for _, path := range paths {
		kept, isRun, err := find.Checkpoints(path)
		if err != nil {
			return nil, nil, err
		}
		if isRun {
			runs++
			if last > 0 {
				kept = kept[max(0, len(kept)-last):]
			}
		}
		files = append(files, kept...)
	}
	if last > 0 && runs == 0 {
		return nil, nil, &Error{Option: "last", Value: "belongs to a run's folder", Err: errors.New("none is named")}
	}
	if len(files) < 2 {
		return nil, nil, &Error{Err: fmt.Errorf("a mean takes two checkpoints, there is %d", len(files)), Do: NameMore}
	}
	var sum model.Mean
	for _, path := range files {
		c, _, err := find.Load(path, tell, model.LoadModel)
		if err != nil {
			return nil, nil, err
		}
		if err := sum.Add(c); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	mean, err = sum.Checkpoint()
	return mean, files, err
}
