package gorgonia

// blasPack writes depth steps of a panel: side elements for each step, the
// first count of them from the matrix (across apart within a step, along from
// step to step). It leaves the other elements unchanged: their products lie
// beyond the edge of the result and are dropped.
func blasPack[E element](to, from []E, across, along, count, depth, side int) {
	switch {
	case across == 1 && count == side:
		blasPackSteps(to, from, along, depth, side)
	case along == 1:
		r := 0
		for ; r+4 <= count; r += 4 {
			blasPackFour(to[r:], from[r*across:], across, depth, side)
		}
		for ; r+2 <= count; r += 2 {
			blasPackTwo(to[r:], from[r*across:], across, depth, side)
		}
		for ; r < count; r++ {
			for d, x := range from[r*across:][:depth] {
				to[d*side+r] = x
			}
		}
	default:
		for d := range depth {
			for r := range count {
				to[d*side+r] = from[d*along+r*across]
			}
		}
	}
}

// blasPackSteps packs contiguous steps. Copies of constant size compile to a
// few moves; others are a call.
func blasPackSteps[E element](to, from []E, along, depth, side int) {
	switch side {
	case 16:
		for d := range depth {
			*(*[16]E)(to[d*16:]) = *(*[16]E)(from[d*along:])
		}
	case 8:
		for d := range depth {
			*(*[8]E)(to[d*8:]) = *(*[8]E)(from[d*along:])
		}
	case 6:
		for d := range depth {
			*(*[6]E)(to[d*6:]) = *(*[6]E)(from[d*along:])
		}
	default:
		for d := range depth {
			copy(to[d*side:][:side], from[d*along:])
		}
	}
}

// blasPackFour packs four rows, across apart, interleaved.
func blasPackFour[E element](to, from []E, across, depth, side int) {
	a, b := from[:depth], from[across:][:depth]
	c, d := from[2*across:][:depth], from[3*across:][:depth]
	for i := range a {
		*(*[4]E)(to[i*side:]) = [4]E{a[i], b[i], c[i], d[i]}
	}
}

// blasPackTwo packs two rows.
func blasPackTwo[E element](to, from []E, across, depth, side int) {
	a, b := from[:depth], from[across:][:depth]
	for i := range a {
		*(*[2]E)(to[i*side:]) = [2]E{a[i], b[i]}
	}
}
