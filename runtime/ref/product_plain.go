//go:build !amd64

package ref

func bestProduct() (productKernel, kernelOf[float32]) { return plainProduct, plainSingles }
