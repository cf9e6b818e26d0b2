package gorgonia

// spread maps the elements of a large tensor to those of a small one that
// broadcasts to it. Nearly always that is large[o,m,i] and small[m]; otherwise
// (two or more separate varying groups of axes) it lists the axes.
type spread struct {
	outer, mid, inner int
	listed            bool         // not of that form: uses axes
	axes              []spreadAxis // last one first, adjacent ones merged
	large, small      int          // elements
}

type spreadAxis struct {
	size   int
	stride int // of the small tensor; 0 where it repeats
}

// newSpread returns the spread of small over large. small broadcasts to large,
// aligned at the last axis.
func newSpread(large, small []int) spread {
	s := spread{outer: 1, mid: 1, inner: 1, large: 1, small: 1}
	var axes []spreadAxis
	for i := range large {
		n := large[len(large)-1-i]
		s.large *= n
		if n == 1 {
			continue
		}
		a := spreadAxis{size: n}
		if i < len(small) && small[len(small)-1-i] != 1 {
			a.stride = s.small
			s.small *= n
		}
		if k := len(axes) - 1; k >= 0 && (axes[k].stride == 0) == (a.stride == 0) {
			axes[k].size *= n
			continue
		}
		axes = append(axes, a)
	}
	rest := axes
	if len(rest) > 0 && rest[0].stride == 0 {
		s.inner, rest = rest[0].size, rest[1:]
	}
	if len(rest) > 0 {
		s.mid, rest = rest[0].size, rest[1:]
	}
	if len(rest) > 0 {
		s.outer, rest = rest[0].size, rest[1:]
	}
	s.axes, s.listed = axes, len(rest) > 0
	return s
}

// each calls f for every element of the large tensor, in order, with its
// element of the small one.
func (s spread) each(f func(large, small int)) {
	index := make([]int, len(s.axes))
	small := 0
	for large := range s.large {
		f(large, small)
		for k, a := range s.axes {
			index[k]++
			small += a.stride
			if index[k] < a.size {
				break
			}
			small -= a.stride * a.size
			index[k] = 0
		}
	}
}

// sumSpread adds to each element of small the elements of large that map to
// it, times scale, always in the same order.
func sumSpread[E element](s spread, small, large []E, scale E) {
	switch {
	case s.listed:
		clear(small)
		s.each(func(i, j int) { small[j] += large[i] })
		for j := range small {
			small[j] *= scale
		}
	case s.inner == 1: // columns
		blasParallel(blocks(s.mid, 256), func(block int) {
			from, to := blockOf(s.mid, 256, block)
			sum := small[from:to]
			clear(sum)
			for o := range s.outer {
				row := large[o*s.mid+from:][:len(sum)]
				for j, x := range row {
					sum[j] += x
				}
			}
			for j := range sum {
				sum[j] *= scale
			}
		})
	default:
		for m := range small {
			sum := 0.0 // one long sum, which would lose digits in float32
			for o := range s.outer {
				for _, x := range large[(o*s.mid+m)*s.inner:][:s.inner] {
					sum += float64(x)
				}
			}
			small[m] = E(sum) * scale
		}
	}
}

// fillSpread sets each element of large to its element of small, times scale.
func fillSpread[E element](s spread, large, small []E, scale E) {
	if s.listed {
		s.each(func(i, j int) { large[i] = small[j] * scale })
		return
	}
	for o := range s.outer {
		for m := range s.mid {
			x := small[m] * scale
			row := large[(o*s.mid+m)*s.inner:][:s.inner]
			for i := range row {
				row[i] = x
			}
		}
	}
}
