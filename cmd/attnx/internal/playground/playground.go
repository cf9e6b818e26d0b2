// Package playground has the flags of export for a page that trains in a browser, and
// the command that serves a folder on this machine.
package playground

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/ending"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/internal/quote"
)

// Help is the part of export's help about the page.
const Help = `--playground DIR/ writes a page that trains the model of a run in a browser: the
step with AdamW, the weights, the run's text as ids, and ONNX Runtime for
browsers, which npm fetches once (33 MB, its SHA-256 is pinned), or which
--ort-web names. The page shows the loss, continues texts, and gives the trained
weights as a checkpoint. It works from any web server; attnx serve is one for
this machine.`

// Flags are the flags of export for a page.
type Flags struct {
	Folder  string
	runtime string
}

// AddTo adds the flags.
func (f *Flags) AddTo(fl *pflag.FlagSet) {
	fl.StringVar(&f.Folder, "playground", "", "write a page that trains the run's model in a browser into this folder")
	fl.StringVar(&f.runtime, "ort-web", "", "with --playground: folder of the npm package onnxruntime-web, instead of fetching it")
}

// allowed are the flags that go with --playground.
var allowed = map[string]bool{"playground": true, "ort-web": true, "batch": true, "length": true, "json": true, "quiet": true, "verbose": true}

// Check refuses flags that do not go together.
func (f *Flags) Check(cmd *cobra.Command) (err error) {
	if f.Folder == "" {
		if f.runtime != "" {
			return fmt.Errorf("--ort-web belongs to --playground")
		}
		return nil
	}
	cmd.Flags().Visit(func(given *pflag.Flag) {
		if !allowed[given.Name] && err == nil {
			err = fmt.Errorf("--%s and --playground exclude each other: a page is written alone", given.Name)
		}
	})
	return err
}

// Write writes the page.
func (f *Flags) Write(cmd *cobra.Command, s console.Streams, run string, batch, length int, asJSON bool) error {
	var bar *terminal.Progress
	r, err := attnx.ExportPlayground(cmd.Context(), run, f.Folder, attnx.PlaygroundOptions{
		Batch: batch, Length: length, Runtime: f.runtime, Tell: s.Tell, Saving: func() { ending.FinishFirst(cmd.Context()) },
		Progress: func(done, total int64) {
			if bar == nil {
				bar = terminal.NewProgress(s.Note, "fetching ONNX Runtime for browsers", int(total>>20), "MB")
			}
			bar.Set(int(done >> 20))
		},
	})
	if bar != nil {
		bar.Finish()
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Note, "wrote %s: %s files, %s bytes, %s parameters, %s tokens of text\n", r.Folder, quote.Count(len(r.Files)), quote.Count(int(r.Bytes)), quote.Count(r.Parameters), quote.Count(r.Tokens))
	fmt.Fprintf(s.Note, "open it: attnx serve %s\n", r.Folder)
	if asJSON {
		return usage.PrintJSON(s.Out, &attnx.ExportReport{Files: r.Files, Bytes: r.Bytes, Profile: "train", DType: "float32"})
	}
	return nil
}
