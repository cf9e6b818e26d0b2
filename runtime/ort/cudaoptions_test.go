package ort

import (
	"maps"
	"strings"
	"testing"
)

// TestCUDAOptions checks what the provider gets. Keys and values are those of
// ONNX Runtime's documentation of the CUDA execution provider.
func TestCUDAOptions(t *testing.T) {
	for _, c := range []struct {
		o    CUDAOptions
		want map[string]string
	}{
		{CUDAOptions{}, map[string]string{"device_id": "0", "use_tf32": "0"}},
		{CUDAOptions{TF32: true, DeviceID: 3}, map[string]string{"device_id": "3", "use_tf32": "1"}},
		{CUDAOptions{MemoryLimit: 8 << 30, ExactArena: true, Graphs: true, Attention: FlashAttention | MathAttention},
			map[string]string{"device_id": "0", "use_tf32": "0", "gpu_mem_limit": "8589934592",
				"arena_extend_strategy": "kSameAsRequested", "enable_cuda_graph": "1", "sdpa_kernel": "17"}},
		{CUDAOptions{Attention: EfficientAttention | CuDNNAttention}, map[string]string{"device_id": "0", "use_tf32": "0", "sdpa_kernel": "10"}},
	} {
		if got := c.o.provider(); !maps.Equal(got, c.want) {
			t.Errorf("%+v is %v, want %v", c.o, got, c.want)
		}
		if err := c.o.check(); err != nil {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	for want, o := range map[string]CUDAOptions{
		"the device -1 is negative":        {DeviceID: -1},
		"the memory limit -5 is negative":  {MemoryLimit: -5},
		"there are no attention kernels 4": {Attention: 4 | FlashAttention},
	} {
		if err := (Options{CUDA: o}).check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
}

// TestCUDAForbidsCPU is about the entry that keeps ONNX Runtime from running
// on the CPU what CUDA cannot run.
func TestCUDAForbidsCPU(t *testing.T) {
	const key = "session.disable_cpu_ep_fallback"
	if got := (Options{}).entries("cuda")[key]; got != "1" {
		t.Errorf("on CUDA, %s is %q", key, got)
	}
	if got := (Options{Sleep: true}).entries("cpu")["session.intra_op.allow_spinning"]; got != "0" {
		t.Errorf("threads that are to sleep spin: %q", got)
	}
	if got, ok := (Options{}).entries("cpu")[key]; ok {
		t.Errorf("on the CPU, %s is %q", key, got)
	}
}
