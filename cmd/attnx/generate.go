package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/flags"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/cmd/attnx/internal/texts"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime/decode"
)

func generateCommand(s console.Streams) *cobra.Command {
	var g generation
	cmd := &cobra.Command{
		Use:   "generate CHECKPOINT|GGUF|ONNX|FOLDER --prompt TEXT",
		Short: "Continue a text",
		Long: `Continue a text. What the model writes goes to standard output as it comes, on
a terminal after the prompt; everything else goes to standard error. Without
--temperature the likeliest token is taken every time. A checkpoint, a file of
the profile cache and a folder with one run each token alone, with the keys and
values of the text so far kept where the model runs; other files run the whole
text for each token.

A text ends at any of the ids with which the model ends its texts, before any of
the strings of --stop that the model writes, after --max-tokens, and when it is
as long as the model can see; with --sliding it continues then, and the model
sees its last half. Several --prompt are run as one batch, and their texts are
printed in their order at the end.

--chat holds a conversation in the form of the model's chat template: each line
of standard input is a message, to its end, or each --prompt is one. The model
keeps what it has computed of the turns so far. An answer ends where the model
ends it, or after --max-tokens if that is given.`,
		Example: `  attnx generate go.onnx --prompt 'func ' --temperature 0.8 --top-k 40
  attnx generate go.onnx --prompt - --stop '}' --json
  attnx generate model.gguf --chat --system 'Answer in one word.'`,
		Args: usage.OneArg("checkpoint, GGUF file, ONNX file or folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := g.check(cmd.Flags(), s); err != nil {
				return err
			}
			if g.asChat {
				return g.chat(cmd.Context(), args[0], s)
			}
			return g.run(cmd.Context(), args[0], s)
		},
	}
	g.flags(cmd.Flags())
	usage.JSONFlag(cmd, &g.json, texts.Report{})
	return cmd
}

// generation holds the flags of generate.
type generation struct {
	prompts   []string
	asChat    bool
	system    string
	stops     []string
	maxTokens int
	sliding   bool
	sampler   model.Sampler
	penalty   float64
	json      bool
	device    flags.Device
}

func (g *generation) flags(fl *pflag.FlagSet) {
	fl.StringArrayVar(&g.prompts, "prompt", nil, "text to continue, - for all of standard input; several are one batch")
	fl.BoolVar(&g.asChat, "chat", false, "hold a conversation, a message a line of standard input")
	fl.StringVar(&g.system, "system", "", "with --chat: the system message, which comes before the conversation")
	fl.StringArrayVar(&g.stops, "stop", nil, "end before this text where the model writes it; several end at the first")
	fl.IntVar(&g.maxTokens, "max-tokens", 50, "tokens to write at most")
	fl.BoolVar(&g.sliding, "sliding", false, "continue beyond the model's context, seeing the last half of the text")
	fl.Float64Var(&g.sampler.Temperature, "temperature", 0, "0 takes the likeliest token; higher draws more freely")
	fl.IntVar(&g.sampler.TopK, "top-k", 0, "draw from the K likeliest tokens only (0: all)")
	fl.Float64Var(&g.sampler.TopP, "top-p", 0, "draw from the fewest tokens with this probability together (0: all)")
	fl.Float64Var(&g.penalty, "repetition-penalty", 1, "above 1 makes tokens that the text has already less likely")
	fl.Uint64Var(&g.sampler.Seed, "seed", 1, "seed of the draws")
	g.device.Flags(fl)
}

