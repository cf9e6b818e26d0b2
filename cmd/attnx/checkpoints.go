package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// kept is what checkpoints tells of one of a run.
type kept struct {
	Step    int      `json:"step"`
	Loss    *float64 `json:"loss"`     // null where it is not known
	ValLoss *float64 `json:"val_loss"` // likewise
	Bytes   int64    `json:"bytes"`
	State   string   `json:"state"` // "sealed", "broken", "unreadable" or "set aside"
	Reason  string   `json:"reason,omitempty"`
	Latest  bool     `json:"latest"`
	Best    bool     `json:"best"`
	File    string   `json:"file"`
}

// keptReport is what checkpoints prints as JSON.
type keptReport struct {
	Run         string `json:"run"`
	Checkpoints []kept `json:"checkpoints"`
}

func checkpointsCommand(s streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "checkpoints RUN",
		Short: "List the checkpoints of a run: steps, losses, sizes, state",
		Long: `List the checkpoints in a run's folder. The state is read from header and seal:
they show whether a file was written to its end. attnx verify-seal reads the
rest too. Files that are "set aside" were not whole when the run was resumed.`,
		Example: "  attnx checkpoints runs/go",
		Args:    oneArg("run"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := find.Expect(args[0], "a run's folder", find.RunFolder, find.ModelFolder, find.OtherFolder); err != nil {
				return err
			}
			var rows []kept
			err := find.Again(args[0], func() (err error) {
				rows, err = listKept(args[0])
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, keptReport{args[0], rows})
			}
			return printKept(s.out, rows)
		},
	}
	jsonFlag(cmd, &asJSON, keptReport{})
	return cmd
}

// listKept describes the checkpoints of a run.
func listKept(run string) ([]kept, error) {
	saved, aside, err := store.List(run, model.CheckSeal)
	if err != nil {
		return nil, err
	}
	if len(saved)+len(aside) == 0 {
		return nil, find.NoCheckpoint(run)
	}
	var rows []kept
	for _, c := range saved {
		row, err := describeSaved(c)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	for _, path := range aside {
		rows = append(rows, kept{State: "set aside", File: path})
	}
	return rows, nil
}

// describeSaved returns an error only for a checkpoint that is no longer there.
func describeSaved(c store.Saved) (kept, error) {
	row := kept{Step: c.Step, Bytes: c.Bytes, State: "sealed", Latest: c.Latest, Best: c.Best, File: c.Path}
	if c.Broken != nil {
		row.State, row.Reason = "broken", oneLine(c.Broken.Error())
		return row, nil
	}
	f, err := format.Open(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return row, err
	}
	if err = cmp.Or(c.Err, err); err != nil {
		row.State, row.Reason = "unreadable", oneLine(err.Error())
		return row, nil
	}
	defer f.Close()
	if row.Loss, row.ValLoss, err = model.Losses(f.Metadata()); err != nil {
		row.State, row.Reason = "broken", oneLine(err.Error())
	}
	return row, nil
}

func printKept(w io.Writer, rows []kept) error {
	number := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprintf("%.4f", *v)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "step\tloss\tval loss\tbytes\tstate\tfile")
	for _, r := range rows {
		step, size := fmt.Sprint(r.Step), thousands(int(r.Bytes))
		if r.State == "set aside" {
			step, size = "-", "-"
		}
		words := []string{r.State}
		if r.Latest {
			words = append(words, "latest")
		}
		if r.Best {
			words = append(words, "best")
		}
		if r.Reason != "" {
			words = append(words, "("+r.Reason+")")
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", step, number(r.Loss), number(r.ValLoss), size, strings.Join(words, " "), r.File)
	}
	return tw.Flush()
}

// checkpointsOf returns the files that arguments refer to, those of a run oldest
// first; last, if it is not 0, takes so many of the newest of each run.
func checkpointsOf(args []string, last int) ([]string, error) {
	var paths []string
	runs := 0
	for _, arg := range args {
		if !find.IsFolder(arg) || huggingface.IsFolder(arg) {
			paths = append(paths, arg)
			continue
		}
		saved, _, err := store.List(arg, model.CheckSeal)
		if err != nil {
			return nil, err
		}
		if len(saved) == 0 {
			return nil, find.NoCheckpoint(arg)
		}
		if runs++; last > 0 && last < len(saved) {
			saved = slices.Delete(saved, 0, len(saved)-last)
		}
		for _, c := range saved {
			paths = append(paths, c.Path)
		}
	}
	if last > 0 && runs == 0 {
		return nil, fmt.Errorf("--last belongs to a run's folder, and none is named")
	}
	return paths, nil
}
