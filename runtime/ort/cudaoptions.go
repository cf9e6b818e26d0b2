package ort

import (
	"fmt"
	"strconv"
)

// CUDAOptions says how CUDA runs a model. The zero value is what ONNX Runtime
// does by itself, but for TF32, which it allows.
//
// Of the provider's options these are the ones that a transformer has a use
// for. Left out are those of convolutions (cudnn_conv_*, fuse_conv_bias,
// prefer_nhwc), those that want an address in the process (user_compute_stream,
// gpu_external_*), the tuning of AMD's kernels (tunable_op_*), and
// enable_skip_layer_norm_strict_mode, which 1.28 took away.
type CUDAOptions struct {
	// DeviceID is the GPU's number among those that CUDA_VISIBLE_DEVICES shows.
	// Default 0.
	DeviceID int
	// MemoryLimit is the most that the provider's arena takes, in bytes;
	// CUDA's libraries take theirs beside it. Default 0: no limit.
	MemoryLimit int64
	// ExactArena has the arena grow by what is asked for. By default it grows
	// by powers of two, which saves time and may take twice the memory.
	ExactArena bool
	// TF32 lets float32 products round their factors to TF32 (10 bits of
	// mantissa). The provider's default is true, this one's false.
	TF32 bool
	// Graphs records the runs that Device.Run is given a replay for as CUDA
	// graphs, which start a run's kernels at once. Default false. A Session
	// cannot have it: recorded work reads and writes the same memory always.
	Graphs bool
	// Attention allows these kernels of the fused attention operators and no
	// others. Default 0: the provider chooses, and heeds the environment
	// variables ORT_DISABLE_FLASH_ATTENTION and its like.
	Attention AttentionKernels
}

// AttentionKernels is a set of ways to compute attention.
type AttentionKernels uint8

// The kernels, with their bits in the provider's option sdpa_kernel.
const (
	FlashAttention     AttentionKernels = 1
	EfficientAttention AttentionKernels = 2
	CuDNNAttention     AttentionKernels = 8
	MathAttention      AttentionKernels = 16 // plain products and softmax
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

// provider returns c as the provider's keys and values.
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
