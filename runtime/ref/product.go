package ref

import (
	"math"
	"sync"
	"unsafe"
)

// A product is computed in tiles. packDepth rows and packWidth columns of the right
// matrix at a time are copied into panels of panelWidth columns, in the order in
// which the innermost loop reads them. One panel takes 32 KiB and stays in the
// first-level cache while tileRows rows of the left matrix, which take 512 KiB and
// stay in the second-level cache, are processed.
//
// Each element is summed from the first k to the last, and each step is one fused
// multiply-add, which rounds once. So the bits are those of the plain sum with
// math.FMA, for any tile and on every processor.
//
// Products of errors, of which a few digits are enough, are computed in float32 in the
// same way, with panels of singleWidth columns: that takes half the time.
const (
	panelWidth  = 16
	singleWidth = 32
	packDepth   = 256
	packWidth   = 64
	tileRows    = 256
	singleRows  = 1024 // of a tile in float32: products of errors have many rows, and packing the matrix takes its time
)

// element is the type of the elements of a product.
type element interface{ float32 | float64 }

// packerOf writes rows k0 to k1 and columns j0 to j1 of a matrix as panels of w columns:
// element (k,j) is at ((j-j0)/w·(k1-k0) + k-k0)·w + (j-j0)%w. Elements beyond the last
// column are undefined.
type packerOf[E element] func(to []E, k0, k1, j0, j1 int)

type packer = packerOf[float64]

// kernelOf adds to rows rows of a panel's width of z, stride apart, the product of as many
// rows of x with a panel of depth rows.
type kernelOf[E element] struct {
	rows int // at most maxRows
	add  func(depth int, x *E, xStride int, panel *E, z *E, zStride int)
	// widen writes a panel of depth rows of a float32 matrix, stride apart. It may be nil.
	widen func(depth int, from *float32, stride int, to *E)
}

type productKernel = kernelOf[float64]

const maxRows = 8

// product and productSingles are the kernels for this processor.
var product, productSingles = bestProduct()

// scratchOf is the memory of one tile.
type scratchOf[E element] struct {
	right [packDepth * packWidth]E
	left  [maxRows * packDepth]E   // the last rows, if there are fewer than the kernel's
	out   [maxRows * singleWidth]E // elements at the edges
}

var scratches, singleScratches = sync.Pool{New: func() any { return new(scratchOf[float64]) }}, sync.Pool{New: func() any { return new(scratchOf[float32]) }}

// multiplier returns the kernel for a type, the width of its panels, and its memory.
func multiplier[E element]() (kernel kernelOf[E], width int, memory *sync.Pool) {
	switch kernel := any(&kernel).(type) {
	case *kernelOf[float64]:
		*kernel, width, memory = product, panelWidth, &scratches
	case *kernelOf[float32]:
		*kernel, width, memory = productSingles, singleWidth, &singleScratches
	}
	return kernel, width, memory
}

// tile is a part of a product: rows top to bottom and columns left to right, at most
// packWidth.
type tile struct{ top, bottom, left, right int }

// tiles returns the number of tiles of a product of m rows and n columns, and a
// function for the i-th: down the rows first.
func tiles(m, n int) (count int, tileOf func(i int) tile) { return tilesOf(m, n, tileRows) }

// tilesOf is tiles with tiles of the given number of rows.
func tilesOf(m, n, tileRows int) (count int, tileOf func(i int) tile) {
	rows := (m + tileRows - 1) / tileRows
	columns := (n + packWidth - 1) / packWidth
	return rows * columns, func(i int) tile {
		top, left := i%rows*tileRows, i/rows*packWidth
		return tile{top, min(top+tileRows, m), left, min(left+packWidth, n)}
	}
}

// addTile adds to a tile of z, which has rows of n elements, the product of x, which has
// rows of k elements, with the matrix that pack writes.
func addTile[E element](t tile, z []E, n int, x []E, k int, pack packerOf[E]) {
	product, panelWidth, memory := multiplier[E]()
	s := memory.Get().(*scratchOf[E])
	defer memory.Put(s)
	for k0 := 0; k0 < k; k0 += packDepth {
		k1 := min(k0+packDepth, k)
		pack(s.right[:], k0, k1, t.left, t.right)
		depth := k1 - k0
		for j := t.left; j < t.right; j += panelWidth {
			panel := s.right[(j-t.left)*depth:][:depth*panelWidth]
			width := min(panelWidth, t.right-j)
			for row := t.top; row < t.bottom; row += product.rows {
				rows := min(product.rows, t.bottom-row)
				from, stride := x[row*k+k0:], k
				if rows < product.rows { // the kernel reads all of its rows
					for r := range rows {
						copy(s.left[r*depth:][:depth], from[r*k:])
					}
					from, stride = s.left[:], depth
				}
				if rows == product.rows && width == panelWidth {
					product.add(depth, &from[0], stride, &panel[0], &z[row*n+j], n)
					continue
				}
				for r := range rows {
					copy(s.out[r*panelWidth:][:width], z[(row+r)*n+j:])
				}
				product.add(depth, &from[0], stride, &panel[0], &s.out[0], panelWidth)
				for r := range rows {
					copy(z[(row+r)*n+j:][:width], s.out[r*panelWidth:])
				}
			}
		}
	}
}

