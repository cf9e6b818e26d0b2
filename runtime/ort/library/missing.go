package library

import "github.com/attnx/attnx/runtime"

// Missing is the part of CUDA that a machine lacks.
type Missing uint8

// The parts, in the order in which a session needs them.
const (
	MissingCUDABuild       Missing = iota // the library was built for the CPU only
	MissingProviderLibrary                // libonnxruntime_providers_cuda or _shared is not in the library's folder
	MissingCUDALibraries                  // cuBLAS, cuDNN or another CUDA library is not installed
	MissingDriver                         // NVIDIA's driver is missing or too old for this CUDA
	MissingDevice                         // the GPU does not exist or is not visible
	MissingKernel                         // CUDA works, but lacks a kernel for a node of the model
)

// String names the part.
func (m Missing) String() string {
	return [...]string{"CUDA build", "provider library", "CUDA libraries", "driver", "device", "kernel"}[m]
}

// CUDAError reports that CUDA cannot be used and which part is missing. It
// matches runtime.ErrUnavailable and contains a *runtime.UnavailableError.
type CUDAError struct {
	Missing Missing
	Detail  string // the name of the missing part; one line
	Remedy  string
}

func (e *CUDAError) Error() string { return e.Unwrap().Error() }

// RuntimeError makes it a runtime.Error.
func (e *CUDAError) RuntimeError() {}

// Unwrap returns the error as a *runtime.UnavailableError.
func (e *CUDAError) Unwrap() error {
	return &runtime.UnavailableError{Runtime: "ort-cuda", Reason: e.Detail, Remedy: e.Remedy}
}

// The remedies, one per missing part.
const (
	remedyBuild    = installCUDARemedy
	remedyProvider = "the CPU packages leave it out: " + remedyBuild
	remedyCUDA     = "install the CUDA libraries this build was made for, or add their folder to LD_LIBRARY_PATH: " + runtime.DiagnoseEach + ", and what brings it"
	remedyDriver   = "install or update NVIDIA's driver (`nvidia-smi` shows it), or " + runtime.UseCPU
	remedyDevice   = "make a GPU visible (`nvidia-smi -L`, CUDA_VISIBLE_DEVICES), or " + runtime.UseCPU
	remedyKernel   = "export the model with an opset up to 21 and static shapes, or " + runtime.UseCPU
)

// Remedy returns how to get the part.
func (m Missing) Remedy() string {
	return [...]string{remedyBuild, remedyProvider, remedyCUDA, remedyDriver, remedyDevice, remedyKernel}[m]
}
