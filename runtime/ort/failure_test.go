package ort

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// TestFailures classifies what ONNX Runtime said to its users while a model
// ran; the numbers are those of their reports in its list of issues, those
// without one are composed the same way.
func TestFailures(t *testing.T) {
	const node = "Non-zero status code returned while running Mul node. Name:'Mul_8702' Status Message: "
	const arena = "/workspace/onnxruntime/onnxruntime/core/framework/bfc_arena.cc:368 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*, bool, onnxruntime::WaitNotificationFn) "
	const call = "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:122 bool onnxruntime::CudaCall(ERRTYPE, const char*, const char*, ERRTYPE, const char*) [with ERRTYPE = cudaError; bool THRW = true] "
	for _, c := range []struct {
		text    string
		failure Failure
		detail  string
	}{
		// 20038
		{node + arena + "Failed to allocate memory for requested buffer of size 2830172160", OutOfMemory, "Failed to allocate memory for requested buffer of size 2830172160"},
		{node + arena + "Available memory of 1638400 is smaller than requested bytes of 4915200", OutOfMemory, "Available memory of 1638400 is smaller than requested bytes of 4915200"},
		{node + "std::bad_alloc", OutOfMemory, "std::bad_alloc"},
		{call + "CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; file=f.cc ; line=1 ; expr=cudaMalloc(&p, n);", OutOfMemory, "CUDA failure 2: out of memory"},
		{node + "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=h ; expr=cublasCreate(&cublas_handle_);", OutOfMemory, "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"},
		// 321 of pykeio/ort
		{"CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=10cb601a4a05 ; file=/o/core/providers/cuda/gpu_data_transfer.cc ; line=63 ; expr=cudaMemcpyAsync(dst_data, src_data, bytes, cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream.GetHandle()));",
			KernelFault, "CUDA failure 700: an illegal memory access was encountered"},
		// 32 of C0untFloyd/roop-unleashed
		{`[ONNXRuntimeError] : 1 : FAIL : CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=h ; file=D:\a\_work\1\s\onnxruntime\core\providers\cuda\gpu_data_transfer.cc ; line=73 ; expr=cudaMemcpyAsync(dst_data, src_data, bytes, cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream.GetHandle()));`,
			KernelFault, "CUDA failure 719: unspecified launch failure"},
		{"CUDA failure 710: device-side assert triggered ; GPU=0 ; hostname=h", KernelFault, "device-side assert triggered"},
		{"CUDA failure 716: misaligned address ; GPU=0 ; hostname=h", KernelFault, "misaligned address"},
		{node + "CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0 ; hostname=h ; expr=e", KernelFault, "CUBLAS_STATUS_EXECUTION_FAILED"},
		{node + "CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR ; GPU=0 ; hostname=h ; expr=e", KernelFault, "CUBLAS_STATUS_INTERNAL_ERROR"},
		{node + "CUDNN failure 8: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0 ; hostname=h ; expr=e", KernelFault, "CUDNN_STATUS_EXECUTION_FAILED"},
		// 14030
		{call + "CUDA failure 46: all CUDA-capable devices are busy or unavailable ; GPU=0 ; hostname=h ; expr=e", DeviceLost, "all CUDA-capable devices are busy or unavailable"},
		{"CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=h", DeviceLost, "no CUDA-capable device is detected"},
		{"CUDA failure 214: uncorrectable ECC error encountered ; GPU=0 ; hostname=h", DeviceLost, "uncorrectable ECC error encountered"},
		// 14211
		{call + "CUDA failure 999: unknown error ; GPU=192915439 ; expr=cudaSetDevice(info_.device_id);", DeviceLost, "CUDA failure 999: unknown error"},
		{"CUDA failure 209: no kernel image is available for execution on the device ; GPU=0 ; hostname=h", NoKernelImage, "no kernel image is available"},
	} {
		err := fmt.Errorf("m.onnx: %w", runError(errors.New(c.text)))
		var failed *DeviceError
		if !errors.As(err, &failed) {
			t.Errorf("%s\nis %v", c.text, err)
			continue
		}
		if failed.Failure != c.failure || !strings.Contains(failed.Detail, c.detail) ||
			failed.Remedy == "" || strings.ContainsAny(failed.Error(), "\n") || strings.Contains(failed.Error(), "hostname") {
			t.Errorf("%s\nis %s: %v\nwant %s: ...%s", c.text, failed.Failure, failed, c.failure, c.detail)
		}
		if errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("%v: a device that fails is not one that is not there", err)
		}
	}
	for _, text := range []string{
		"Non-zero status code returned while running Gather node. Name:'the_Gather' Status Message: indices element out of data bounds, idx=3 must be within the inclusive range [-3,2]",
		"CUDA failure 1: invalid argument ; GPU=0 ; hostname=h ; file=f.cc ; line=700",
		"Got invalid dimensions for input: x",
	} {
		var failed *DeviceError
		if err := runError(errors.New(text)); errors.As(err, &failed) || !strings.HasPrefix(err.Error(), "onnxruntime: ") {
			t.Errorf("%s\nis %v", text, err)
		}
	}
}
