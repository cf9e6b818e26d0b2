package ref

import "sync"

// A product is computed in tiles. packDepth rows and packWidth columns of the right
// matrix at a time are copied into panels of panelWidth columns, in the order in
// which the innermost loop reads them. They take 128 KiB, which stay in the
// second-level cache. One panel takes 8 KiB and stays in the first-level cache
// while tileRows rows of the left matrix are processed. Each element is still
// summed from the first k to the last, so the bits are those of the plain sum.
const (
	panelWidth = 4
	packDepth  = 256
	packWidth  = 64
	tileRows   = 128
)

// packer writes rows k0 to k1 and columns j0 to j1 of a matrix as panels: element
// (k,j) is at ((j-j0)/panelWidth·(k1-k0) + k-k0)·panelWidth + (j-j0)%panelWidth.
// Elements beyond the last column are undefined.
type packer func(to []float64, k0, k1, j0, j1 int)

var packs = sync.Pool{New: func() any { return new([packDepth * packWidth]float64) }}

// tile is a part of a product: rows top to bottom and columns left to right, at most
// packWidth.
type tile struct{ top, bottom, left, right int }

// tiles returns the number of tiles of a product of m rows and n columns, and a
// function for the i-th: down the rows first.
func tiles(m, n int) (count int, tileOf func(i int) tile) {
	rows := (m + tileRows - 1) / tileRows
	columns := (n + packWidth - 1) / packWidth
	return rows * columns, func(i int) tile {
		top, left := i%rows*tileRows, i/rows*packWidth
		return tile{top, min(top+tileRows, m), left, min(left+packWidth, n)}
	}
}

// add adds to a tile of z, which has rows of n elements, the product of x, which has
// rows of k elements, with the matrix that pack writes.
func (t tile) add(z []float64, n int, x []float64, k int, pack packer) {
	buffer := packs.Get().(*[packDepth * packWidth]float64)
	defer packs.Put(buffer)
	for k0 := 0; k0 < k; k0 += packDepth {
		k1 := min(k0+packDepth, k)
		pack(buffer[:], k0, k1, t.left, t.right)
		depth := k1 - k0
		for j := t.left; j < t.right; j += panelWidth {
			panel := buffer[(j-t.left)*depth:][:depth*panelWidth]
			width := min(panelWidth, t.right-j)
			row := t.top
			for ; row+1 < t.bottom; row += 2 {
				add2Rows(z[row*n+j:][:width], z[(row+1)*n+j:][:width], x[row*k+k0:][:depth], x[(row+1)*k+k0:][:depth], panel)
			}
			if row < t.bottom {
				add1Row(z[row*n+j:][:width], x[row*k+k0:][:depth], panel)
			}
		}
	}
}

// add2Rows adds to up to panelWidth elements of two rows the products of two rows
// with a panel. Its sums stay in registers.
func add2Rows(z0, z1, x0, x1, panel []float64) {
	var s0, s1 [panelWidth]float64
	copy(s0[:], z0)
	copy(s1[:], z1)
	a0, a1, a2, a3 := s0[0], s0[1], s0[2], s0[3]
	b0, b1, b2, b3 := s1[0], s1[1], s1[2], s1[3]
	x1 = x1[:len(x0)]
	for i, f := range x0 {
		if len(panel) < panelWidth {
			break
		}
		g := x1[i]
		p0, p1, p2, p3 := panel[0], panel[1], panel[2], panel[3]
		a0 += f * p0
		a1 += f * p1
		a2 += f * p2
		a3 += f * p3
		b0 += g * p0
		b1 += g * p1
		b2 += g * p2
		b3 += g * p3
		panel = panel[panelWidth:]
	}
	s0, s1 = [...]float64{a0, a1, a2, a3}, [...]float64{b0, b1, b2, b3}
	copy(z0, s0[:])
	copy(z1, s1[:])
}

// add1Row is add2Rows for one row.
func add1Row(z, x, panel []float64) {
	var s [panelWidth]float64
	copy(s[:], z)
	s0, s1, s2, s3 := s[0], s[1], s[2], s[3]
	for _, f := range x {
		if len(panel) < panelWidth {
			break
		}
		s0 += f * panel[0]
		s1 += f * panel[1]
		s2 += f * panel[2]
		s3 += f * panel[3]
		panel = panel[panelWidth:]
	}
	s = [...]float64{s0, s1, s2, s3}
	copy(z, s[:])
}

// rowsOf returns the packer of a row-major matrix with rows of n elements.
func rowsOf(y []float64, n int) packer {
	return func(to []float64, k0, k1, j0, j1 int) {
		depth := k1 - k0
		for k := k0; k < k1; k++ {
			row := y[k*n+j0 : k*n+j1]
			at := (k - k0) * panelWidth
			for len(row) >= panelWidth {
				p := to[at : at+panelWidth : at+panelWidth]
				p[0], p[1], p[2], p[3] = row[0], row[1], row[2], row[3]
				row = row[panelWidth:]
				at += depth * panelWidth
			}
			if len(row) > 0 {
				copy(to[at:], row)
			}
		}
	}
}
