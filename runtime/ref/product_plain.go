//go:build !amd64

package ref

func bestProduct() productKernel { return plainProduct }
