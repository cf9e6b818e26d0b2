package ort

import (
	"errors"
	"fmt"
	"regexp"
)

// Failure is a way in which a device fails while a model runs on it.
type Failure uint8

// The failures.
const (
	OutOfMemory   Failure = iota
	DeviceLost            // the GPU is gone, taken, or not answering
	KernelFault           // a kernel went wrong; CUDA does no more work in this process
	NoKernelImage         // the library was built for other GPUs
)

// String names the failure.
func (f Failure) String() string {
	return [...]string{"out of memory", "device lost", "kernel fault", "no kernel image"}[f]
}

// DeviceError says that a device failed at its work, as opposed to not being
// usable here (CUDAError) and to a model or inputs that are wrong.
type DeviceError struct {
	Failure Failure
	Detail  string // what ONNX Runtime or CUDA said; one line
	Remedy  string
}

func (e *DeviceError) Error() string {
	return e.Failure.String() + ": " + e.Detail + "; " + e.Remedy
}

// RuntimeError makes it a runtime.Error.
func (e *DeviceError) RuntimeError() {}

// The remedies, one for each failure.
const (
	remedyMemory = "use a smaller batch or a shorter context, or free memory (`nvidia-smi` shows a GPU's)"
	remedyLost   = "look at `nvidia-smi` and the system's log, start the program again, or use the CPU"
	remedyFault  = "start the program again; if it comes back, use the CPU, which checks ids against the vocabulary"
	remedyImage  = "use an ONNX Runtime built for this GPU, or use the CPU"
)

// failurePatterns tells apart the texts of failures; the first that matches
// decides. The numbers are those of cudaError_t, which the driver's CUresult
// shares; what each means is in the manual of CUDA's runtime API.
var failurePatterns = []struct {
	text    *regexp.Regexp
	failure Failure
	remedy  string
}{
	{regexp.MustCompile(`Failed to allocate memory for requested buffer of size \d+`), OutOfMemory, remedyMemory},
	{regexp.MustCompile(`Available memory of \d+ is smaller than requested bytes of \d+`), OutOfMemory, remedyMemory},
	{regexp.MustCompile(`(?:std::)?bad_alloc`), OutOfMemory, remedyMemory},
	{regexp.MustCompile(`CUDA failure 2: [^;]*[^; ]|CUBLAS failure 3\b[^;]*[^; ]|CUDNN failure \d+: CUDNN_STATUS_\w*ALLOC\w*`), OutOfMemory, remedyMemory},
	{regexp.MustCompile(`CUDA failure 209: [^;]*[^; ]`), NoKernelImage, remedyImage},
	// 700 to 719 leave the process's context unusable; so do 709 and 710.
	{regexp.MustCompile(`CUDA failure (?:700|702|709|710|71[4-9]): [^;]*[^; ]`), KernelFault, remedyFault},
	{regexp.MustCompile(`CUBLAS failure 1[34]\b[^;]*[^; ]|CUDNN failure \d+: CUDNN_STATUS_EXECUTION_FAILED\w*`), KernelFault, remedyFault},
	// 4 the driver shuts down, 46 the devices are busy or unavailable, 100 and
	// 101 there is no such device, 214 and 220 memory or link cannot be
	// corrected, 802 the system is not ready, 999 unknown.
	{regexp.MustCompile(`CUDA failure (?:3|4|46|100|101|214|220|802|805|999): [^;]*[^; ]`), DeviceLost, remedyLost},
}

// failure returns err as a *DeviceError where its text says that the device
// failed, nil where it says something else.
func failure(err error) *DeviceError {
	var known *DeviceError
	if errors.As(err, &known) {
		return known
	}
	text := oneLine(err)
	for _, p := range failurePatterns {
		if found := p.text.FindString(text); found != "" {
			return &DeviceError{Failure: p.failure, Detail: found, Remedy: p.remedy}
		}
	}
	return nil
}

// runError returns err, which running a model gave, as a *DeviceError where it
// is one, and on one line where the trouble is another.
func runError(err error) error {
	if e := failure(err); e != nil {
		return e
	}
	return fmt.Errorf("onnxruntime: %s", oneLine(err))
}
