// Package words puts commands and flags in the place of what the library's
// errors advise to a Go program.
package words

import (
	"errors"
	"strings"
	"unicode"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/receipt"
	"github.com/attnx/attnx/runtime"
)

// remedies maps the library's remedies to commands and flags.
var remedies = map[string]string{
	find.ExportIt:         "`attnx export` makes an ONNX file of it, `attnx inspect` shows it",
	find.ConvertOrRun:     "`attnx convert` makes a checkpoint of it, `attnx generate` runs it, `attnx verify CHECKPOINT FILE` compares it, `attnx inspect` shows it",
	find.ConvertIt:        "`attnx convert` makes a checkpoint of it, `attnx inspect` shows it",
	find.NameCheckpoint:   "name one of its checkpoints: `attnx checkpoints` lists them",
	attnx.RunExported:     "generate runs files that `attnx export` wrote",
	attnx.CompareExported: "verify compares files that `attnx export` wrote",
	attnx.ContinueText:    "continue a text without --chat, with --prompt",
	attnx.ExportCache:     "export the checkpoint with --profile cache",
	attnx.ExportPlain:     "export the checkpoint with --profile plain",
	attnx.ExportFile:      "export it to a file with --profile plain",
	attnx.ExportAgain:     "export the checkpoint again with `attnx export`",
	attnx.ExportForGPU:    "export for the GPU, with --dtype float16 or bfloat16 where --fuse ort is asked for and without --quantize int8 (`attnx verify --plan cuda` lists all such nodes), or use --device cpu",
	attnx.NotFlatOrCPU:    "take --profile cache or --device cpu",
	attnx.WriteFloat32:    "leave out --dtype",
	attnx.GiveData:        "name the text to learn from with --data",
	attnx.GiveSameText:    "give the same text again",
	attnx.GiveExamples:    "the program that began the run can resume it (attnx.Resume)",
	attnx.GiveFirstText:   "give the text that the run began with as --data",
	attnx.ResumeIt:        "choose another folder, or continue it with --resume",
	attnx.BeginAgain:      "begin a new run with --out",
	attnx.SmallerBatch:    "take a smaller --batch, and --accumulate to make up for it, a smaller --context, or --recompute",
	attnx.MergeAdapter:    "add it to the weights with --merge, or write it alone with --adapter",
	attnx.KeepApart:       "write it with `attnx export`, with the adapter beside them, or write the adapter alone with --adapter",
	attnx.GiveLoRA:        "train an adapter over them (--lora RANK), or start from the model before it was quantized",
	attnx.ExportMoments:   "export the file after a training batch, when they differ, or train without --batch-statistics",
	attnx.NameTable:       "write them to a file that ends with .csv, .jsonl or .npz, and name that with --data",
	attnx.QuantizeLarger:  "give --quantize int8 or int4 too, which reads the file as float32, adds the tokens and rounds again",
	attnx.MergeTrained:    "add the adapter to the weights with --merge",
	attnx.QuantizeInit:    "start from the model that it was exported from, with --lora and --quantize",
	attnx.TakeFloat32:     "leave it out: the default is float32",
	attnx.TrainFile:       "or train the graph of the file as it is, with --loss",
	attnx.NameEarlier:     "name an --output that does not need it",
	attnx.NameOutput:      "name another with --output",
	attnx.TakeORT:         "take --engine ort",
	attnx.WriteTokensOf:   "write them with `attnx tokens --tokenizer MODEL`",
	attnx.GiveVal:         "give the data for validation that the run began with as --val",
	attnx.NameMore:        "name more, or train with a larger --keep",
	attnx.RunAlone:        "`attnx run` runs it",
	model.TranslateText:   "`attnx translate` translates with it",
	model.ConvertFolder:   "`attnx convert` makes one of a Hugging Face folder",
	export.SetLength:      "give it with --length",
	receipt.MakeKey:       "`attnx receipt keygen` makes a key",
	receipt.NamePublic:    "name the public key, a file that ends with .pub",
	find.NameTokenizer:    "name one with --tokenizer: a tokenizer.json, or the folder or checkpoint of its model",
	find.NameModel:        "`attnx train --data FILE` learns from it",
}