// check refuses invalid settings and warns of those without effect.
func (g *generation) check(fl *pflag.FlagSet, s console.Streams) error {
	switch {
	case g.asChat && g.sliding:
		return fmt.Errorf("--chat and --sliding exclude each other: a conversation leaves out its oldest turns")
	case g.asChat && slices.Contains(g.prompts, "-"):
		return fmt.Errorf("--prompt -: with --chat standard input is read without it: leave it out")
	case !g.asChat && g.system != "":
		return fmt.Errorf("--system belongs to --chat: give both")
	case len(g.prompts) == 0 && !g.asChat:
		return fmt.Errorf("--prompt is missing: give the text to continue")
	case slices.Contains(g.prompts, ""):
		return fmt.Errorf("--prompt is missing or empty: give the text to continue")
	case g.maxTokens < 1:
		return fmt.Errorf("--max-tokens is %d: give 1 or more", g.maxTokens)
	}
	for _, stop := range g.stops {
		if stop == "" || !utf8.ValidString(stop) {
			return fmt.Errorf("--stop %.80q: give a text of at least one character in UTF-8", stop)
		}
	}
	if g.asChat && !fl.Changed("max-tokens") {
		g.maxTokens = math.MaxInt32
	}
	if err := g.sampler.Check(); err != nil {
		return err
	}
	if err := model.RepetitionPenalty(g.penalty).Check(); err != nil {
		return err
	}
	if g.sampler.Temperature == 0 && (fl.Changed("top-k") || fl.Changed("top-p") || fl.Changed("seed")) {
		fmt.Fprintln(s.Err, "attnx: without --temperature the likeliest token is taken: --top-k, --top-p and --seed change nothing")
	}
	return nil
}

// options returns how texts are continued.
func (g *generation) options() attnx.Generation {
	return attnx.Generation{MaxTokens: g.maxTokens, Sliding: g.sliding, Sampler: g.sampler, RepetitionPenalty: g.penalty, Stops: g.stops}
}

func (g *generation) run(ctx context.Context, path string, s console.Streams) error {
	prompts, err := readPrompts(g.prompts, s)
	if err != nil {
		return err
	}
	if err := g.device.Check(); err != nil {
		return err
	}
	t, err := attnx.Open(path, g.device.Options(s))
	if err != nil {
		return err
	}
	defer t.Close()
	var ids [][]int64
	for i, p := range prompts {
		name := "--prompt"
		if len(prompts) > 1 {
			name = fmt.Sprintf("--prompt number %d", i+1)
		}
		of, err := t.Encode(name, p)
		if err != nil {
			return err
		}
		ids = append(ids, of)
	}
	w := texts.Writer{Out: s.Out, Prompts: prompts, Streams: len(prompts) == 1 && !g.json, Echo: terminal.Of(s.Out) != nil}
	var began time.Time
	begin := func() error {
		fmt.Fprintf(s.Note, "running in %s\n", words.Replace(t.Runtime.String()))
		if err := w.Begin(); err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
		began = time.Now()
		return nil
	}
	o := g.options()
	o.OnBegin, o.OnText = begin, w.Piece
	out, err := t.Continue(ctx, ids, o)
	took := time.Since(began).Seconds()
	n := 0
	for _, o := range out {
		n += len(o.IDs)
	}
	if n > 0 || err == nil {
		show := func() error { return w.End(out) }
		if g.json {
			show = func() error {
				return usage.PrintJSON(s.Out, texts.New(path, t.Runtime.String(), prompts, ids, out, took))
			}
		}
		if err := show(); err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Note, "%d tokens, %.1f tokens/s", n, float64(n)/took)
	if slices.ContainsFunc(out, func(o attnx.Generated) bool { return o.Reason == decode.StopContext }) {
		fmt.Fprintf(s.Note, "; stopped at the model's context of %d tokens", t.Context)
	}
	fmt.Fprintln(s.Note)
	return nil
}

// maxPrompt bounds the bytes read from standard input: no model has a longer
// context.
const maxPrompt = 16 << 20

// readPrompts returns the prompts with "-" replaced by standard input.
func readPrompts(prompts []string, s console.Streams) ([]string, error) {
	read := slices.Clone(prompts)
	at := slices.Index(prompts, "-")
	if at < 0 {
		return read, nil
	}
	if slices.Contains(prompts[at+1:], "-") {
		return nil, fmt.Errorf("--prompt - is given twice: standard input can be read once")
	}
	s.SayInput()
	text, err := io.ReadAll(io.LimitReader(s.In, maxPrompt+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("--prompt -: %w", err)
	case len(text) == 0:
		return nil, fmt.Errorf("--prompt -: standard input is empty: give the text to continue")
	case len(text) > maxPrompt:
		return nil, fmt.Errorf("--prompt -: standard input has more than %d bytes: shorten it", maxPrompt)
	}
	read[at] = string(text)
	return read, nil
}
