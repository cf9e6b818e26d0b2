package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attnx/attnx/cmd/attnx/internal/complete"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
)

// everyCommand visits the commands that are ours.
func everyCommand(visit func(*cobra.Command)) {
	var each func(*cobra.Command)
	each = func(cmd *cobra.Command) {
		visit(cmd)
		for _, c := range cmd.Commands() {
			each(c)
		}
	}
	each(command(console.New(nil, io.Discard, io.Discard)))
}

// Each flag that takes a value, and each argument, says what a shell may offer
// for it; the values offered are those that its help names.
func TestCompletions(t *testing.T) {
	everyCommand(func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" {
				return
			}
			offer, ok := cmd.GetFlagCompletionFunc(f.Name)
			if !ok {
				t.Errorf("%s --%s: it is not in flagValues", cmd.CommandPath(), f.Name)
				return
			}
			values, directive := offer(cmd, nil, "")
			if directive&cobra.ShellCompDirectiveFilterFileExt != 0 {
				return
			}
			for _, v := range values {
				if !strings.Contains(f.Usage, v) && f.Name != "runtimes" { // verify's help has them above
					t.Errorf("%s --%s offers %q, and its help does not: %s", cmd.CommandPath(), f.Name, v, f.Usage)
				}
			}
		})
		if words := strings.Fields(cmd.Use); len(words) > 1 && !strings.HasPrefix(words[1], "-") && len(argValues[complete.Key(cmd)]) == 0 {
			t.Errorf("%s takes %s, and is not in argValues", cmd.CommandPath(), words[1])
		}
	})
}

// What a shell receives: the words, then cobra's directive (4 no files, 6 nor a
// space, 8 files with these endings, 16 folders).
func TestCompleteWords(t *testing.T) {
	for line, want := range map[string]string{
		"train --preset ":                "tiny nano small gpt2 :4",
		"train --preset n":               "nano :4",
		"bench train --preset tiny,w":    "tiny,w512 :6",
		"bench kernels --preset ":        "tiny nano small gpt2 w512 :4",
		"bench train --engine ":          "gorgonia ort :6",
		"train --engine ":                "auto gorgonia ort :4",
		"train --device ":                "cpu cuda :4",
		"generate --device ":             "cpu cuda auto :4",
		"verify --runtimes ref,ort-cpu-": "ref,ort-cpu-cache :6",
		"export --profile ":              "plain cache flat train :4",
		"export --quantize ":             "int8 int4 :4",
		"export ":                        "safetensors gguf :8",
		"verify a.safetensors ":          "onnx :8",
		"diff a b ":                      ":4",
		"attention a -o ":                "png svg :8",
		"train --resume ":                ":16",
		"train --steps ":                 ":4",
		"doctor --ort-lib ":              ":0",
	} {
		words := strings.Split(line, " ")
		var out, stderr strings.Builder
		if code := run(append([]string{cobra.ShellCompNoDescRequestCmd}, words...), nil, &out, &stderr); code != exitOK {
			t.Errorf("%s: %s", line, &stderr)
		}
		got := strings.Join(strings.Fields(out.String()), " ")
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}
