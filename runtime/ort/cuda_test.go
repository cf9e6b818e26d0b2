package ort

import (
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// TestCUDAErrors classifies what libraries say. Texts marked "seen" are what
// ONNX Runtime 1.30.0 said on Linux with that part taken away; the others are
// as its users reported them.
func TestCUDAErrors(t *testing.T) {
	const get = "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1988 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : "
	const call = "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, int) [with ERRTYPE = cudaError; bool THRW = true] " +
		"/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:146 std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, int) [with ERRTYPE = cudaError; bool THRW = true] "
	for _, c := range []struct {
		text    string
		missing Missing
		detail  string
	}{
		// seen: PyPI's CPU package
		{"CUDA execution provider is not enabled in this build.", MissingCUDABuild, "CPU-only build"},
		// seen: npm's package, which knows CUDA but leaves the providers out
		{get + "Failed to load library /opt/ort/libonnxruntime_providers_shared.so with error: /opt/ort/libonnxruntime_providers_shared.so: cannot open shared object file: No such file or directory",
			MissingProviderLibrary, "libonnxruntime_providers_shared.so is not beside"},
		// seen: the GPU package without the provider
		{get + "Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with error: /opt/ort/libonnxruntime_providers_cuda.so: cannot open shared object file: No such file or directory",
			MissingProviderLibrary, "libonnxruntime_providers_cuda.so is not beside"},
		{"Failed to load library libonnxruntime_providers_cuda.so with error: libonnxruntime_providers_cuda.so: cannot open shared object file: No such file or directory",
			MissingProviderLibrary, "libonnxruntime_providers_cuda.so is not beside"},
		// seen: the GPU package without CUDA
		{get + "Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file: No such file or directory",
			MissingCUDALibraries, "libcublasLt.so.13"},
		{"Failed to load library libonnxruntime_providers_cuda.so with error: libcudnn.so.9: cannot open shared object file: No such file or directory", MissingCUDALibraries, "libcudnn.so.9"},
		{"Failed to load library libonnxruntime_providers_cuda.so with error: libcudart.so.12: version `libcudart.so.13' not found (required by ...)", MissingCUDALibraries, "no libcudart.so.13"},
		{"Failed to load library p.so with error: p.so: undefined symbol: cudaGetDriverEntryPointByVersion", MissingCUDALibraries, "another version (no cudaGetDriverEntryPointByVersion)"},
		// seen: CUDA's libraries without the driver
		{get + "Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with error: libcuda.so.1: cannot open shared object file: No such file or directory",
			MissingDriver, "libcuda.so.1"},
		// seen: a driver library without that function
		{get + "Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with error: /opt/ort/libonnxruntime_providers_cuda.so: undefined symbol: cuTensorMapEncodeTiled",
			MissingDriver, "too old (it has no cuTensorMapEncodeTiled)"},
		// seen: a driver library that reports version 11.0; with 13.1 and no device; with a failing cuInit
		{"Error creating C session: " + call + "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=h ; file=f.cc ; line=352 ; expr=cudaSetDevice(info_.device_id);",
			MissingDriver, "(CUDA driver version is insufficient for CUDA runtime version)"},
		{"Error creating C session: " + call + "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=h ; file=f.cc ; line=352 ; expr=cudaSetDevice(info_.device_id);",
			MissingDevice, "(no CUDA-capable device is detected)"},
		// As ONNX Runtime 1.30 said it on a machine with one GPU.
		{`provider_options_utils.h:187 Parse Failed to parse provider option "device_id": cuda_execution_provider_info.cc:70 operator() Invalid device ID: 99, must be between 0 (inclusive) and 1 (exclusive).`,
			MissingDevice, "there is no GPU 99: this process sees 1, counted from 0"},
		{call + "CUDA failure 3: initialization error ; GPU=-1 ; hostname=h ; file=f.cc ; line=352", MissingDriver, "(initialization error)"},
		{call + "CUDA failure 101: invalid device ordinal ; GPU=0 ; hostname=h", MissingDevice, "(invalid device ordinal)"},
		{`LoadLibrary failed with error 126 "" when trying to load "C:\ort\onnxruntime_providers_shared.dll"`, MissingProviderLibrary, "onnxruntime_providers_shared.dll"},
		{`LoadLibrary failed with error 126 "" when trying to load "C:\ort\onnxruntime_providers_cuda.dll"`, MissingCUDALibraries, "onnxruntime_providers_cuda.dll"},
		{"This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user.", MissingKernel, "nodes that CUDA cannot run"},
		// the words are those of libonnxruntime.so 1.30.0
		{"This session cannot use the graph capture feature as requested by the user as all the graph nodes have not been assigned to CUDAExecutionProvider", MissingKernel, "as all the graph nodes have not been assigned to CUDAExecutionProvider"},
		{"Graph capture did not complete after 3 runs. The execution provider may not support ORT-managed graph capture/replay.", MissingKernel, "did not complete after 3 runs"},
	} {
		err := cudaError(errors.New(c.text))
		var cuda *CUDAError
		if !errors.As(err, &cuda) {
			t.Errorf("%s\nis %v", c.text, err)
			continue
		}
		if cuda.Missing != c.missing || !strings.Contains(cuda.Detail, c.detail) || cuda.Remedy == "" || strings.Contains(cuda.Error(), "onnxruntime_src") {
			t.Errorf("%s\nis %s: %v\nwant %s: ...%s", c.text, cuda.Missing, cuda, c.missing, c.detail)
		}
		var typed *runtime.UnavailableError
		if !errors.Is(err, runtime.ErrUnavailable) || !errors.As(err, &typed) || typed.Runtime != "ort-cuda" {
			t.Errorf("%v is not an unavailable ort-cuda", err)
		}
	}

	// Trouble of another kind must not read as a missing part.
	for _, text := range []string{
		"Load model from x.onnx failed:Protobuf parsing failed.",
		call + "CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; file=f.cc ; line=1 ; expr=cudaMalloc(&p, n);",
	} {
		if err := cudaError(errors.New(text)); errors.Is(err, runtime.ErrUnavailable) {
			t.Errorf("%s\nis %v", text, err)
		}
	}
	if got, want := cudaError(errors.New("Load model from a b.onnx failed:Protobuf parsing\nfailed.")).Error(), "onnxruntime: Protobuf parsing failed."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
