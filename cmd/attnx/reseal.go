package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
)

func resealCommand(s streams) *cobra.Command {
	var out string
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
			path := args[0]
			if out == "" {
				out = path
			}
			if err := regularFile(path); err != nil {
				return err
			}
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
			fmt.Fprintf(s.out, "sealed  %s  %s\n", done.Seal.Root, out)
			if done.Same == nil {
				fmt.Fprintf(s.note, "%d tensors, and no old seal to compare them with\n", len(done.Tensors))
				return nil
			}
			fmt.Fprintf(s.note, "%d of %d tensors are as the old seal has them\n", len(done.Same), len(done.Tensors))
			same := map[string]bool{}
			for _, name := range done.Same {
				same[name] = true
			}
			changed := slices.DeleteFunc(done.Tensors, func(name string) bool { return same[name] })
			if len(changed) > 0 {
				fmt.Fprintf(s.note, "changed: %s\n", strings.Join(changed, ", "))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (default: the same file, once the new one is complete)")
	return cmd
}
