package ort

import (
	"fmt"
	"strconv"
)

// CUDAOptions configures CUDA. The zero value is ONNX Runtime's default, except
// that TF32 is off.
//
// It has the provider's options that matter to a transformer. Left out are the
// options of convolutions (cudnn_conv_*, fuse_conv_bias, prefer_nhwc), options
// that take an address in the process (user_compute_stream, gpu_external_*),
// the tuning of AMD's kernels (tunable_op_*), and
// enable_skip_layer_norm_strict_mode, which 1.28 removed.
type CUDAOptions struct {
	// DeviceID is the GPU's number among those that CUDA_VISIBLE_DEVICES makes
	// visible. Default 0.
	DeviceID int
	// MemoryLimit is the maximum size of the provider's arena in bytes. CUDA's
	// libraries allocate memory outside it. Default 0: no limit.
	MemoryLimit int64
	// ExactArena makes the arena grow by the requested size. By default it grows by
	// powers of two, which saves time and can take twice the memory.
	ExactArena bool
	// TF32 lets float32 products round their factors to TF32 (10 bits of mantissa).
	// The provider's default is true, the default here is false.
	TF32 bool
	// Graphs makes Device.Run record runs with a replay number as CUDA graphs,
	// which launch a run's kernels all at once. Default false. A Session cannot use
	// it: a recorded run always reads and writes the same memory.
	Graphs bool
	// Attention restricts the fused attention operators to these kernels. Default
	// 0: the provider chooses, and follows environment variables such as
	// ORT_DISABLE_FLASH_ATTENTION.
	Attention AttentionKernels
}

// AttentionKernels is a set of attention kernels.
type AttentionKernels uint8

// The kernels, with their bits in the provider's option sdpa_kernel.
const (
	FlashAttention     AttentionKernels = 1
	EfficientAttention AttentionKernels = 2
	CuDNNAttention     AttentionKernels = 8
	MathAttention      AttentionKernels = 16 // unfused products and softmax
)

func (c CUDAOptions) check() error {
	switch known := FlashAttention | EfficientAttention | CuDNNAttention | MathAttention; {
	case c.DeviceID < 0:
		return fmt.Errorf("CUDA: the device %d is negative", c.DeviceID)
	case c.MemoryLimit < 0:
		return fmt.Errorf("CUDA: the memory limit %d is negative", c.MemoryLimit)
	case c.Attention&^known != 0:
		return fmt.Errorf("CUDA: there are no attention kernels %d", c.Attention&^known)
	}
	return nil
}

// provider converts c to the provider's keys and values.
func (c CUDAOptions) provider() map[string]string {
	s := map[string]string{"device_id": strconv.Itoa(c.DeviceID), "use_tf32": "0"}
	if c.TF32 {
		s["use_tf32"] = "1"
	}
	if c.MemoryLimit > 0 {
		s["gpu_mem_limit"] = strconv.FormatInt(c.MemoryLimit, 10)
	}
	if c.ExactArena {
		s["arena_extend_strategy"] = "kSameAsRequested"
	}
	if c.Graphs {
		s["enable_cuda_graph"] = "1"
	}
	if c.Attention != 0 {
		s["sdpa_kernel"] = strconv.Itoa(int(c.Attention))
	}
	return s
}
