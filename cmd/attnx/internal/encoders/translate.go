package encoders

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime/decode"
)

// translateReport is the JSON of translate.
type translateReport struct {
	Model   string          `json:"model"`
	Runtime string          `json:"runtime"`
	Texts   []translateText `json:"texts"`
}

// translateText is a text with its translations, the best first.
type translateText struct {
	Text         string            `json:"text"`
	Translations []translationText `json:"translations"`
}

type translationText struct {
	Text  string  `json:"text"`
	Score float64 `json:"score"` // sum of the logarithms of the tokens' probabilities, divided by length^penalty
	Ended bool    `json:"ended"` // false: the limit of tokens cut it off
	IDs   []int64 `json:"ids"`

	Alignment *attnx.Alignment `json:"alignment"` // with --alignment; otherwise null
}

// searchEnds are the values of --early-stopping.
var searchEnds = map[string]decode.EarlyStopping{"estimate": decode.StopByEstimate, "full": decode.StopWhenFull, "never": decode.StopNever}

// Translate returns the command translate.
func Translate(s console.Streams) *cobra.Command {
	var from sources
	var how attnx.Translation
	var early string
	var asJSON, align bool
	cmd := &cobra.Command{
		Use:   "translate MODEL --text TEXT|--file FILE",
		Short: "Translate texts",
		Long: `Translate each text with a network that has an encoder and a decoder, and print
its best translation on a line. A blank line of --file stays one. MODEL is a
Hugging Face folder of such a network, a checkpoint, or a folder of ONNX files
that export wrote: these run as they are, in the numbers that they have. Special
tokens are not printed; the JSON has their ids.

The encoder runs once for each text. With --beams above 1 several translations
are continued at the same time, and the best complete one is taken: its score is
the sum of the logarithms of the probabilities of its tokens, divided by its
length to the power of --length-penalty. The search and its settings are those
of transformers. What is not given is as the model's generation_config.json
says.

--alignment adds, after |||, pairs of tokens source-target, which count from 0:
for each token of the translation, the token of the text to which the decoder's
attention gives the most weight, as the mean over its layers and heads. The JSON
has the tokens and all weights.`,
		Example: `  attnx translate model/ --text 'File not found'
  attnx translate run/ --file lines.txt --beams 4 --best 2 --json`,
		Args: usage.OneArg("model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if how.Beams < 0 || how.Best < 1 || how.MaxTokens < 0 {
				return fmt.Errorf("--beams is %d, --best %d and --max-tokens %d: --best is 1 or more, the others 0 (what the model says) or more", how.Beams, how.Best, how.MaxTokens)
			}
			end, known := searchEnds[early]
			if early != "" && !known {
				return fmt.Errorf("--early-stopping is %.40q: take estimate, full or never", early)
			}
			if err := from.device.Check(); err != nil {
				return err
			}
			texts, err := from.read(s)
			if err != nil {
				return err
			}
			t, err := attnx.OpenTranslator(args[0], from.device.Options(s))
			if err != nil {
				return err
			}
			defer t.Close()
			fmt.Fprintf(s.Note, "running in %s\n", words.Replace(t.Runtime.String()))
			given := t.Default
			if how.MaxTokens > 0 {
				given.MaxTokens = how.MaxTokens
			}
			if how.Beams > 0 {
				given.Beams = how.Beams
			}
			given.Best = how.Best
			if cmd.Flags().Changed("length-penalty") {
				given.LengthPenalty = how.LengthPenalty
			}
			if early != "" {
				given.EarlyStopping = end
			}
			var said []string // texts that are not blank
			var place []int
			for i, text := range texts {
				if strings.TrimSpace(text) == "" && i >= len(from.texts) {
					continue
				}
				if _, err := t.Encode(from.names[i], text); err != nil {
					return err
				}
				said, place = append(said, text), append(place, i)
			}
			translated, err := t.Translate(cmd.Context(), said, given)
			if err != nil {
				return err
			}
			out := make([][]attnx.Translated, len(texts))
			for i, of := range translated {
				out[place[i]] = of
			}
			report := translateReport{Model: args[0], Runtime: t.Runtime.String()}
			for i, of := range out {
				line := translateText{Text: texts[i], Translations: []translationText{}}
				for _, x := range of {
					one := translationText{x.Text, x.Score, x.Ended, x.IDs, nil}
					if align {
						source, err := t.Encode("the text", texts[i])
						if err != nil {
							return err
						}
						if one.Alignment, err = t.Align(source, x.IDs); err != nil {
							return err
						}
					}
					line.Translations = append(line.Translations, one)
				}
				report.Texts = append(report.Texts, line)
			}
			if asJSON {
				return usage.PrintJSON(s.Out, report)
			}
			for _, line := range report.Texts {
				if len(line.Translations) == 0 { // a blank line stays where it was
					if _, err := fmt.Fprintln(s.Out); err != nil {
						return fmt.Errorf("standard output: %w", err)
					}
				}
				for _, x := range line.Translations {
					if _, err := fmt.Fprintln(s.Out, quote.Line(x.Text, 1<<20)+links(x.Alignment)); err != nil {
						return fmt.Errorf("standard output: %w", err)
					}
				}
			}
			return nil
		},
	}
	from.blank = true
	from.flags(cmd)
	f := cmd.Flags()
	f.IntVar(&how.Beams, "beams", 0, "translations continued at the same time (0: what the model says)")
	f.IntVar(&how.Best, "best", 1, "translations of each text, the best first")
	f.IntVar(&how.MaxTokens, "max-tokens", 0, "longest translation in tokens (0: what the model says)")
	f.Float64Var(&how.LengthPenalty, "length-penalty", 1, "power of the length in a score: more favors long translations")
	f.BoolVar(&align, "alignment", false, "say on which tokens of the text each token of a translation rests")
	f.StringVar(&early, "early-stopping", "", "end of the search: estimate, full or never (empty: what the model says)")
	usage.JSONFlag(cmd, &asJSON, translateReport{})
	return cmd
}

// links returns an alignment as Marian and others write it: " ||| 0-0 1-2".
func links(a *attnx.Alignment) string {
	if a == nil {
		return ""
	}
	out := " |||"
	for _, l := range a.Links {
		out += fmt.Sprintf(" %d-%d", l[0], l[1])
	}
	return out
}
