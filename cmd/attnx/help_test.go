package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
)

// Every command has an example that its own flags accept, and a help that
// shows it.
func TestHelp(t *testing.T) {
	root := command(console.New(nil, io.Discard, io.Discard))
	var visit func(*cobra.Command)
	seen := 0
	visit = func(cmd *cobra.Command) {
		seen++
		var out, stderr strings.Builder
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		if code := run(args, strings.NewReader(""), &out, &stderr); code != exitOK || stderr.Len() > 0 {
			t.Errorf("attnx %s: exit code %d, %s", strings.Join(args, " "), code, &stderr)
		}
		if cmd.Example == "" || !strings.Contains(out.String(), cmd.Example) {
			t.Errorf("%s --help has no example:\n%s", cmd.CommandPath(), &out)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s is not explained", cmd.CommandPath(), f.Name)
			}
		})
		for _, line := range strings.Split(out.String(), "\n") {
			if len([]rune(line)) > usage.Columns {
				t.Errorf("%s --help has a line of %d characters: %s", cmd.CommandPath(), len(line), line)
			}
		}
		for _, line := range strings.Split(strings.ReplaceAll(cmd.Example, "\\\n", " "), "\n") {
			checkExample(t, cmd, line)
		}
		for _, c := range cmd.Commands() {
			if c.Name() != "help" && c.Name() != "completion" { // cobra's own
				visit(c)
			}
		}
	}
	visit(root)
	if seen != 33 {
		t.Errorf("%d commands, want 33", seen)
	}
}

// withoutJSON are the commands that report nothing that a program would read.
var withoutJSON = map[string]string{
	"attnx":         "shows its help or its version",
	"attnx bench":   "shows its help: its commands report",
	"attnx receipt": "shows its help: its commands report",
	"attnx runtime": "shows its help: its commands report",
	"attnx serve":   "serves until it is stopped",
}

// A command that reports has --json, and its help names what is in the object.
func TestJSON(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		_, excused := withoutJSON[cmd.CommandPath()]
		if has := cmd.Flags().Lookup("json") != nil; has == excused {
			t.Errorf("%s: --json is there: %t; it is excused: %t", cmd.CommandPath(), has, excused)
		} else if has && !strings.Contains(cmd.Long, "the result is one object: ") {
			t.Errorf("%s --help does not describe the object of --json", cmd.CommandPath())
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(command(console.New(nil, io.Discard, io.Discard)))
}

func checkExample(t *testing.T, cmd *cobra.Command, line string) {
	t.Helper()
	var words []string
	quoted := strings.FieldsFunc(line, func(r rune) bool { return r == '\'' || r == '"' })
	for i, part := range quoted {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	if len(words) == 0 || words[0] != "attnx" {
		t.Errorf("%s: example %q is no command of ours", cmd.CommandPath(), line)
		return
	}
	found, rest, err := command(console.New(nil, io.Discard, io.Discard)).Find(words[1:])
	if err != nil {
		t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
		return
	}
	if cmd.Runnable() && cmd.HasParent() && !slices.Contains(strings.Fields(found.CommandPath()), cmd.Name()) {
		t.Errorf("%s: its example is one of %s", cmd.CommandPath(), found.CommandPath())
	}
	if err := found.ParseFlags(rest); err != nil {
		t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
		return
	}
	if err := found.ValidateArgs(found.Flags().Args()); err != nil {
		t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
	}
}
