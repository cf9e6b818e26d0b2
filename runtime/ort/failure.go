package ort

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// Failure is the way in which a device failed during a run.
type Failure uint8

// The failures.
const (
	OutOfMemory   Failure = iota
	DeviceLost            // the GPU is lost, in use by others, or not responding
	KernelFault           // a kernel failed; this process cannot use CUDA any more
	NoKernelImage         // the library has no code for this GPU
)

// String names the failure.
func (f Failure) String() string {
	return [...]string{"out of memory", "device lost", "kernel fault", "no kernel image"}[f]
}

// DeviceError reports that a device failed during its work. A device that
// cannot be used is a CUDAError; an invalid model or input is neither.
type DeviceError struct {
	Failure Failure
	Detail  string // the message of ONNX Runtime or CUDA; one line
	Remedy  string
}

func (e *DeviceError) Error() string {
	return e.Failure.String() + ": " + e.Detail + "; " + e.Remedy
}

// RuntimeError makes it a runtime.Error.
func (e *DeviceError) RuntimeError() {}

// The remedies, one per failure.
const (
	remedyMemory = "use a smaller batch or a shorter context, or free memory (`nvidia-smi` shows a GPU's)"
	remedyLost   = "look at `nvidia-smi` and the system's log, start the program again, or " + runtime.UseCPU
	remedyFault  = "start the program again; if it comes back, " + runtime.UseCPU + ", which checks ids against the vocabulary"
	remedyImage  = "use an ONNX Runtime built for this GPU, or " + runtime.UseCPU
)

// failurePatterns classifies the texts of failures; the first match decides.
// The numbers are those of cudaError_t, which the driver's CUresult shares; the
// manual of CUDA's runtime API defines them.
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
	// 4: the driver is shutting down. 46: devices busy or unavailable. 100 and 101:
	// no such device. 214 and 220: uncorrectable memory or link error. 802: system
	// not ready. 999: unknown.
	{regexp.MustCompile(`CUDA failure (?:3|4|46|100|101|214|220|802|805|999): [^;]*[^; ]`), DeviceLost, remedyLost},
}

// failedNode finds the operator and the name of the node that failed.
var failedNode = regexp.MustCompile(`while running (\w+) node\. Name:'([^']*)'`)

// failure returns err as a *DeviceError if its text reports a failure of the
// device, otherwise nil.
func failure(err error) *DeviceError {
	var known *DeviceError
	if errors.As(err, &known) {
		return known
	}
	text := oneLine(err)
	for _, p := range failurePatterns {
		if found := p.text.FindString(text); found != "" {
			if at := failedNode.FindStringSubmatch(text); at != nil {
				found = fmt.Sprintf("node %.80q: %s: %s", at[2], at[1], found)
				found = strings.TrimPrefix(found, `node "": `)
			}
			return &DeviceError{Failure: p.failure, Detail: found, Remedy: p.remedy}
		}
	}
	return nil
}

// runFailed is runError for a run on inputs, with what these were.
func runFailed(err error, inputs []format.Tensor) error {
	if e := failure(err); e != nil {
		return e
	}
	return runtime.RunFailed("onnxruntime", oneLine(err), inputs)
}

// runError converts an error of a run: to a *DeviceError if the device failed,
// otherwise to its text on one line.
func runError(err error) error {
	if e := failure(err); e != nil {
		return e
	}
	return fmt.Errorf("onnxruntime: %s", oneLine(err))
}

// noKernel is the message for a valid model with a node whose operator has no kernel in its types.
// A model that is not valid is refused before kernels are looked for, with other messages.
var noKernel = regexp.MustCompile(`^(?:Failed to find kernel for|Could not find an implementation for) (\w+\(\d+\))(?: node with name '([^']*)')?`)

// missingKernel returns a *runtime.NoKernelError for an error of opening a model on the CPU, if
// that is its cause, otherwise nil.
func missingKernel(err error) error {
	at := noKernel.FindStringSubmatch(oneLine(err))
	if at == nil {
		return nil
	}
	node := at[1]
	if at[2] != "" {
		node = fmt.Sprintf("%s, node %.80q,", at[1], at[2])
	}
	return &runtime.NoKernelError{Runtime: "ONNX Runtime", Device: "cpu", Node: node}
}
