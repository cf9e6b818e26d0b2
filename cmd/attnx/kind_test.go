package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever is given to a command in the place of what it takes is named, with
// what to do instead: one line, exit code 2, nothing written. The files of
// fixtures/kinds were written by the tools that such files come from.
func TestWrongKinds(t *testing.T) {
	fixture := func(parts ...string) string {
		return filepath.Join(append([]string{"..", "..", "fixtures"}, parts...)...)
	}
	whole := fixture("transformers_gpt2", "whole")
	tensors := filepath.Join(whole, "model.safetensors")
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	const onnxIs, tensorsAre, folderIs, ggufIs = "it is an ONNX file, not", "it is a safetensors file, not", "it is a folder, not", "it is a GGUF file, not"
	const texts = "it is a text, not it is a JSON file, not it is a model's configuration, not it is the index of a model in shards, not it is a tokenizer, not " +
		"it is a web page, not it is an empty file, not it is a device, not it is a file of an unknown kind, not"
	inputs := map[string]string{ // and what is said of them
		fixture("kinds", "zip.pt"):                                      "it is a PyTorch file, not",
		fixture("kinds", "legacy.pt"):                                   "it is a PyTorch file, not",
		fixture("kinds", "protocol2.pkl"):                               "it is a Python pickle, not",
		fixture("kinds", "protocol4.pkl"):                               "it is a Python pickle, not",
		fixture("kinds", "protocol5.pkl"):                               "it is a Python pickle, not",
		fixture("kinds", "array.npy"):                                   "it is a NumPy file, not",
		fixture("kinds", "arrays.npz"):                                  "it is a NumPy file, not",
		fixture("kinds", "files.zip"):                                   "it is an archive or a compressed file, not",
		fixture("kinds", "text.gz"):                                     "it is an archive or a compressed file, not",
		fixture("kinds", "relu.ort"):                                    "it is a file in ONNX Runtime's ORT format, not",
		fixture("kinds", "tensor.pb"):                                   "it is a TensorFlow or other protobuf file, not",
		fixture("onnx", "ir14.onnx"):                                    onnxIs,
		fixture("onnx", "merged.onnx"):                                  onnxIs,
		file("renamed", read(t, fixture("onnx", "ir14.onnx"))):          onnxIs,
		file("onnx.safetensors", read(t, fixture("onnx", "ir14.onnx"))): onnxIs,
		tensors:                                tensorsAre,
		file("tensors.onnx", read(t, tensors)): tensorsAre,
		filepath.Join(whole, "config.json"):    "it is a model's configuration, not",
		filepath.Join(fixture("transformers_gpt2", "sharded"), "model.safetensors.index.json"): "it is the index of a model in shards, not",
		file("tokenizer.json", `{"version": "1.0", "truncation": null, "added_tokens": []}`):   "it is a tokenizer, not",
		file("list.json", "[1, 2]"):                                                            "it is a JSON file, not",
		file("page.onnx", "<!DOCTYPE html>\n<html>"):                                           "it is a web page, not",
		file("text.txt", "the quick brown fox\n"):                                              "it is a text, not",
		file("text.onnx", "the quick brown fox\n"):                                             "it is a text, not",
		file("m.gguf", "GGUF\x03\x00\x00\x00more"):                                             ggufIs,
		file("m.h5", "\x89HDF\r\n\x1a\n\x00\x00\x00"):                                          "it is an HDF5 file, as Keras and TensorFlow write, not",
		file("p.png", "\x89PNG\r\n\x1a\n\x00\x00\x00"):                                         "it is an image, not",
		file("empty.safetensors", ""):                                                          "it is an empty file, not",
		file("empty.onnx", ""):                                                                 "it is an empty file, not",
		file("noise.bin", strings.Repeat("\xfe\x00\x81", 50)):                                  "it is a file of an unknown kind, not",
		file("pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"): "it is a Git LFS pointer",
		os.DevNull: "it is a device, not",
		folder:     folderIs,
	}
	out := filepath.Join(dir, "out")
	for command, takes := range map[string]string{ // FILE in it, and what it takes
		"verify FILE":                                  tensorsAre + folderIs + onnxIs + ggufIs,
		"verify " + whole + " FILE":                    onnxIs,
		"verify --plan cuda FILE":                      onnxIs,
		"diff FILE " + tensors:                         tensorsAre + onnxIs + folderIs,
		"diff " + tensors + " FILE":                    tensorsAre + onnxIs + folderIs,
		"attention FILE --text we":                     tensorsAre + folderIs + ggufIs,
		"export FILE -o " + out:                        tensorsAre + folderIs + ggufIs,
		"generate FILE --prompt we":                    tensorsAre + onnxIs + folderIs + ggufIs,
		"convert FILE -o " + out:                       tensorsAre + onnxIs + folderIs + ggufIs,
		"average FILE FILE -o " + out + ".safetensors": tensorsAre + folderIs + ggufIs,
		"inspect FILE":                                 tensorsAre + onnxIs + folderIs + ggufIs,
		"verify-seal FILE":                             tensorsAre + folderIs,
		"reseal FILE -o " + out + ".safetensors":       tensorsAre,
		"checkpoints FILE":                             folderIs,
		"train --resume FILE":                          folderIs,
		"train --data FILE --out " + out:               folderIs + texts,
	} {
		for path, is := range inputs {
			if strings.Contains(takes, is) || strings.HasPrefix(command, "train --data") && path == fixture("kinds", "text.gz") { // train decompresses gzip
				continue
			}
			args := strings.Fields(command)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "FILE", path)
			}
			want := exitUsage
			if args[0] == "verify-seal" && strings.HasSuffix(path, ".safetensors") {
				want = exitMismatch // it is named like a checkpoint, and is none
			}
			var stdout, stderr bytes.Buffer
			code := run(args, strings.NewReader(""), &stdout, &stderr)
			said := stderr.String() + stdout.String()
			if code != want || !strings.Contains(said, path+": "+is) || strings.Count(said, "\n") != 1 {
				t.Errorf("attnx %s: exit code %d, %s, want %q", strings.Join(args, " "), code, said, path+": "+is)
			}
		}
	}
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("written: %v", left)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
