package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
)

// resealReport is what reseal prints as JSON.
type resealReport struct {
	File      string   `json:"file"`
	Root      string   `json:"root"` // hexadecimal
	Tensors   int      `json:"tensors"`
	WasSealed bool     `json:"was_sealed"` // by an old seal that the tensors could be compared with
	Changed   []string `json:"changed"`    // tensors that are not as the old seal has them
}

func newResealReport(file string, done format.Resealed) resealReport {
	same := map[string]bool{}
	for _, name := range done.Same {
		same[name] = true
	}
	r := resealReport{File: file, Root: done.Seal.Root.String(), Tensors: len(done.Tensors), WasSealed: done.Same != nil, Changed: []string{}}
	for _, name := range done.Tensors {
		if r.WasSealed && !same[name] {
			r.Changed = append(r.Changed, name)
		}
	}
	return r
}

func resealCommand(s streams) *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reseal FILE",
		Short: "Give a file that another tool wrote or rewrote a new seal",
		Long: `Write a safetensors file in canonical order and with a seal, in its place or to
another file. Its tensors are taken as they are now. If another tool kept the
old seal among the tensors, attnx says which of them are still what was sealed.

A file that is broken in itself, cut short for instance, gets no seal.`,
		Example: "  attnx reseal model.safetensors\n  attnx reseal model.safetensors -o sealed.safetensors",
		Args:    oneArg("safetensors file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, what := args[0], output.Checkpoint
			if out == "" {
				out, what = path, output.Resealed
			}
			if _, err := find.Expect(path, "a safetensors file", find.Safetensors); err != nil {
				return err
			}
			place, err := claim(what, out, path)
			if err != nil {
				return err
			}
			defer place.Close()
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				return err
			}
			var done format.Resealed
			err = store.Save(out, func(w io.Writer) error {
				done, err = format.Reseal(w, f, info.Size())
				return err
			})
			if err != nil {
				return err
			}
			r := newResealReport(out, done)
			switch {
			case !r.WasSealed:
				fmt.Fprintf(s.note, "%d tensors, and no old seal to compare them with\n", r.Tensors)
			case len(r.Changed) > 0:
				fmt.Fprintf(s.note, "%d of %d tensors are as the old seal has them\nchanged: %s\n", r.Tensors-len(r.Changed), r.Tensors, strings.Join(r.Changed, ", "))
			default:
				fmt.Fprintf(s.note, "%[1]d of %[1]d tensors are as the old seal has them\n", r.Tensors)
			}
			if asJSON {
				return printJSON(s.out, r)
			}
			_, err = fmt.Fprintf(s.out, "sealed  %s  %s\n", r.Root, out)
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (default: the same file, once the new one is complete)")
	jsonFlag(cmd, &asJSON, resealReport{})
	return cmd
}
