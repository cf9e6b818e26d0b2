package versus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/plot"
	"github.com/attnx/attnx/cmd/attnx/internal/trainview"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
)

// PictureName is the picture of Train, in the folder of its runs.
const PictureName = "compare.png"

// mostApart is the difference in parameters, in percent, above which Train warns.
const mostApart = 3

// leastEvaluations is how often a run is evaluated at least, so that runs of other speeds can be
// compared at equal seconds.
const leastEvaluations = 10

// Train trains a network and then, with the same budget of parameters, data, steps and seconds,
// others, each into a folder of its name below o.Out. Another one ends with its steps or, if it is slower,
// with the seconds of the first. A faster one is compared where it ended, for which a
// run has evaluations on its way. It ends with a picture of the runs
// there, and what compare says of them. ended says why a run ended early.
func Train(ctx context.Context, s console.Streams, o attnx.TrainOptions, others []string, asJSON bool, ended func(*attnx.TrainResult, error) error) error {
	for _, name := range others {
		if err := o.CheckAgainst(name); err != nil {
			return err
		}
	}
	own := arch.Decoders()
	if len(o.Pairs.Files) > 0 {
		own = arch.Translators()
	}
	if every := max(1, o.Settings.Steps/leastEvaluations); o.Settings.Steps > 0 && (o.Settings.EvalEvery == 0 || o.Settings.EvalEvery > every) {
		o.Settings.EvalEvery = every
		fmt.Fprintf(s.Note, "the runs are evaluated every %s, so that they can be compared at equal seconds\n", quote.Of(every, "step"))
	}
	parent := o.Out
	var runs []string
	var first *attnx.TrainResult
	for i, name := range append([]string{cmp.Or(o.Arch, own[0])}, others...) {
		run := o
		if i > 0 {
			n, parameters, err := o.Against(name, first.Model)
			if err != nil {
				return err
			}
			run = n
			run.Seconds = first.Seconds
			want, err := first.Model.Parameters()
			if err != nil {
				return err
			}
			apart := 100 * float64(parameters-want) / float64(want)
			line := fmt.Sprintf("%s has width %d against %s: %s parameters, %+.1f %%", name, run.Sizes.Width, first.Model.Arch, quote.Count(parameters), apart)
			if apart > mostApart || apart < -mostApart {
				s.Tell(attnx.Warning, line+": no width is closer")
			} else {
				fmt.Fprintln(s.Note, line)
			}
		}
		run.Out = filepath.Join(parent, name)
		view := &trainview.View{Ctx: ctx, Streams: s, Fresh: true}
		run.Events = view.Events()
		result, err := attnx.Train(ctx, run)
		view.Finish()
		if result == nil {
			return err
		}
		if err := errors.Join(view.End(result, false), ended(result, err)); err != nil {
			return err
		}
		if first == nil {
			first = result
		} else if result.Ended == attnx.Spent {
			fmt.Fprintf(s.Note, "%s ended after %d of %d steps: it had the %.1f s of %s\n", name, result.Done, result.Steps, run.Seconds, first.Model.Arch)
		}
		runs = append(runs, run.Out)
	}
	c, err := attnx.CompareRuns(runs, attnx.Options{Tell: s.Tell})
	if err != nil {
		return err
	}
	picture := filepath.Join(parent, PictureName)
	if err := plot.Runs(picture, c.Runs); err != nil {
		return err
	}
	fmt.Fprintf(s.Note, "wrote %s\n", picture)
	if asJSON {
		report := trainview.ReportOf(first)
		report.Comparison = c
		return usage.PrintJSON(s.Out, report)
	}
	return print(s, c)
}
