package main

import (
	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/bench"
	"github.com/attnx/attnx/cmd/attnx/internal/complete"
	"github.com/attnx/attnx/cmd/attnx/internal/tasks"
	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// Completions of flags, by the flag's name, or by command and name if the same
// name has other values elsewhere.
var flagValues = map[string]complete.Func{
	"arch":                 complete.ByFlag("task", tasks.Translate, arch.Translators(), arch.Decoders()),
	"against":              complete.ByFlag("task", tasks.Translate, arch.Translators(), arch.Decoders()),
	"task":                 complete.OneOf(tasks.Names...),
	"best":                 complete.OneOf(train.BestBLEU, train.BestChrF),
	"preset":               complete.OneOf(arch.Presets()...),
	"tokenizer":            complete.OneOf(tokens.Word.String(), tokens.Char.String(), tokens.BPE.String()),
	"schedule":             complete.OneOf(train.Schedules()...),
	"engine":               complete.OneOf(attnx.Engines()...),
	"bench kernels preset": complete.OneOf(bench.Presets()...),
	"bench train preset":   complete.ListOf(bench.Presets()...),
	"bench train engine":   complete.ListOf("gorgonia", "ort"),
	"device":               complete.OneOf(attnx.Devices()...),
	"train device":         complete.OneOf("cpu", "cuda"),
	"profile":              complete.OneOf(export.ProfileNames()...),
	"dtype":                complete.OneOf("bfloat16", "float16", "float32"),
	"convert dtype":        complete.OneOf("bfloat16", "float16", "float32", "q4_0", "q4_k", "q5_0", "q8_0"),
	"train dtype":          complete.OneOf(train.DTypes()...),
	"quantize":             complete.OneOf(string(precision.Int8), string(precision.Int4)),
	"to":                   complete.OneOf(attnx.ToTorch),
	"fuse":                 complete.OneOf("ort"),
	"keep":                 complete.FreeText,
	"optimizer":            complete.OneOf("adamw"),
	"plan":                 complete.OneOf(string(placement.CUDA)),
	"runtime":              complete.OneOf(attnx.Runners()...),
	"run runtime":          complete.OneOf(append(attnx.Runners(), attnx.Oracle)...),
	"diff runtime":         complete.OneOf(append(attnx.Runners(), attnx.Oracle)...),
	"runtimes":             complete.ListOf(attnx.Runtimes()...),
	"client":               complete.OneOf("npm", "pip"),

	"data":             complete.AnyFile,
	"val":              complete.AnyFile,
	"tokens output":    complete.FilesOf("safetensors"),
	"tokens tokenizer": complete.AnyFile,
	"target":           complete.AnyFile,
	"train config":     complete.FilesOf("yaml", "yml"),
	"init":             complete.FilesOf("safetensors", "gguf", "onnx"),
	"freeze":           complete.FreeText,
	"add-token":        complete.FreeText,
	"loss":             complete.OneOf(model.LossKinds()...),
	"labels":           complete.FreeText,
	"lora-target":      complete.FreeText,
	"train output":     complete.FreeText,
	"train text":       complete.FreeText,
	"ort-lib":          complete.AnyFile, // the file name ends with a version
	"export text":      complete.AnyFile,
	"verify text":      complete.AnyFile,
	"export output":    complete.FilesOf("onnx"),
	"convert output":   complete.FilesOf("safetensors", "gguf", "onnx"),
	"like":             complete.FilesOf("onnx"),
	"average output":   complete.FilesOf("safetensors"),
	"reseal output":    complete.FilesOf("safetensors"),
	"attention output": complete.FilesOf("png", "svg"),
	"explore output":   complete.FilesOf("html"),
	"compare output":   complete.FilesOf("png", "svg"),
	"out":              complete.FolderOnly,
	"input":            complete.AnyFile,
	"run output":       complete.FolderOnly,
	"run tokenizer":    complete.AnyFile,
	"diff tokenizer":   complete.AnyFile,
	"verify tokenizer": complete.AnyFile,
	"verify keep":      complete.FolderOnly,
	"verify receipt":   complete.FilesOf("json"),
	"key":              complete.AnyFile,
	"source":           complete.FilesOf("safetensors"),
	"resume":           complete.FolderOnly,
	"triton":           complete.FolderOnly,
	"playground":       complete.FolderOnly,
	"ort-web":          complete.FolderOnly,

	"embed output": complete.FilesOf("npy"),
	"file":         complete.AnyFile,
	"pooling":      complete.OneOf(attnx.Poolings()...),

	"prompt":         complete.FreeText,
	"embed text":     complete.FreeText,
	"classify text":  complete.FreeText,
	"translate text": complete.FreeText,
	"early-stopping": complete.OneOf("estimate", "full", "never"),
	"stop":           complete.FreeText,
	"system":         complete.FreeText,
	"attention text": complete.FreeText,
	"explore text":   complete.FreeText,
	"glob":           complete.FreeText,
}

// Completions of a command's arguments, in order. The last one serves all
// further arguments.
var argValues = map[string][]complete.Func{
	"export":         {complete.FilesOf("safetensors", "gguf"), complete.FreeText},
	"verify":         {complete.FilesOf("safetensors", "gguf", "onnx"), complete.FilesOf("onnx")},
	"generate":       {complete.FilesOf("safetensors", "gguf", "onnx"), complete.FreeText},
	"embed":          {complete.FilesOf("safetensors", "onnx"), complete.FreeText},
	"classify":       {complete.FilesOf("safetensors", "onnx"), complete.FreeText},
	"translate":      {checkpoints, complete.FreeText},
	"run":            {complete.FilesOf("onnx"), complete.FreeText},
	"receipt keygen": {complete.FilesOf("pem"), complete.FreeText},
	"receipt sign":   {complete.FilesOf("json"), complete.FreeText},
	"receipt check":  {complete.FilesOf("json"), complete.FilesOf("onnx")},
	"inspect":        {complete.FilesOf("safetensors", "gguf", "onnx"), complete.FreeText},
	"checkpoints":    {complete.FolderOnly, complete.FreeText},
	"convert":        {complete.FilesOf("safetensors", "gguf", "onnx"), complete.FreeText},
	"diff":           {complete.FilesOf("safetensors", "onnx"), complete.FilesOf("safetensors", "onnx"), complete.FreeText},
	"compare":        {complete.FolderOnly},
	"average":        {checkpoints},
	"verify-seal":    {checkpoints},
	"reseal":         {checkpoints, complete.FreeText},
	"attention":      {checkpoints, complete.FreeText},
	"explore":        {checkpoints, complete.FreeText},
	"serve":          {complete.FolderOnly, complete.FreeText},
	"bench generate": {complete.FilesOf("safetensors", "gguf", "onnx"), complete.FreeText},
	"train":          {complete.AnyFile}, // after --data
}

var checkpoints = complete.FilesOf("safetensors")
