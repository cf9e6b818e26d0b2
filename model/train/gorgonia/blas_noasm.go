//go:build !amd64

package gorgonia

func bestKernel32() blasKernel[float32] {
	return blasKernel[float32]{rows: 4, cols: 4, run: blasTile4x4[float32]}
}

func bestKernel64() blasKernel[float64] {
	return blasKernel[float64]{rows: 4, cols: 4, run: blasTile4x4[float64]}
}
