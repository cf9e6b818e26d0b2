//go:build !amd64

package ref

func everyProduct() []productKernel { return []productKernel{plainProduct} }

func everySingle() []kernelOf[float32] { return []kernelOf[float32]{plainSingles} }
