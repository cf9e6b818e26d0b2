package train

import "golang.org/x/sys/cpu"

//go:noescape
func adamw8(n int, w, grad, m, v *float32, f *adamwFactors)

// adamw updates a piece in one pass.
func adamw(w, g, m, v []float32, f *adamwFactors) {
	n := 0
	if cpu.X86.HasAVX2 {
		if n = len(w) &^ 7; n > 0 {
			adamw8(n, &w[0], &g[0], &m[0], &v[0], f)
		}
	}
	adamwPlain(w[n:], g[n:], m[n:], v[n:], f)
}
