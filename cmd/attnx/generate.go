package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

func generateCommand(s streams) *cobra.Command {
	var prompt string
	var maxTokens int
	var sampler model.Sampler
	var d device
	cmd := &cobra.Command{
		Use:   "generate CHECKPOINT|ONNX --prompt TEXT",
		Short: "Go on with a text",
		Long: `Go on with a text. What the model writes goes to standard output as it comes;
everything else goes to standard error. Without --temperature the likeliest
token is taken every time.`,
		Example: `  attnx generate go.onnx --prompt 'func ' --max-tokens 100 --temperature 0.8 --top-k 40`,
		Args:    oneArg("checkpoint or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if prompt == "" {
				return fmt.Errorf("--prompt is missing or empty: give the text to go on with")
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
			l, err := openLanguage(args[0], d, s.err)
			if err != nil {
				return err
			}
			defer l.session.Close()
			ids, err := l.encode(prompt, s.err)
			if err != nil {
				return err
			}
			fmt.Fprintf(s.err, "running in %s\n", l.running)
			decoder := l.tok.NewDecoder()
			for _, id := range ids { // whether a word begins with a space depends on what is before it
				if _, err := decoder.Next(id); err != nil {
					return err
				}
			}
			began := time.Now()
			all, err := runtime.Generate(cmd.Context(), runtime.Recompute(l.session, 1, l.config.Context), [][]int64{ids}, runtime.GenerateOptions{
				MaxTokens: maxTokens,
				Pick:      func(logits []float32, _, step int) (int, error) { return sampler.Pick(logits, step) },
				Stop:      l.tok.Stop(),
				OnToken: func(_ int, id int64) error {
					text, err := decoder.Next(id)
					if err != nil {
						return err
					}
					_, err = fmt.Fprint(s.out, text)
					return err
				},
			})
			out := all[0]
			if len(out.IDs) > 0 || err == nil {
				if _, err := fmt.Fprintln(s.out, decoder.Flush()); err != nil {
					return fmt.Errorf("standard output: %w", err)
				}
			}
			if err != nil {
				return err
			}
			seconds := time.Since(began).Seconds()
			fmt.Fprintf(s.err, "%d tokens, %.1f tokens/s", len(out.IDs), float64(len(out.IDs))/seconds)
			if out.Reason == runtime.StopContext {
				fmt.Fprintf(s.err, "; stopped at the model's context of %d tokens", l.config.Context)
			}
			fmt.Fprintln(s.err)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&prompt, "prompt", "", "text to go on with")
	fl.IntVar(&maxTokens, "max-tokens", 50, "tokens to write at most")
	fl.Float64Var(&sampler.Temperature, "temperature", 0, "0 takes the likeliest token; higher draws more freely")
	fl.IntVar(&sampler.TopK, "top-k", 0, "draw from the K likeliest tokens only (0: all)")
	fl.Float64Var(&sampler.TopP, "top-p", 0, "draw from the fewest tokens with this probability together (0: all)")
	fl.Uint64Var(&sampler.Seed, "seed", 1, "seed of the draws")
	d.flags(fl)
	return cmd
}
