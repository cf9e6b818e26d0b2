package complete

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

func TestValues(t *testing.T) {
	for _, c := range []struct {
		of   Func
		text string
		want []string
		how  cobra.ShellCompDirective
	}{
		{OneOf("cpu", "cuda", "auto"), "", []string{"cpu", "cuda", "auto"}, cobra.ShellCompDirectiveNoFileComp},
		{OneOf("cpu", "cuda", "auto"), "cu", []string{"cuda"}, cobra.ShellCompDirectiveNoFileComp},
		{OneOf("cpu"), "x", nil, cobra.ShellCompDirectiveNoFileComp},
		{ListOf("ref", "ort", "onnx-go"), "", []string{"ref", "ort", "onnx-go"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace},
		{ListOf("ref", "ort", "onnx-go"), "ort,", []string{"ort,ref", "ort,onnx-go"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace},
		{ListOf("ref", "ort", "onnx-go"), "ort,ref,o", []string{"ort,ref,onnx-go"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace},
		{FilesOf("onnx"), "", []string{"onnx"}, cobra.ShellCompDirectiveFilterFileExt},
		{AnyFile, "a", nil, cobra.ShellCompDirectiveDefault},
		{FolderOnly, "a", nil, cobra.ShellCompDirectiveFilterDirs},
		{FreeText, "a", nil, cobra.ShellCompDirectiveNoFileComp},
	} {
		if got, how := c.of(nil, nil, c.text); !slices.Equal(got, c.want) || how != c.how {
			t.Errorf("%q: %q and %d, want %q and %d", c.text, got, how, c.want, c.how)
		}
	}
}

// The last completion of a command serves all further arguments, a flag of one
// command goes before one of all, and numbers get nothing.
func TestRegister(t *testing.T) {
	root, sub := &cobra.Command{Use: "attnx"}, &cobra.Command{Use: "verify", Run: func(*cobra.Command, []string) {}}
	root.AddCommand(sub)
	for _, cmd := range []*cobra.Command{root, sub} {
		cmd.Flags().String("device", "", "")
		cmd.Flags().Int("count", 0, "")
	}
	Table{
		Flags: map[string]Func{"device": OneOf("cpu"), "verify device": OneOf("cuda"), "count": OneOf("seven")},
		Args:  map[string][]Func{"verify": {OneOf("first"), OneOf("more")}},
	}.Register(root)
	for given, want := range map[int]string{0: "first", 1: "more", 5: "more"} {
		if got, _ := sub.ValidArgsFunction(sub, make([]string, given), ""); !slices.Equal(got, []string{want}) {
			t.Errorf("argument %d: %q, want %q", given, got, want)
		}
	}
	if got, _ := root.ValidArgsFunction(root, nil, ""); got != nil {
		t.Errorf("a command without arguments gets %q", got)
	}
	for _, c := range []struct {
		cmd  *cobra.Command
		flag string
		want []string
	}{{root, "device", []string{"cpu"}}, {sub, "device", []string{"cuda"}}, {sub, "count", nil}} {
		of, ok := c.cmd.GetFlagCompletionFunc(c.flag)
		if !ok {
			t.Fatalf("%s --%s has no completion", c.cmd.Name(), c.flag)
		}
		if got, _ := of(c.cmd, nil, ""); !slices.Equal(got, c.want) {
			t.Errorf("%s --%s: %q, want %q", c.cmd.Name(), c.flag, got, c.want)
		}
	}
}
