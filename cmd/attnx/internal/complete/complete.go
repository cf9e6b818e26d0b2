// Package complete provides shell completions for flags and arguments.
package complete

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Func returns the completions of a partial word.
type Func = cobra.CompletionFunc

// Table holds the completions of a command line.
type Table struct {
	Flags map[string]Func   // by flag name, or by command and flag name: "train device"
	Args  map[string][]Func // by command, in order; the last one serves all further arguments
}

// Register adds the completions of the table to a command and its subcommands.
func (t Table) Register(cmd *cobra.Command) {
	args := t.Args[Key(cmd)]
	cmd.ValidArgsFunction = func(c *cobra.Command, given []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return FreeText(c, given, text)
		}
		return args[min(len(given), len(args)-1)](c, given, text)
	}
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if complete := t.flag(cmd, f); complete != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails only if the flag has a completion already
		}
	})
	for _, c := range cmd.Commands() {
		t.Register(c)
	}
}

// flag returns the completion of a flag: nothing for a number, nil if the table
// does not have the flag.
func (t Table) flag(cmd *cobra.Command, f *pflag.Flag) Func {
	switch f.Value.Type() {
	case "string", "stringSlice", "stringArray":
	default:
		return FreeText
	}
	if complete := t.Flags[Key(cmd)+" "+f.Name]; complete != nil {
		return complete
	}
	return t.Flags[f.Name]
}

// Key is a command's path without the program name: "bench train".
func Key(cmd *cobra.Command) string {
	_, key, _ := strings.Cut(cmd.CommandPath(), " ")
	return key
}

// OneOf offers these values.
func OneOf(values ...string) Func {
	return func(_ *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return startingWith(text, values), cobra.ShellCompDirectiveNoFileComp
	}
}

// ByFlag offers these values where another flag has the given value, and others elsewhere.
func ByFlag(flag, is string, these, others []string) Func {
	return func(cmd *cobra.Command, args []string, text string) ([]string, cobra.ShellCompDirective) {
		if f := cmd.Flag(flag); f != nil && f.Value.String() == is {
			return OneOf(these...)(cmd, args, text)
		}
		return OneOf(others...)(cmd, args, text)
	}
}

// startingWith returns the values with the given prefix.
func startingWith(text string, values []string) []string {
	var found []string
	for _, v := range values {
		if strings.HasPrefix(v, text) {
			found = append(found, v)
		}
	}
	return found
}

// ListOf offers a comma-separated list of the values.
func ListOf(values ...string) Func {
	return func(_ *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		given := text[:strings.LastIndex(text, ",")+1]
		var offered []string
		for _, v := range values {
			if !slices.Contains(strings.Split(given, ","), v) {
				offered = append(offered, given+v)
			}
		}
		return startingWith(text, offered), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// FilesOf offers folders, and files with these endings.
func FilesOf(endings ...string) Func {
	return cobra.FixedCompletions(endings, cobra.ShellCompDirectiveFilterFileExt)
}

// AnyFile offers files and folders.
func AnyFile(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// FolderOnly offers folders.
func FolderOnly(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// FreeText offers nothing: neither values nor files.
func FreeText(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}
