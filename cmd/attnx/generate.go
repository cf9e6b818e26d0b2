package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime"
)

func generateCommand(s streams) *cobra.Command {
	var prompts []string
	var maxTokens int
	var sliding bool
	var sampler model.Sampler
	var d device
	cmd := &cobra.Command{
		Use:   "generate CHECKPOINT|ONNX|FOLDER --prompt TEXT",
		Short: "Go on with a text",
		Long: `Go on with a text. What the model writes goes to standard output as it comes;
everything else goes to standard error. Without --temperature the likeliest
token is taken every time. A checkpoint, a file of the profile cache and a
folder with one run each token alone, with the keys and values of the text so
far kept where the model runs; other files run the whole text for each token.

Several --prompt are run as one batch, and their texts are printed in their
order at the end. A text stops when it is as long as the model can see; with
--sliding it goes on, seeing its last half then.`,
		Example: `  attnx generate go.onnx --prompt 'func ' --temperature 0.8 --top-k 40`,
		Args:    oneArg("checkpoint, ONNX file or folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(prompts) == 0 {
				return fmt.Errorf("--prompt is missing: give the text to go on with")
			}
			for _, p := range prompts {
				if p == "" {
					return fmt.Errorf("--prompt is missing or empty: give the text to go on with")
				}
			}
			if maxTokens < 1 {
				return fmt.Errorf("--max-tokens is %d, wants 1 or more", maxTokens)
			}
			if err := sampler.Check(); err != nil {
				return err
			}
			if sampler.Temperature == 0 && (cmd.Flags().Changed("top-k") || cmd.Flags().Changed("top-p") || cmd.Flags().Changed("seed")) {
				fmt.Fprintln(s.err, "attnx: without --temperature the likeliest token is taken: --top-k, --top-p and --seed change nothing")
			}
			l, err := openLanguage(args[0], d, s)
			if err != nil {
				return err
			}
			defer l.Close()
			w := writer{out: s.out, streams: len(prompts) == 1}
			var texts [][]int64
			for i, p := range prompts {
				name := "--prompt"
				if len(prompts) > 1 {
					name = fmt.Sprintf("--prompt number %d", i+1)
				}
				ids, err := l.encode(name, p, s)
				if err != nil {
					return err
				}
				texts = append(texts, ids)
				if err := w.begin(p, l.tok.NewDecoder(), ids); err != nil {
					return err
				}
			}
			m, err := l.model(len(texts))
			if err != nil {
				return err
			}
			fmt.Fprintf(s.note, "running in %s\n", l.running)
			began := time.Now()
			out, err := runtime.Generate(cmd.Context(), m, texts, runtime.GenerateOptions{
				MaxTokens: maxTokens,
				Sliding:   sliding,
				Pick: func(logits []float32, sequence, step int) (int, error) {
					own := sampler
					own.Seed += uint64(sequence) // equal prompts draw apart
					return own.Pick(logits, step)
				},
				Stop:    l.end,
				OnToken: w.token,
			})
			n := 0
			for _, g := range out {
				n += len(g.IDs)
			}
			if n > 0 || err == nil {
				if err := w.end(); err != nil {
					return fmt.Errorf("standard output: %w", err)
				}
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(s.note, "%d tokens, %.1f tokens/s", n, float64(n)/time.Since(began).Seconds())
			for _, g := range out {
				if g.Reason == runtime.StopContext {
					fmt.Fprintf(s.note, "; stopped at the model's context of %d tokens", l.context)
					break
				}
			}
			fmt.Fprintln(s.note)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&prompts, "prompt", nil, "text to go on with; several are one batch")
	fl.IntVar(&maxTokens, "max-tokens", 50, "tokens to write at most")
	fl.BoolVar(&sliding, "sliding", false, "go on beyond the model's context, seeing the last half of the text")
	fl.Float64Var(&sampler.Temperature, "temperature", 0, "0 takes the likeliest token; higher draws more freely")
	fl.IntVar(&sampler.TopK, "top-k", 0, "draw from the K likeliest tokens only (0: all)")
	fl.Float64Var(&sampler.TopP, "top-p", 0, "draw from the fewest tokens with this probability together (0: all)")
	fl.Uint64Var(&sampler.Seed, "seed", 1, "seed of the draws")
	d.flags(fl)
	return cmd
}

// writer writes the texts of a batch: a single one as its tokens come, several
// at the end, each under its prompt.
type writer struct {
	out      io.Writer
	streams  bool
	prompts  []string
	decoders []*tokens.Decoder
	texts    []string // so far, where they do not stream
}

// begin adds a text. Its prompt goes through the decoder: whether a word begins
// with a space depends on what is before it.
func (w *writer) begin(prompt string, d *tokens.Decoder, ids []int64) error {
	w.prompts, w.decoders, w.texts = append(w.prompts, prompt), append(w.decoders, d), append(w.texts, "")
	for _, id := range ids {
		if _, err := d.Next(id); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) token(sequence int, id int64) error {
	text, err := w.decoders[sequence].Next(id)
	if err != nil {
		return err
	}
	return w.write(sequence, text)
}

func (w *writer) write(sequence int, text string) error {
	if !w.streams {
		w.texts[sequence] += text
		return nil
	}
	_, err := io.WriteString(w.out, text)
	return err
}

// end writes what is left.
func (w *writer) end() error {
	for i, d := range w.decoders {
		if err := w.write(i, d.Flush()); err != nil {
			return err
		}
		text := "\n"
		if !w.streams {
			text = fmt.Sprintf("%q goes on:\n%s\n", w.prompts[i], w.texts[i])
		}
		if _, err := io.WriteString(w.out, text); err != nil {
			return err
		}
	}
	return nil
}
