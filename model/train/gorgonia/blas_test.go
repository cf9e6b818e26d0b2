package gorgonia

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/attnx/attnx/model"
)

// blasSizes hold a single element, tiles with and without a rim, more than
// one block of k and of columns.
var blasSizes = [][3]int{{1, 1, 1}, {6, 16, 4}, {7, 17, 3}, {5, 15, 9}, {48, 32, 256}, {49, 33, 257}, {100, 3, 600}, {3, 2100, 5}, {13, 2049, 300}}

func TestMultiply(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testMultiply[float32](t, 1e-5) })
	t.Run("float64", func(t *testing.T) { testMultiply[float64](t, 1e-13) })
}

// TestMultiplyPlainGo runs the kernel of machines without AVX2.
func TestMultiplyPlainGo(t *testing.T) {
	k32, k64 := blasKernel32, blasKernel64
	defer func() { blasKernel32, blasKernel64 = k32, k64 }()
	blasKernel32 = blasKernel[float32]{rows: 4, cols: 4, run: blasTile4x4[float32]}
	blasKernel64 = blasKernel[float64]{rows: 4, cols: 4, run: blasTile4x4[float64]}
	TestMultiply(t)
}

// testMultiply compares with the plain triple loop in float64. The error of a
// sum of k products of numbers of order 1 is some √k roundings; the tolerance
// is a hundred of them.
func testMultiply[E element](t *testing.T, tolerance float64) {
	for _, s := range blasSizes {
		m, n, k := s[0], s[1], s[2]
		x, y := normals[E]("x", m*k), normals[E]("y", k*n)
		for _, transposed := range [][2]bool{{}, {true, false}, {false, true}, {true, true}} {
			a, b := byRows(x, k), byRows(y, n)
			if transposed[0] {
				a = byColumns(x, m)
			}
			if transposed[1] {
				b = byColumns(y, k)
			}
			c := normals[E]("what was there", m*n)
			serial := normals[E]("what was there", m*n)
			blasMultiply(c, a, b, m, n, k)
			blasMultiplySerial(serial, a, b, m, n, k)
			for i := range m {
				for j := range n {
					want := 0.0
					for p := range k {
						want += float64(a.data[i*a.row+p*a.col]) * float64(b.data[p*b.row+j*b.col])
					}
					if d := math.Abs(float64(c[i*n+j]) - want); !(d <= tolerance*math.Sqrt(float64(k))) {
						t.Fatalf("%v transposed %v: element (%d,%d) is %v, want %v", s, transposed, i, j, c[i*n+j], want)
					}
					if c[i*n+j] != serial[i*n+j] {
						t.Fatalf("%v transposed %v: element (%d,%d) is %v on all cores, %v on one", s, transposed, i, j, c[i*n+j], serial[i*n+j])
					}
				}
			}
		}
	}
}

func normals[E element](name string, n int) []E {
	x := make([]float32, n)
	model.NewStream(1, name).FillNormal(x, 1)
	out := make([]E, n)
	for i, v := range x {
		out[i] = E(v)
	}
	return out
}

func TestMultiplyNaN(t *testing.T) {
	x := []float32{float32(math.NaN()), 1, 0, 1}
	c := make([]float32, 4)
	blasMultiply(c, byRows(x, 2), byRows([]float32{0, 1, 2, 3}, 2), 2, 2, 2)
	if c[0] == c[0] || c[1] == c[1] || c[2] != 2 || c[3] != 3 {
		t.Errorf("got %v, want NaN NaN 2 3", c)
	}
}

func TestParallel(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for _, n := range []int{0, 1, 3, 1000} {
		calls := make([]int, n)
		blasParallel(n, func(i int) { calls[i]++ })
		for i, c := range calls {
			if c != 1 {
				t.Errorf("%d of %d is called %d times", i, n, c)
			}
		}
	}
	for _, at := range []int{0, 7} {
		err := func() (err error) {
			defer recovered(&err)
			blasParallel(8, func(i int) {
				if i == at {
					panic(fmt.Sprint("broken at ", at))
				}
			})
			return nil
		}()
		if want := fmt.Sprint("train: the Gorgonia engine failed: broken at ", at); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