// multiply adds to z, which has rows of n elements, the product of x, which has rows of
// k elements, with the matrix that pack writes.
func multiply[E element](z, x []E, k, n int, pack packerOf[E]) {
	if len(z) == 0 {
		return
	}
	count, tileOf := tiles(len(z)/n, n)
	for i := range count {
		addTile(tileOf(i), z, n, x, k, pack)
	}
}

// plainProduct is the kernel in Go. Its sums stay in registers: four of each of two
// rows at a time.
var plainProduct = productKernel{rows: 2, add: func(depth int, x *float64, xStride int, panel *float64, z *float64, zStride int) {
	x0, x1 := rowAt(x, 0, depth), rowAt(x, xStride, depth)
	all := rowAt(panel, 0, depth*panelWidth)
	for j := 0; j < panelWidth; j += 4 {
		z0, z1 := (*[4]float64)(rowAt(z, j, 4)), (*[4]float64)(rowAt(z, zStride+j, 4))
		a0, a1, a2, a3 := z0[0], z0[1], z0[2], z0[3]
		b0, b1, b2, b3 := z1[0], z1[1], z1[2], z1[3]
		for i, f := range x0 {
			p := (*[4]float64)(all[i*panelWidth+j:])
			g := x1[i]
			a0, a1, a2, a3 = math.FMA(f, p[0], a0), math.FMA(f, p[1], a1), math.FMA(f, p[2], a2), math.FMA(f, p[3], a3)
			b0, b1, b2, b3 = math.FMA(g, p[0], b0), math.FMA(g, p[1], b1), math.FMA(g, p[2], b2), math.FMA(g, p[3], b3)
		}
		*z0, *z1 = [4]float64{a0, a1, a2, a3}, [4]float64{b0, b1, b2, b3}
	}
}}

// rowAt returns n elements from an offset on.
func rowAt(x *float64, offset, n int) []float64 {
	return unsafe.Slice((*float64)(unsafe.Add(unsafe.Pointer(x), 8*offset)), n)
}

// plainSingles is plainProduct in float32.
var plainSingles = kernelOf[float32]{rows: 1, add: func(depth int, x *float32, _ int, panel *float32, z *float32, _ int) {
	row, all, out := unsafe.Slice(x, depth), unsafe.Slice(panel, depth*singleWidth), unsafe.Slice(z, singleWidth)
	for i, f := range row {
		for j, p := range all[i*singleWidth:][:singleWidth] {
			out[j] = float32(float64(f)*float64(p) + float64(out[j])) // the product is exact
		}
	}
}}

// rowsOf returns the packer of a row-major matrix with rows of n elements.
func rowsOf[E element](y []E, n int) packer { return packRows[float64](y, n) }

func packRows[T, E element](y []E, n int) packerOf[T] {
	product, panelWidth, _ := multiplier[T]()
	return func(to []T, k0, k1, j0, j1 int) {
		depth := k1 - k0
		if s, single := any(y).([]float32); single && product.widen != nil {
			for ; j0+panelWidth <= j1; j0 += panelWidth {
				product.widen(depth, &s[k0*n+j0], n, &to[0])
				to = to[min(len(to), depth*panelWidth):]
			}
		}
		for k := k0; k < k1; k++ {
			row := y[k*n+j0 : k*n+j1]
			at := (k - k0) * panelWidth
			for len(row) > 0 {
				width := min(panelWidth, len(row))
				p := to[at:][:width]
				if same, ok := any(row).([]T); ok {
					copy(p, same)
				} else {
					for j, v := range row[:width] {
						p[j] = T(v)
					}
				}
				row = row[width:]
				at += depth * panelWidth
			}
		}
	}
}

// columnsOf returns the packer of the transpose of a row-major matrix with rows of n
// elements.
func columnsOf[E element](y []E, n int) packer { return packColumns[float64](y, n) }

func packColumns[T, E element](y []E, n int) packerOf[T] {
	_, panelWidth, _ := multiplier[T]()
	return func(to []T, k0, k1, j0, j1 int) {
		depth := k1 - k0
		for ; j0 < j1; j0 += panelWidth {
			j, end := 0, min(panelWidth, j1-j0)
			for ; j+4 <= end; j += 4 {
				a, b := y[(j0+j)*n+k0:][:depth], y[(j0+j+1)*n+k0:][:depth]
				c, d := y[(j0+j+2)*n+k0:][:depth], y[(j0+j+3)*n+k0:][:depth]
				for i := range a {
					*(*[4]T)(to[i*panelWidth+j:]) = [4]T{T(a[i]), T(b[i]), T(c[i]), T(d[i])}
				}
			}
			for ; j < end; j++ {
				for i, v := range y[(j0+j)*n+k0:][:depth] {
					to[i*panelWidth+j] = T(v)
				}
			}
			to = to[min(len(to), depth*panelWidth):]
		}
	}
}
