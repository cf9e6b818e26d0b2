package gorgonia

import "sync"

// A matrix product for both cores of a small machine, after Goto and van de
// Geijn, "Anatomy of high-performance matrix multiplication" (2008). Blocks of
// both factors are packed into the order in which a small kernel reads them,
// so a transposed factor costs no more than any other.
//
// The result is deterministic: every element is one chain of multiply-adds
// over k in ascending order, for any block sizes and number of cores. It does
// not use Gorgonia's hook, gorgonia.Use, because that changes the BLAS of the
// whole process.

// blasMatrix is a matrix in memory: element (i,j) at data[i*row+j*col].
type blasMatrix[E element] struct {
	data     []E
	row, col int
}

// byRows returns a matrix of the given width stored row by row.
func byRows[E element](data []E, width int) blasMatrix[E] { return blasMatrix[E]{data, width, 1} }

// byColumns returns the transpose of byRows.
func byColumns[E element](data []E, width int) blasMatrix[E] { return blasMatrix[E]{data, 1, width} }

// blasKernel computes a tile: rows×cols elements of the result.
type blasKernel[E element] struct {
	rows, cols int
	// run sets c (rows of cols elements, stride apart) to a·b, or adds to it
	// if more is set. a holds k columns of the tile's rows, b k rows of its
	// columns.
	run func(k int, a, b, c *E, stride int, more bool)
}

// Block sizes: blasDepth·cols elements of b and blasDepth·rows of a stay in
// the first-level cache, a task's rows of a in the second.
const (
	blasDepth = 256  // of k
	blasWidth = 2048 // of n
	blasRows  = 48   // of m, at most, in a task
)

// blasScratch is the memory for the packed blocks of one product.
type blasScratch[E element] struct{ packed []E }

func (s *blasScratch[E]) room(n int) []E {
	if cap(s.packed) < n {
		s.packed = make([]E, n)
	}
	return s.packed[:n]
}

var blasPool32, blasPool64 sync.Pool

func blasPool[E element]() *sync.Pool {
	if _, ok := any(*new(E)).(float64); ok {
		return &blasPool64
	}
	return &blasPool32
}

func blasBorrow[E element]() *blasScratch[E] {
	if s, ok := blasPool[E]().Get().(*blasScratch[E]); ok {
		return s
	}
	return &blasScratch[E]{}
}

func blasReturn[E element](s *blasScratch[E]) { blasPool[E]().Put(s) }

// blasMultiply sets c, m×n by rows, to a·b on all cores.
func blasMultiply[E element](c []E, a, b blasMatrix[E], m, n, k int) {
	w := newBlasWork(c, a, b, m, n, k)
	for w.next() {
		blasParallel(w.packs, w.pack)
		blasParallel(w.tasks, w.task)
	}
	blasReturn(w.scratch)
}

// blasMultiplySerial is blasMultiply on one core, for callers that already run
// in parallel.
func blasMultiplySerial[E element](c []E, a, b blasMatrix[E], m, n, k int) {
	w := newBlasWork(c, a, b, m, n, k)
	for w.next() {
		for i := range w.packs {
			w.pack(i)
		}
		for i := range w.tasks {
			w.task(i)
		}
	}
	blasReturn(w.scratch)
}

// blasWork is a product in progress: one block of columns and of k at a time.
type blasWork[E element] struct {
	kernel  *blasKernel[E]
	c       []E
	a, b    blasMatrix[E]
	m, n, k int
	rows    int // of a task
	packs   int // tasks that pack the block of b
	tasks   int // tasks that multiply it

	j0, width int // the block of columns
	k0, depth int // the block of k
	scratch   *blasScratch[E]
	right     []E // the block of b, packed
}

// blasPanels is how many panels of b a task packs.
const blasPanels = 8

func newBlasWork[E element](c []E, a, b blasMatrix[E], m, n, k int) blasWork[E] {
	w := blasWork[E]{kernel: blasKernelOf[E](), c: c, a: a, b: b, m: m, n: n, k: k, scratch: blasBorrow[E]()}
	// Eight tasks or more if there are rows for them, so that no core waits
	// long for the last one.
	side := w.kernel.rows
	w.rows = min(max(blocks(m/8, side), 1)*side, blasRows/side*side)
	w.tasks = blocks(m, w.rows)
	w.j0, w.k0, w.width = 0, -blasDepth, min(blasWidth, n)
	return w
}

