// Package usage provides what commands share: argument checks, help, and JSON
// output.
package usage

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Command refuses arguments that are not the name of a subcommand.
func Command(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("there is no command %.80q: did you mean `%s %s`?", args[0], cmd.CommandPath(), near[0])
	}
	return fmt.Errorf("there is no command %.80q: see `%s --help`", args[0], cmd.CommandPath())
}

// SomeFolder reports whether one of the paths may be a folder. A path that does not exist
// counts: reading it reports the error. A pattern matches files only.
func SomeFolder(paths []string) bool {
	return len(paths) == 0 || slices.ContainsFunc(paths, func(path string) bool {
		info, err := os.Stat(path)
		if err != nil {
			return path != "-" && !strings.ContainsAny(path, "*?[")
		}
		return info.IsDir()
	})
}

// NoFolder refuses a pattern for the files of folders where none is named: where
// says which options name none.
func NoFolder(glob, where string) error {
	return fmt.Errorf("--glob %.80q chooses files below folders, and %s: leave it out", glob, where)
}

// NoArgs is for commands that take flags only.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %.80q: see `%s --help`", args[0], cmd.CommandPath())
	}
	return nil
}

// OneArg is for commands that take one file.
func OneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one %s, got %d: see `%[1]s --help`", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// Args is for commands that take n files.
func Args(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%s takes %d %s, got %d: see `%[1]s --help`", cmd.CommandPath(), n, what, len(args))
		}
		return nil
	}
}

// SomeArgs is for commands that take one or more files.
func SomeArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("no %s is named: see `%s --help`", what, cmd.CommandPath())
		}
		return nil
	}
}
