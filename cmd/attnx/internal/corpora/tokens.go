// Package corpora holds the command that prepares training data.
package corpora

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// report is the JSON of tokens.
type report struct {
	File      string `json:"file"`
	Files     int    `json:"files"`     // of text
	Documents int    `json:"documents"` // in them
	Bytes     int64  `json:"bytes"`     // of text
	Tokens    int    `json:"tokens"`
	SHA256    string `json:"sha256"` // of the ids
	Resumed   bool   `json:"resumed"`
}

// Tokens returns the command tokens.
func Tokens(s console.Streams) *cobra.Command {
	var o attnx.TokensOptions
	var by string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tokens --data PATH -o FILE",
		Short: "Turn a text into a token file, for texts larger than the memory",
		Long: `Turn a text into a token file: the ids of its tokens, two or four bytes each,
which train --data reads batch by batch. It takes no memory in training, so it
may be larger than the memory, and many runs can learn from it.

--data takes what train takes: files, folders with --glob, patterns, gzip and
zstd, - for standard input. Files named .jsonl or .ndjson hold an object on each
line: with text, with prompt and completion, of which the completion is learned,
or with messages, in the chat template of the model --tokenizer, of which the
assistant's answers are learned. Any other file is one document, which must fit
into memory.

--tokenizer names a model, a tokenizer.json or a token file, whose tokenizer is
used. char, word or bpe makes one from the text, which must then fit into
memory.

Ctrl-C leaves what is done beside FILE; the same command goes on there. FILE is
a safetensors file with the tensor ids, and carries its tokenizer.`,
		Example: `  attnx tokens --data "$(go env GOROOT)/src" --glob '*.go' --tokenizer bpe \
    --vocab 4096 -o go.safetensors`,
		Args: usage.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Out == "" {
				return fmt.Errorf("give -o, the token file to write")
			}
			if kind, err := tokens.ParseKind(by); err == nil {
				o.Kind = kind
			} else {
				o.Tokenizer = by
			}
			if o.Tokenizer != "" && cmd.Flags().Changed("vocab") {
				return fmt.Errorf("--vocab belongs to a tokenizer that is made from the text: %s has its own", by)
			}
			if cmd.Flags().Changed("glob") && !usage.SomeFolder(o.Data.Files) {
				return usage.NoFolder(o.Data.Glob, "--data names none")
			}
			if slices.Contains(o.Data.Files, train.Stdin) {
				s.SayInput()
				o.Data.Reader = s.In
			}
			return write(cmd.Context(), s, o, asJSON)
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&o.Data.Files, "data", nil, "text file, folder or pipe (-: standard input)")
	fl.StringVar(&o.Data.Glob, "glob", "*", "which files of a folder, by name")
	fl.StringVar(&by, "tokenizer", "char", "word, char or bpe, or the path of a model or tokenizer")
	fl.IntVar(&o.Vocab, "vocab", 0, "largest number of tokens in the vocabulary (default: every word or character; 512 for bpe)")
	fl.StringVarP(&o.Out, "output", "o", "", "token file to write")
	usage.JSONFlag(cmd, &asJSON, report{})
	return cmd
}

func write(ctx context.Context, s console.Streams, o attnx.TokensOptions, asJSON bool) error {
	ending.FinishFirst(ctx)
	var bar *terminal.Progress
	o.Progress = func(done, total int64) {
		const MB = 1_000_000
		if total < 8*MB {
			return
		}
		if bar == nil {
			bar = terminal.NewProgress(s.Note, "tokenizing", int(total/MB), "MB")
		}
		bar.Set(int(done / MB))
	}
	done, err := attnx.WriteTokens(ctx, o)
	if bar != nil {
		bar.Finish()
	}
	if err != nil {
		if ctx.Err() != nil {
			fmt.Fprintf(s.Err, "stopped; the same command continues\n")
		}
		return err
	}
	fmt.Fprintf(s.Note, "%s: %s tokens of %s bytes in %s documents (SHA-256 %.12s)\n", o.Out, quote.Count(done.IDs), quote.Count(int(done.Bytes)), quote.Count(done.Documents), done.SHA256)
	if !asJSON {
		return nil
	}
	return usage.PrintJSON(s.Out, report{
		File: o.Out, Files: done.Files, Documents: done.Documents, Bytes: done.Bytes, Tokens: done.IDs, SHA256: done.SHA256, Resumed: done.Resumed,
	})
}
