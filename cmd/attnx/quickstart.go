package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/flags"
	"github.com/attnx/attnx/cmd/attnx/internal/lesson"
	"github.com/attnx/attnx/cmd/attnx/internal/tasks"
	"github.com/attnx/attnx/cmd/attnx/internal/trainview"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
)

// quickstartAnswers are prompts and the answers in the training notes.
var quickstartAnswers = []struct{ prompt, want string }{
	{"not like", "hate"},
	{"do like", "like"},
}

// quickstartReport is the JSON of quickstart.
type quickstartReport struct {
	Folder  string         `json:"folder"`
	Verify  runtime.Report `json:"verify"`
	Answers []answer       `json:"answers"`
}

// answer is a model's answer to a prompt, and the expected one.
type answer struct {
	Prompt string `json:"prompt"`
	Answer string `json:"answer"`
	Taught string `json:"taught"`
}

func quickstartCommand(s console.Streams) *cobra.Command {
	var out string
	var asJSON bool
	var task string
	cmd := &cobra.Command{
		Use:   "quickstart",
		Short: "Train, export, verify and ask a small model, in under a minute",
		Long: `Train a small self-attention model on a few sentences, save it, export it to
ONNX, run it in ONNX Runtime (fetched with npm or pip; left out without them)
and in onnx-go, compare every runtime with a float64 oracle, and ask it what
comes after "not like" and "do like".

--task translate trains a translator instead, in two or three minutes, on
sentences of a small grammar, and translates sentences that it has not seen.
With --json the result is then folder, scores (sentences, exact, bleu, chrf) and
sentences[] (source, translation, reference).`,
		Example: "  attnx quickstart",
		Args:    usage.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			story := s
			if asJSON {
				story.Out = s.Note
			}
			switch {
			case !slices.Contains(tasks.Names, task):
				return fmt.Errorf("--task %.80q: take %s", task, quote.Or(tasks.Names))
			case task == tasks.Translate:
				report, err := lesson.Translate(cmd.Context(), story, out, fetchRuntime(cmd.Context(), story))
				if asJSON && err == nil {
					err = usage.PrintJSON(s.Out, report)
				}
				if err == nil && !report.Learned() {
					fmt.Fprintln(s.Err, "attnx: too few translations are exact, or the exported files differ")
					err = errMismatch
				}
				return err
			}
			report, err := quickstart(cmd, story, out)
			if asJSON && (err == nil || errors.Is(err, errMismatch)) {
				err = errors.Join(err, usage.PrintJSON(s.Out, report))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "quickstart", "folder for the files; a number is added if it is taken")
	cmd.Flags().StringVar(&task, "task", tasks.Names[0], "what to learn: "+quote.Or(tasks.Names))
	usage.JSONFlag(cmd, &asJSON, quickstartReport{})
	return cmd
}

func quickstart(cmd *cobra.Command, s console.Streams, out string) (r quickstartReport, err error) {
	r.Answers = []answer{}
	folder, place, err := output.Fresh(out)
	if err != nil {
		return r, fmt.Errorf("--out: %w", err)
	}
	defer place.Close()
	in := func(name string) string { return filepath.Join(folder, name) }

	say := func(n int, what string) { fmt.Fprintf(s.Out, "\n%d. %s\n", n, what) }
	say(1, "Train a self-attention model in Go")
	data := in("notes.txt")
	if err := os.WriteFile(data, []byte(fixtures.Notes()), 0o666); err != nil {
		return r, err
	}
	settings := train.DefaultOptions(300) // enough steps for the tiny preset to learn its answers
	settings.Batch, settings.LR, settings.MinLR, settings.Seed = 16, 5e-3, 5e-4, 1
	settings.SaveEvery, settings.Keep = settings.Steps, 1
	view := &trainview.View{Ctx: cmd.Context(), Streams: s, Fresh: true}
	run, err := attnx.Train(cmd.Context(), attnx.TrainOptions{
		Out: folder, Data: attnx.Corpus{Files: []string{data}}, Kind: tokens.Word, Vocab: 64,
		Settings: settings, Engine: "gorgonia", Events: view.Events(),
	})
	view.Finish()
	if run != nil {
		err = errors.Join(view.End(run, false), err)
	}
	if err != nil {
		return r, err
	}
	c, err := attnx.Load(folder, s.Tell)
	if err != nil {
		return r, err
	}

	say(2, "Export it to ONNX")
	for _, f := range []struct {
		name    string
		profile export.Profile
	}{{"model.onnx", export.Plain{}}, {"model.flat.onnx", export.Flat{}}} {
		sum, err := attnx.ExportCheckpoint(cmd.Context(), c, in(f.name), attnx.ExportOptions{Profile: f.profile})
		if err != nil {
			return r, err
		}
		fmt.Fprintf(s.Out, "%s: profile %s, opset %d, %d nodes, %s bytes\n", in(f.name), f.profile.Name(), sum.Opset, sum.Nodes, thousands(int(sum.Bytes)))
	}

	say(3, "Run it everywhere and compare with a float64 oracle")
	missing := fetchRuntime(cmd.Context(), s)
	var names []string
	if missing != nil { // without ONNX Runtime, onnx-go runs the flat file
		names = []string{"ref", "gorgonia", "onnx-go"}
	}
	r.Folder = folder
	r.Verify, err = verified(cmd.Context(), s, []string{folder, in("model.onnx"), in("model.flat.onnx")}, receiptFlags{}, attnx.VerifyOptions{Runtimes: names, Seed: 1})
	if err != nil {
		return r, err
	}
	if err := r.Verify.WriteText(s.Out); err != nil {
		return r, err
	}
	if r.Verify.Verdict != runtime.Pass {
		return r, errMismatch
	}
	if missing != nil {
		fmt.Fprintf(s.Out, "%s was not run: that takes ONNX Runtime\n", in("model.onnx"))
	}

	say(4, "Ask it")
	if r.Answers, err = ask(cmd.Context(), s, in, missing); err != nil {
		return r, err
	}

	fmt.Fprintf(s.Out, "\nFiles in %s:\n", folder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return r, err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			fmt.Fprintf(s.Out, "  %-26s %9s bytes\n", e.Name(), thousands(int(info.Size())))
		}
	}
	fmt.Fprintf(s.Out, `
Next:
  attnx attention %[1]s --text "do like" -o %[2]s
  attnx inspect %[3]s
  attnx train --data "$(go env GOROOT)/src/strconv" --glob '*.go' --tokenizer char --preset nano --steps 200 --out runs/go
`, folder, in("attention.png"), in("model.onnx"))
	return r, nil
}

// ask runs the prompts in ONNX Runtime, or in onnx-go if it is missing, and
// fails if an answer is not the expected one.
func ask(ctx context.Context, s console.Streams, in func(string) string, missing error) (answers []answer, err error) {
	path := in("model.onnx")
	if missing != nil {
		path = in("model.flat.onnx")
	}
	t, err := attnx.Open(path, flags.Device{Name: "cpu"}.Options(s))
	if err != nil {
		return answers, err
	}
	defer t.Close()
	fmt.Fprintf(s.Out, "asking %s\n", t.Runtime)
	for _, q := range quickstartAnswers {
		out, err := t.Generate(ctx, []string{q.prompt}, attnx.Generation{MaxTokens: 1})
		if err != nil {
			return answers, err
		}
		said := strings.TrimSpace(out[0].Text)
		fmt.Fprintf(s.Out, "  after %-10q it says %q\n", q.prompt, said)
		answers = append(answers, answer{q.prompt, said, q.want})
		if said != q.want {
			fmt.Fprintf(s.Err, "attnx: after %q the model was taught to say %q\n", q.prompt, q.want)
			return answers, errMismatch
		}
	}
	return answers, nil
}