// optionFlags maps options of the library to flags with other names.
var optionFlags = map[string]string{
	"Smoothing": "--label-smoothing",
	"Batch":     "--batch", "Budget": "--budget", "Context": "--context", "Data": "--data", "Device": "--device", "Engine": "--engine",
	"AddTokens": "--add-token", "DType": "--dtype", "Quantize": "--quantize", "Freeze": "--freeze", "Glob": "--glob", "Init": "--init", "Labels": "--labels", "LoRA": "--lora", "Loss": "--loss", "Output": "--output", "Pairs": "--data", "Target": "--target", "Text": "--text", "Tokenizer": "--tokenizer", "Out": "--out", "last": "--last", "run": "--resume",
	"MaxLoss": "--keep", "Val": "--val", "Dropout": "--dropout", "BatchStatistics": "--batch-statistics", "Epochs": "--epochs", "Threads": "--threads",
}

// phrases replaces what runtimes and reports advise by commands and flags.
var phrases = strings.NewReplacer(
	": "+model.TranslateText, ": `attnx translate` translates with it",
	attnx.ExportToMeasure, "export it with --text to measure what it lost",
	attnx.RunAlone, "`attnx run` runs it",
	attnx.KeepIntegers, "--lora keeps matrices in Q4_0, Q4_1 and Q8_0 as they are",
	attnx.ThawNumber, "--freeze '!NAME' trains one",
	runtime.Caller+" names ", "--ort-lib names ",
	"(from "+runtime.Caller+")", "(from --ort-lib)",
	runtime.NameLibrary, "name a library with --ort-lib or ",
	runtime.InstallLibrary, "run `attnx runtime install`",
	runtime.InstallOpenVINO, "run `attnx runtime install --openvino`",
	runtime.InstallAgain, "run `attnx runtime install --cuda`, which fetches it again",
	runtime.OrNameGPU, "run `attnx runtime install --cuda`, or name a GPU build with --ort-lib or ",
	runtime.DiagnoseEach, "`attnx doctor` names each",
	runtime.UseCPU, "use --device cpu",
	runtime.MoreDigits, "its results are a matter of rounding, so no run proves them: export with more bits (--quantize int8, --keep, --dtype), or measure what these lose (attnx export --text)",
	runtime.AskOracle, "compare with the oracle (`attnx verify`, or `attnx run --runtime oracle`)",
	runtime.ExportCache, "write the file with `attnx export --profile cache`",
)

// Replace replaces what a text of the library advises by commands and flags.
func Replace(text string) string { return phrases.Replace(text) }

// Of returns the text of an error on one line. What its remedy, its options and its
// runtime advise is replaced by commands and flags.
func Of(err error) string {
	text := OneLine(err.Error())
	if about := new(attnx.Error); errors.As(err, &about) {
		if flag, known := optionFlags[about.Option]; known {
			plain := OneLine(about.Error())
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
		plain := OneLine(option.Error())
		text = strings.Replace(text, plain, flagOf(option.Option)+strings.TrimPrefix(plain, option.Option), 1)
	}
	var cause runtime.Error
	if errors.As(err, &cause) {
		plain := OneLine(cause.Error())
		text = strings.Replace(text, plain, Replace(plain), 1)
	}
	return text
}

// OneLine removes line breaks and terminal control sequences from a message and
// limits its length.
func OneLine(s string) string { return quote.Line(s, 2000) }

// flagOf returns the flag for an option of the library: --last-logits for
// LastLogits, if it has no other name.
func flagOf(option string) string {
	if flag, known := optionFlags[option]; known {
		return flag
	}
	var flag strings.Builder
	for _, r := range option {
		if unicode.IsUpper(r) {
			flag.WriteString("-")
		}
		flag.WriteRune(unicode.ToLower(r))
	}
	return "-" + strings.Replace(flag.String(), "-d-type", "-dtype", 1)
}
