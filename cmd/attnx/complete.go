package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/bench"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
)

// What a shell may offer for a flag, by the flag's name, or by its command and
// name where the same name has other values elsewhere.
var flagValues = map[string]cobra.CompletionFunc{
	"arch":                 oneOf(arch.Names()...),
	"preset":               oneOf(arch.Presets()...),
	"tokenizer":            oneOf(tokens.Word.String(), tokens.Char.String(), tokens.BPE.String()),
	"engine":               oneOf(attnx.Engines()...),
	"bench kernels preset": oneOf(bench.Presets()...),
	"bench train preset":   listOf(bench.Presets()...),
	"bench train engine":   listOf("gorgonia", "ort"),
	"device":               oneOf(attnx.Devices()...),
	"train device":         oneOf("cpu", "cuda"),
	"profile":              oneOf(export.ProfileNames()...),
	"dtype":                oneOf("bfloat16", "float16", "float32"),
	"quantize":             oneOf(string(precision.Int8), string(precision.Int4)),
	"fuse":                 oneOf("ort"),
	"optimizer":            oneOf("adamw"),
	"plan":                 oneOf(string(placement.CUDA)),
	"runtime":              oneOf(attnx.Runners()...),
	"runtimes":             listOf(attnx.Runtimes()...),
	"client":               oneOf("npm", "pip"),

	"data":             anyFile,
	"ort-lib":          anyFile, // its name ends with a version
	"export text":      anyFile,
	"export output":    filesOf("onnx"),
	"convert output":   filesOf("safetensors"),
	"average output":   filesOf("safetensors"),
	"reseal output":    filesOf("safetensors"),
	"attention output": filesOf("png", "svg"),
	"out":              folderOnly,
	"resume":           folderOnly,
	"triton":           folderOnly,

	"prompt":         freeText,
	"stop":           freeText,
	"attention text": freeText,
	"glob":           freeText,
}

// What a shell may offer for a command's arguments, in their order; the last
// one stands for all that follow where the command takes more.
var argValues = map[string][]cobra.CompletionFunc{
	"export":         {checkpoints, freeText},
	"verify":         {checkpoints, filesOf("onnx")},
	"generate":       {filesOf("safetensors", "onnx"), freeText},
	"inspect":        {filesOf("safetensors", "onnx"), freeText},
	"checkpoints":    {folderOnly, freeText},
	"convert":        {filesOf("safetensors", "onnx"), freeText},
	"diff":           {filesOf("safetensors", "onnx"), filesOf("safetensors", "onnx"), freeText},
	"average":        {checkpoints},
	"verify-seal":    {checkpoints},
	"reseal":         {checkpoints, freeText},
	"attention":      {checkpoints, freeText},
	"bench generate": {filesOf("safetensors", "onnx"), freeText},
	"train":          {anyFile}, // after --data
}

var checkpoints = filesOf("safetensors")

// completions registers the values of each flag and argument for the shell.
func completions(cmd *cobra.Command) {
	args := argValues[commandKey(cmd)]
	cmd.ValidArgsFunction = func(c *cobra.Command, given []string, text string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return freeText(c, given, text)
		}
		return args[min(len(given), len(args)-1)](c, given, text)
	}
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if complete := valuesOf(cmd, f); complete != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // it has no other
		}
	})
	for _, c := range cmd.Commands() {
		completions(c)
	}
}

// valuesOf returns what completes a flag: nothing for a number, nil where the
// tables do not know it.
func valuesOf(cmd *cobra.Command, f *pflag.Flag) cobra.CompletionFunc {
	switch f.Value.Type() {
	case "string", "stringSlice", "stringArray":
	default:
		return freeText
	}
	if complete := flagValues[commandKey(cmd)+" "+f.Name]; complete != nil {
		return complete
	}
	return flagValues[f.Name]
}

// commandKey is a command's path without the program: "bench train".
func commandKey(cmd *cobra.Command) string {
	_, key, _ := strings.Cut(cmd.CommandPath(), " ")
	return key
}

// oneOf offers values.
func oneOf(values ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return startingWith(text, values), cobra.ShellCompDirectiveNoFileComp
	}
}

// startingWith returns the values that begin with a text.
func startingWith(text string, values []string) []string {
	var found []string
	for _, v := range values {
		if strings.HasPrefix(v, text) {
			found = append(found, v)
		}
	}
	return found
}

// listOf offers values that may follow one another, with commas between.
func listOf(values ...string) cobra.CompletionFunc {
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

// filesOf offers files with these endings, and folders.
func filesOf(endings ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(endings, cobra.ShellCompDirectiveFilterFileExt)
}

func anyFile(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func folderOnly(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// freeText offers nothing: neither values nor files.
func freeText(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}
