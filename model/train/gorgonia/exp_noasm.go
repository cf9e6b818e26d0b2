//go:build !amd64

package gorgonia

// expAll replaces every number by its exponential.
func expAll(x []float32) { expEach(x) }
