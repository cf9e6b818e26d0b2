package ref

import "golang.org/x/sys/cpu"

// The kernels of product_amd64.s.

//go:noescape
func add3x16(depth int, x *float64, xStride int, panel *float64, z *float64, zStride int)

//go:noescape
func add8x16(depth int, x *float64, xStride int, panel *float64, z *float64, zStride int)

//go:noescape
func widen4(depth int, from *float32, stride int, to *float64)

//go:noescape
func widen8(depth int, from *float32, stride int, to *float64)

//go:noescape
func add3x32(depth int, x *float32, xStride int, panel *float32, z *float32, zStride int)

//go:noescape
func add8x32(depth int, x *float32, xStride int, panel *float32, z *float32, zStride int)

func bestProduct() (productKernel, kernelOf[float32]) {
	switch {
	case cpu.X86.HasAVX512F:
		return productKernel{8, add8x16, widen8}, kernelOf[float32]{8, add8x32, nil}
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return productKernel{3, add3x16, widen4}, kernelOf[float32]{3, add3x32, nil}
	}
	return plainProduct, plainSingles
}
