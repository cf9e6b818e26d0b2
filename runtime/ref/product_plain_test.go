//go:build !amd64

package ref

func everyProduct() []productKernel { return []productKernel{plainProduct} }
