package ort

import (
	"errors"
	"regexp"

	"github.com/attnx/attnx/runtime"
)

// Missing is the part of CUDA that a machine lacks.
type Missing uint8

// The parts, in the order in which a session needs them.
const (
	MissingCUDABuild       Missing = iota // the library was built for the CPU only
	MissingProviderLibrary                // libonnxruntime_providers_cuda or _shared is not beside the library
	MissingCUDALibraries                  // cuBLAS, cuDNN or another library of CUDA's is not installed
	MissingDriver                         // NVIDIA's driver is not installed, or too old for this CUDA
	MissingDevice                         // there is no such GPU, or it is not visible
	MissingKernel                         // CUDA works, but not for every node of the model
)

// String names the part.
func (m Missing) String() string {
	return [...]string{"CUDA build", "provider library", "CUDA libraries", "driver", "device", "kernel"}[m]
}

// CUDAError says that CUDA cannot be used and which part of it is missing.
// errors.Is(err, runtime.ErrUnavailable) is true, and errors.As finds a
// *runtime.UnavailableError in it.
type CUDAError struct {
	Missing Missing
	Detail  string // what is missing, by name; one line
	Remedy  string
}

func (e *CUDAError) Error() string { return e.Unwrap().Error() }

// Unwrap returns the error as a *runtime.UnavailableError.
func (e *CUDAError) Unwrap() error {
	return &runtime.UnavailableError{Runtime: "ort-cuda", Reason: e.Detail, Remedy: e.Remedy}
}

// The remedies, one for each missing part.
const (
	remedyBuild    = installCUDARemedy
	remedyProvider = "the CPU packages leave it out: " + remedyBuild
	remedyCUDA     = "install the CUDA libraries this build was made for, or add their folder to LD_LIBRARY_PATH: `attnx doctor` names each, and what brings it"
	remedyDriver   = "install or update NVIDIA's driver (`nvidia-smi` shows it), or use the CPU"
	remedyDevice   = "make a GPU visible (`nvidia-smi -L`, CUDA_VISIBLE_DEVICES), or use the CPU"
	remedyKernel   = "export the model with an opset up to 21 and static shapes, or use the CPU"
	remedyGraphs   = "run it without CUDA graphs"
)

// cudaPatterns tells the texts apart in which ONNX Runtime, the loader and
// CUDA say what is missing; the first that matches decides. The order matters:
// the driver's own library fails to load like any other, and a failure to load
// the provider quotes the provider's name whether it or something that it
// needs is missing.
var cudaPatterns = []struct {
	text    *regexp.Regexp
	detail  string // what the error says: a template over the groups of text
	missing Missing
	remedy  string
}{
	{regexp.MustCompile(`execution provider is (?:not enabled in this build|either not enabled or not available)`),
		"the ONNX Runtime library is a CPU-only build", MissingCUDABuild, remedyBuild},
	{regexp.MustCompile(`(libcuda\.so[.\d]*|nvcuda\.dll)`),
		"NVIDIA's driver is not installed ($1 is not found)", MissingDriver, remedyDriver},
	// A symbol of the driver's API is cu and a capital; CUDA's libraries say cuda..., cublas....
	{regexp.MustCompile(`undefined symbol: (cu[A-Z]\w*)`),
		"NVIDIA's driver is too old (it has no $1)", MissingDriver, remedyDriver},
	{regexp.MustCompile(`CUDA failure (?:3|34|35|36|803|804): ([^;]*[^; ])`),
		"NVIDIA's driver does not serve this CUDA ($1)", MissingDriver, remedyDriver},
	{regexp.MustCompile(`CUDA failure (?:46|100|101|802|805): ([^;]*[^; ])`),
		"no usable GPU ($1)", MissingDevice, remedyDevice},
	{regexp.MustCompile(`Invalid device ID: (\d+), must be between 0 \(inclusive\) and (\d+) \(exclusive\)`),
		"there is no GPU $1: this process sees $2, counted from 0", MissingDevice, remedyDevice},
	{regexp.MustCompile(`([^\s/:"]*onnxruntime_providers_(?:cuda|shared)[^\s/:"]*): cannot open`),
		"$1 is not beside the ONNX Runtime library", MissingProviderLibrary, remedyProvider},
	{regexp.MustCompile(`([^\s/:"]+\.so[.\d]*): cannot open`),
		"$1, one of CUDA's libraries, is not found", MissingCUDALibraries, remedyCUDA},
	{regexp.MustCompile(`undefined symbol: (\w+)|version .(\S+?). not found`),
		"CUDA's libraries are of another version (no $1$2)", MissingCUDALibraries, remedyCUDA},
	// Windows does not say which file it missed: 126 is the file or one it needs.
	{regexp.MustCompile(`LoadLibrary failed with error 126\b.*(onnxruntime_providers_shared\.dll)`),
		"$1 is not beside the ONNX Runtime library", MissingProviderLibrary, remedyProvider},
	{regexp.MustCompile(`LoadLibrary failed with error (12[67])\b.*(onnxruntime_providers_cuda\.dll)`),
		"$2, or one of CUDA's libraries that it needs, is not found (error $1)", MissingCUDALibraries, remedyCUDA},
	{regexp.MustCompile(`nodes that are assigned to the default CPU EP|fallback to CPU EP has been explicitly disabled`),
		"the model has nodes that CUDA cannot run, and running them on the CPU is forbidden", MissingKernel, remedyKernel},
	{regexp.MustCompile(`cannot use the graph capture feature as requested by the user (as .*)`),
		"the model cannot run as a CUDA graph, $1", MissingKernel, remedyGraphs},
	{regexp.MustCompile(`Graph capture did not complete after [^;]*[^;. ]`),
		"the model cannot run as a CUDA graph ($0)", MissingKernel, remedyGraphs},
	{regexp.MustCompile(`(Failed to find kernel for [^;]*|Could not find an implementation for [^;]*)`),
		"$1", MissingKernel, remedyKernel},
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
			return &CUDAError{Missing: p.missing, Detail: string(detail), Remedy: p.remedy}
		}
	}
	return runError(err)
}
