package ort

import (
	"cmp"
	"errors"
	"regexp"

	"github.com/attnx/attnx/runtime/ort/library"
)

// CUDAError says that CUDA cannot be used and which part of it is missing.
type CUDAError = library.CUDAError

// Missing is the part of CUDA that a machine lacks.
type Missing = library.Missing

// The parts, in the order in which a session needs them.
const (
	MissingCUDABuild       = library.MissingCUDABuild
	MissingProviderLibrary = library.MissingProviderLibrary
	MissingCUDALibraries   = library.MissingCUDALibraries
	MissingDriver          = library.MissingDriver
	MissingDevice          = library.MissingDevice
	MissingKernel          = library.MissingKernel
)

const remedyGraphs = "run it without CUDA graphs"

// cudaPatterns tells the texts apart in which ONNX Runtime, the loader and
// CUDA say what is missing; the first that matches decides. The order matters:
// the driver's own library fails to load like any other, and a failure to load
// the provider quotes the provider's name whether it or something that it
// needs is missing.
var cudaPatterns = []struct {
	text    *regexp.Regexp
	detail  string // what the error says: a template over the groups of text
	missing Missing
	remedy  string // where it is not that of the part
}{
	{regexp.MustCompile(`execution provider is (?:not enabled in this build|either not enabled or not available)`),
		"the ONNX Runtime library is a CPU-only build", MissingCUDABuild, ""},
	{regexp.MustCompile(`(libcuda\.so[.\d]*|nvcuda\.dll)`),
		"NVIDIA's driver is not installed ($1 is not found)", MissingDriver, ""},
	// A symbol of the driver's API is cu and a capital; CUDA's libraries say cuda..., cublas....
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
	// Windows does not say which file it missed: 126 is the file or one it needs.
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

// cudaError returns err, which opening a session on CUDA gave, as a
// *CUDAError where its text says that a part is missing, as a *DeviceError
// where CUDA failed, and as it is, on one line, where the trouble is another:
// a bad model.
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
