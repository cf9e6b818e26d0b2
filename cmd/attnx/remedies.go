package main

import (
	"errors"
	"strings"
	"unicode"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/runtime"
)

// remedies maps the library's remedies to commands and flags.
var remedies = map[string]string{
	"export it to an ONNX file":             "`attnx export` makes an ONNX file of it, `attnx inspect` shows it",
	"convert it to a checkpoint, or run it": "`attnx convert` makes a checkpoint of it, `attnx generate` runs it, `attnx verify CHECKPOINT FILE` compares it, `attnx inspect` shows it",
	"convert it to a checkpoint":            "`attnx convert` makes a checkpoint of it, `attnx inspect` shows it",
	"name one of its checkpoints":           "name one of its checkpoints: `attnx checkpoints` lists them",
	attnx.RunExported:                       "generate runs files that `attnx export` wrote",
	attnx.CompareExported:                   "verify compares files that `attnx export` wrote",
	attnx.ExportCache:                       "export the checkpoint with --profile cache",
	attnx.ExportPlain:                       "export the checkpoint with --profile plain",
	attnx.ExportFile:                        "export it to a file with --profile plain",
	attnx.ExportAgain:                       "export the checkpoint again with `attnx export`",
	attnx.ExportForGPU:                      "export for the GPU, with --dtype float16 or bfloat16 where --fuse ort is asked for and without --quantize int8 (`attnx verify --plan cuda` lists all such nodes), or use --device cpu",
	attnx.NotFlatOrCPU:                      "take --profile cache or --device cpu",
	attnx.WriteFloat32:                      "leave out --dtype",
	attnx.ExportToMeasure:                   "export it with --text to measure what it lost",
	attnx.GiveData:                          "name the text to learn from with --data",
	attnx.GiveSameText:                      "give the same text again",
	attnx.GiveExamples:                      "the program that began the run can resume it (attnx.Resume)",
	attnx.GiveFirstText:                     "give the text that the run began with as --data",
	attnx.ResumeIt:                          "choose another folder, or continue it with --resume",
	attnx.BeginAgain:                        "begin a new run with --out",
	attnx.SmallerBatch:                      "take a smaller --batch, and --accumulate to make up for it, or a smaller --context",
	attnx.TakeORT:                           "take --engine ort",
	attnx.NameMore:                          "name more, or train with a larger --keep",
	"set Length":                            "give it with --length",
	"name a model":                          "`attnx train --data FILE` learns from it",
}

// optionFlags maps options of the library to flags with other names.
var optionFlags = map[string]string{
	"Batch": "--batch", "Context": "--context", "Data": "--data", "Device": "--device", "Engine": "--engine",
	"Glob": "--glob", "Out": "--out", "last": "--last", "run": "--resume",
}

// flags replaces phrases in the runtimes' errors by commands and flags.
var flags = strings.NewReplacer(
	"the caller names ", "--ort-lib names ",
	"(from the caller)", "(from --ort-lib)",
	"name a library with ", "name a library with --ort-lib or ",
	"install the GPU build again", "run `attnx runtime install --cuda`, which fetches it again",
	"install the GPU build, or name one with ", "run `attnx runtime install --cuda`, or name a GPU build with --ort-lib or ",
	"use the CPU", "use --device cpu",
	"export it with the profile cache", "write the file with `attnx export --profile cache`",
)

// worded returns the text of an error. If the remedy is known, it is replaced
// by the command or flag.
func worded(err error, text string) string {
	if about := new(attnx.Error); errors.As(err, &about) {
		if flag, known := optionFlags[about.Option]; known {
			plain := oneLine(about.Error())
			text = strings.Replace(text, plain, flag+strings.TrimPrefix(plain, about.Option), 1)
		}
	}
	var of interface {
		error
		Remedy() string
	}
	if errors.As(err, &of) {
		if words, known := remedies[of.Remedy()]; known {
			text = strings.Replace(text, of.Remedy(), words, 1)
		}
	}
	var option *attnx.OptionError
	if errors.As(err, &option) {
		plain := oneLine(option.Error())
		text = strings.Replace(text, plain, flagOf(option.Option)+strings.TrimPrefix(plain, option.Option), 1)
	}
	var cause runtime.Error
	if errors.As(err, &cause) {
		plain := oneLine(cause.Error())
		text = strings.Replace(text, plain, flags.Replace(plain), 1)
	}
	return text
}

// flagOf returns the flag for an option of the library: --last-logits for
// LastLogits.
func flagOf(option string) string {
	var flag strings.Builder
	for _, r := range option {
		if unicode.IsUpper(r) {
			flag.WriteString("-")
		}
		flag.WriteRune(unicode.ToLower(r))
	}
	return "-" + strings.Replace(flag.String(), "-d-type", "-dtype", 1)
}