// next moves to the next block; it returns false after the last one.
func (w *blasWork[E]) next() bool {
	if w.k0 += blasDepth; w.k0 >= w.k {
		w.k0 = 0
		if w.j0 += blasWidth; w.j0 >= w.n {
			return false
		}
		w.width = min(blasWidth, w.n-w.j0)
	}
	w.depth = min(blasDepth, w.k-w.k0)
	panels := blocks(w.width, w.kernel.cols)
	w.packs = blocks(panels, blasPanels)
	w.right = w.scratch.room(panels * w.depth * w.kernel.cols)
	return true
}

// pack packs one task's panels of the block of b.
func (w *blasWork[E]) pack(task int) {
	size := w.depth * w.kernel.cols
	from, to := blockOf(blocks(w.width, w.kernel.cols), blasPanels, task)
	for p := from; p < to; p++ {
		j := w.j0 + p*w.kernel.cols
		blasPack(w.right[p*size:][:size], w.b.data[w.k0*w.b.row+j*w.b.col:], w.b.col, w.b.row, min(w.kernel.cols, w.n-j), w.depth, w.kernel.cols)
	}
}

// task computes one task's rows of the block of columns, or adds the
// contribution of the block of k to them.
func (w *blasWork[E]) task(task int) {
	kernel, n, more := w.kernel, w.n, w.k0 > 0
	from, to := blockOf(w.m, w.rows, task)
	scratch := blasBorrow[E]()
	height := blocks(to-from, kernel.rows)
	sizeA, sizeB := w.depth*kernel.rows, w.depth*kernel.cols
	room := scratch.room(height*sizeA + kernel.rows*kernel.cols)
	left, tile := room[:height*sizeA], room[height*sizeA:]
	for p := range height {
		i := from + p*kernel.rows
		blasPack(left[p*sizeA:][:sizeA], w.a.data[i*w.a.row+w.k0*w.a.col:], w.a.row, w.a.col, min(kernel.rows, to-i), w.depth, kernel.rows)
	}
	for q := range blocks(w.width, kernel.cols) {
		j := w.j0 + q*kernel.cols
		cols := min(kernel.cols, w.j0+w.width-j)
		for p := range height {
			i := from + p*kernel.rows
			rows := min(kernel.rows, to-i)
			pa, pb := &left[p*sizeA], &w.right[q*sizeB]
			if rows == kernel.rows && cols == kernel.cols {
				kernel.run(w.depth, pa, pb, &w.c[i*n+j], n, more)
				continue
			}
			// At the edge the kernel writes to a temporary tile.
			for r := 0; more && r < rows; r++ {
				copy(tile[r*kernel.cols:], w.c[(i+r)*n+j:][:cols])
			}
			kernel.run(w.depth, pa, pb, &tile[0], kernel.cols, more)
			for r := range rows {
				copy(w.c[(i+r)*n+j:][:cols], tile[r*kernel.cols:])
			}
		}
	}
	blasReturn(scratch)
}

// blasMultiplyBatch computes the products of a batch: a single one on all
// cores, or several in parallel.
func blasMultiplyBatch[E element](p gemm, c, x, y []E) {
	factors := func(i int) (a, b blasMatrix[E]) {
		a, b = byRows(x[i*p.m*p.k:], p.k), byRows(y[i*p.k*p.n:], p.n)
		if p.xTurned {
			a = byColumns(a.data, p.m)
		}
		if p.yTurned {
			b = byColumns(b.data, p.k)
		}
		return a, b
	}
	if p.batch == 1 {
		a, b := factors(0)
		blasMultiply(c, a, b, p.m, p.n, p.k)
		return
	}
	blasParallel(p.batch, func(i int) {
		a, b := factors(i)
		blasMultiplySerial(c[i*p.m*p.n:][:p.m*p.n], a, b, p.m, p.n, p.k)
	})
}
