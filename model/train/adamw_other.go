//go:build !amd64

package train

// adamw updates a piece in one pass.
func adamw(w, g, m, v []float32, f *adamwFactors) { adamwPlain(w, g, m, v, f) }
