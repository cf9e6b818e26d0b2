package gorgonia

import "golang.org/x/sys/cpu"

// The kernels of blas_amd64.s: a tile of six rows of 64 bytes, with fused
// multiply-add on 32 bytes at once.

//go:noescape
func blasTile6x16(k int, a, b, c *float32, stride int, more bool)

//go:noescape
func blasTile6x8(k int, a, b, c *float64, stride int, more bool)

func hasFMA() bool { return cpu.X86.HasAVX2 && cpu.X86.HasFMA }

func bestKernel32() blasKernel[float32] {
	if hasFMA() {
		return blasKernel[float32]{rows: 6, cols: 16, run: blasTile6x16}
	}
	return blasKernel[float32]{rows: 4, cols: 4, run: blasTile4x4[float32]}
}

func bestKernel64() blasKernel[float64] {
	if hasFMA() {
		return blasKernel[float64]{rows: 6, cols: 8, run: blasTile6x8}
	}
	return blasKernel[float64]{rows: 4, cols: 4, run: blasTile4x4[float64]}
}
