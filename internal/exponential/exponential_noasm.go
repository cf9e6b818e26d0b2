//go:build !amd64

package exponential

// all replaces every number by its exponential.
func all(x []float32) { each(x) }

func largest(x []float32) float32 { return largestEach(x) }

func sumOf(x []float32, top float32) float64 { return sumEach(x, top) }
