package ort

import (
	"cmp"
	"errors"
	"regexp"

	"github.com/attnx/attnx/runtime/ort/library"
)

// CUDAError reports that CUDA cannot be used and which part is missing.
type CUDAError = library.CUDAError

// Missing is the part of CUDA that a machine lacks.
type Missing = library.Missing

// The parts, in the order in which a session uses them.
const (
	MissingCUDABuild       = library.MissingCUDABuild
	MissingProviderLibrary = library.MissingProviderLibrary
	MissingCUDALibraries   = library.MissingCUDALibraries
	MissingDriver          = library.MissingDriver
	MissingDevice          = library.MissingDevice
	MissingKernel          = library.MissingKernel
)

const remedyGraphs = "run it without CUDA graphs"

// cudaPatterns classifies the error texts of ONNX Runtime, the loader and CUDA
// by the missing part. The first match decides, so the order matters: the
// driver's library fails to load like any other, and a failure to load the
// provider quotes the provider's name whether the provider or one of its
// dependencies is missing.
var cudaPatterns = []struct {
	text    *regexp.Regexp
	detail  string // the detail, a template over the groups of text
	missing Missing
	remedy  string // if it differs from the part's
}{
	{regexp.MustCompile(`execution provider is (?:not enabled in this build|either not enabled or not available)`),
		"the ONNX Runtime library is a CPU-only build", MissingCUDABuild, ""},
	{regexp.MustCompile(`(libcuda\.so[.\d]*|nvcuda\.dll)`),
		"NVIDIA's driver is not installed ($1 is not found)", MissingDriver, ""},
	// The driver's API has symbols like cuInit, with a capital after cu; CUDA's libraries have
	// cuda..., cublas....
	{regexp.MustCompile(`undefined symbol: (cu[A-Z]\w*)`),
		"NVIDIA's driver is too old (it has no $1)", MissingDriver, ""},
	{regexp.MustCompile(`CUDA failure (?:3|34|35|36|803|804): ([^;]*[^; ])`),
		"NVIDIA's driver does not serve this CUDA ($1)", MissingDriver, ""},
	{regexp.MustCompile(`CUDA failure (?:46|100|101|802|805): ([^;]*[^; ])`),
		"no usable GPU ($1)", MissingDevice, ""},
	{regexp.MustCompile(`Invalid device ID: (\d+), must be between 0 \(inclusive\) and (\d+) \(exclusive\)`),
		"there is no GPU $1: this process sees $2, counted from 0", MissingDevice, ""},
	{regexp.MustCompile(`([^\s/:"]*onnxruntime_providers_(?:cuda|shared)[^\s/:"]*): cannot open`),
		"$1 is not beside the ONNX Runtime library", MissingProviderLibrary, ""},
	{regexp.MustCompile(`([^\s/:"]+\.so[.\d]*): cannot open`),
		"$1, one of CUDA's libraries, is not found", MissingCUDALibraries, ""},
	{regexp.MustCompile(`undefined symbol: (\w+)|version .(\S+?). not found`),
		"CUDA's libraries are of another version (no $1$2)", MissingCUDALibraries, ""},
	// Windows does not name the missing file: error 126 means the file or one of
	// its dependencies.
	{regexp.MustCompile(`LoadLibrary failed with error 126\b.*(onnxruntime_providers_shared\.dll)`),
		"$1 is not beside the ONNX Runtime library", MissingProviderLibrary, ""},
	{regexp.MustCompile(`LoadLibrary failed with error (12[67])\b.*(onnxruntime_providers_cuda\.dll)`),
		"$2, or one of CUDA's libraries that it needs, is not found (error $1)", MissingCUDALibraries, ""},
	{regexp.MustCompile(`nodes that are assigned to the default CPU EP|fallback to CPU EP has been explicitly disabled`),
		"the model has nodes that CUDA cannot run, and running them on the CPU is forbidden", MissingKernel, ""},
	{regexp.MustCompile(`cannot use the graph capture feature as requested by the user (as .*)`),
		"the model cannot run as a CUDA graph, $1", MissingKernel, remedyGraphs},
	{regexp.MustCompile(`Graph capture did not complete after [^;]*[^;. ]`),
		"the model cannot run as a CUDA graph ($0)", MissingKernel, remedyGraphs},
	{regexp.MustCompile(`(Failed to find kernel for [^;]*|Could not find an implementation for [^;]*)`),
		"$1", MissingKernel, ""},
}

// cudaError converts err, an error of opening a session on CUDA. It returns a
// *CUDAError if a part is missing, a *DeviceError if CUDA failed, and otherwise
// err itself on one line, as for an invalid model.
func cudaError(err error) error {
	if typed := new(CUDAError); errors.As(err, &typed) {
		return typed
	}
	text := oneLine(err)
	for _, p := range cudaPatterns {
		if m := p.text.FindStringSubmatchIndex(text); m != nil {
			detail := p.text.ExpandString(nil, p.detail, text, m)
			return &CUDAError{Missing: p.missing, Detail: string(detail), Remedy: cmp.Or(p.remedy, p.missing.Remedy())}
		}
	}
	return runError(err)
}
