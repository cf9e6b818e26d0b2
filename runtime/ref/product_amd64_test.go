package ref

import "golang.org/x/sys/cpu"

// everyProduct returns the kernels that this processor runs.
func everyProduct() []productKernel {
	all := []productKernel{plainProduct}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		all = append(all, productKernel{3, add3x16, widen4})
	}
	if cpu.X86.HasAVX512F {
		all = append(all, productKernel{8, add8x16, widen8})
	}
	return all
}

// everySingle returns the kernels in float32 that this processor runs.
func everySingle() []kernelOf[float32] {
	all := []kernelOf[float32]{plainSingles}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		all = append(all, kernelOf[float32]{3, add3x32, nil})
	}
	if cpu.X86.HasAVX512F {
		all = append(all, kernelOf[float32]{8, add8x32, nil})
	}
	return all
}
