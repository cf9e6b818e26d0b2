package encoders

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/internal/quote"
)

// classifyReport is the JSON of classify.
type classifyReport struct {
	Model   string         `json:"model"`
	Runtime string         `json:"runtime"`
	Scores  string         `json:"scores"` // softmax, sigmoid or none
	Texts   []classifyText `json:"texts"`
}

// classifyText is a text with its classes, the most likely first.
type classifyText struct {
	Text    string        `json:"text"`
	Classes []attnx.Class `json:"classes"`
}

// Classify returns the command classify.
func Classify(s console.Streams) *cobra.Command {
	var from sources
	var top int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "classify MODEL --text TEXT|--file FILE",
		Short: "Give texts the classes of a classifier",
		Long: `Give each text the classes of a classifier, the most likely first. MODEL is a
Hugging Face folder of a model for sequence classification, a checkpoint, or an
ONNX file of attnx. The names of the classes are the model's (id2label).

Scores are probabilities: of the classes together (softmax), or of each class
alone where a text may have several (sigmoid; problem_type is
multi_label_classification, or there is one class). A regression gives the
numbers themselves.`,
		Example: `  attnx classify sentiment --text 'What a day!' --json
  attnx classify model.onnx --file lines.txt --top 1`,
		Args: usage.OneArg("classifier"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if top < 0 {
				return fmt.Errorf("--top is %d: give 1 or more, or 0 for all", top)
			}
			e, texts, err := from.open(args[0], s, attnx.OpenEncoder)
			if err != nil {
				return err
			}
			defer e.Close()
			_, scores, err := e.Classes()
			if err != nil {
				return err
			}
			classes, err := e.Classify(cmd.Context(), texts)
			if err != nil {
				return err
			}
			report := classifyReport{Model: args[0], Runtime: e.Runtime.String(), Scores: scores}
			for i, of := range classes {
				if top > 0 {
					of = of[:min(top, len(of))]
				}
				report.Texts = append(report.Texts, classifyText{texts[i], of})
			}
			if asJSON {
				return usage.PrintJSON(s.Out, report)
			}
			for _, t := range report.Texts {
				var line []string
				for _, c := range t.Classes {
					line = append(line, fmt.Sprintf("%s %.4f", quote.Line(c.Label, 80), c.Score))
				}
				if _, err := fmt.Fprintln(s.Out, strings.Join(line, ", ")); err != nil {
					return fmt.Errorf("standard output: %w", err)
				}
			}
			return nil
		},
	}
	from.flags(cmd)
	cmd.Flags().IntVar(&top, "top", 0, "classes to show for each text (0: all)")
	usage.JSONFlag(cmd, &asJSON, classifyReport{})
	return cmd
}
