//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/ort"
)

// What the system says of a path comes with the place and a remedy.
func TestExplain(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.ENOENT:       "--data: a: there is no such file: check the path",
		syscall.EACCES:       "--data: a: permission denied: check its permissions and those of its folder",
		syscall.ENAMETOOLONG: "--data: a: file name too long: check the path",
		syscall.ENOSPC:       "--data: open a: no space left on device",
	} {
		if got := explain(fmt.Errorf("--data: %w", &fs.PathError{Op: "open", Path: "a", Err: cause})); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// The library's remedies name no flags; the command's texts do.
func TestRemedyFlags(t *testing.T) {
	for want, err := range map[string]error{
		"--ort-lib names ":             &runtime.UnavailableError{Runtime: "ort-cpu", Reason: "the caller names x.so: no such file"},
		"with --ort-lib or ":           &runtime.UnavailableError{Runtime: "ort-cpu", Remedy: "name a library with ATTNX_ORT_LIB"},
		"use --device cpu":             &ort.CUDAError{Remedy: "make a GPU visible, or use the CPU"},
		"attnx export --profile cache": &decode.ContractError{},
	} {
		if got := explain(fmt.Errorf("model.onnx: %w", err)); !strings.Contains(got, want) || !strings.HasPrefix(got, "model.onnx: ") {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}
