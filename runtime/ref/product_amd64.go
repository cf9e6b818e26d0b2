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

func bestProduct() productKernel {
	switch {
	case cpu.X86.HasAVX512F:
		return productKernel{8, add8x16, widen8}
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return productKernel{3, add3x16, widen4}
	}
	return plainProduct
}
