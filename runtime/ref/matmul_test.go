package ref

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/attnx/attnx/model/graph"
)

// filled returns an array whose elements next gives.
func filled(next func() float64, shape ...int) array {
	a := newArray(floats, shape)
	for i := range a.f {
		a.f[i] = next()
	}
	return a
}

// Sums of small integers are exact in any order: the product must be the one
// that the definition gives, whatever the sizes are to those of a block.
func TestMatMulIsTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	integer := func() float64 { return float64(r.IntN(17) - 8) }
	for _, c := range []struct{ batch, m, k, n int }{
		{1, 1, 1, 1}, {1, 3, 5, 2}, {1, 4, 1, 512}, {1, 5, 3, 513}, {1, 8, 7, 1030}, {3, 4, 4, 4}, {2, 7, 2, 3}, {6, 1, 9, 1},
	} {
		for _, each := range []bool{false, true} { // one b for all, or one each
			a := filled(integer, c.batch, c.m, c.k)
			b := filled(integer, c.k, c.n)
			if each {
				b = filled(integer, c.batch, c.k, c.n)
			}
			got := matMul(a, b, []int{c.batch, c.m, c.n})
			for i, x := range got.f {
				batch, row, column := i/c.n/c.m, i/c.n%c.m, i%c.n
				from := 0
				if each {
					from = batch * c.k * c.n
				}
				want := 0.0
				for k := range c.k {
					want += a.f[(batch*c.m+row)*c.k+k] * b.f[from+k*c.n+column]
				}
				if x != want {
					t.Fatalf("%+v, own b %t: element %v is %g, want %g", c, each, position(i, got.shape), x, want)
				}
			}
		}
	}
}

// plainMatMul is the product of two matrices by its definition, with one rounding a
// step.
func plainMatMul(a, b array) []float64 {
	m, k, n := a.shape[0], a.shape[1], b.shape[1]
	out := make([]float64, m*n)
	for i := range out {
		for j := range k {
			out[i] = math.FMA(a.f[i/n*k+j], b.f[j*n+i%n], out[i])
		}
	}
	return out
}

// Every kernel keeps the order of every sum: the bits are those of the plain product,
// at sizes on both sides of every tile's, however the right matrix is stored.
func TestProductsKeepTheBits(t *testing.T) {
	defer func(k productKernel) { product = k }(product)
	r := rand.New(rand.NewPCG(7, 8))
	single := func() float64 { return float64(float32(r.NormFloat64())) }
	for _, c := range []struct{ m, k, n int }{{3, 300, 70}, {4, 256, 64}, {5, 257, 65}, {257, 300, 34}, {1, 520, 130}, {16, 3, 1}, {7, 1, 67}} {
		a, b := filled(r.NormFloat64, c.m, c.k), filled(single, c.k, c.n)
		want, shape := plainMatMul(a, b), []int{c.m, c.n}
		turned := transposed(b, true)
		turned.shape, turned.turned = b.shape, true
		for i, kernel := range everyProduct() {
			product = kernel
			for name, right := range map[string]array{"rows": b, "columns": turned, "float32 rows": singles(b), "float32 columns": singles(turned)} {
				if got := matMul(a, right, shape).f; !slices.Equal(got, want) {
					t.Errorf("%+v, kernel %d, %s: other bits than the plain product", c, i, name)
				}
			}
		}
	}
}

// singles returns a matrix as a float32 weight.
func singles(a array) array {
	for _, x := range a.f {
		a.s = append(a.s, float32(x))
	}
	a.f = nil
	return a
}

// What is computed in parts, each on its own, is what the definition gives across their
// edges.
func TestParts(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	a, b, shape := filled(r.NormFloat64, 40, 1, 30), filled(r.NormFloat64, 50, 1), []int{40, 50, 30}
	sum, err := binary(graph.Add, a, b, shape)
	if err != nil {
		t.Fatal(err)
	}
	moved := transpose(sum, []int{2, 0, 1}, []int{30, 40, 50})
	both, err := concat([]array{moved, moved}, 1, []int{30, 80, 50})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range both.f {
		at := position(i, both.shape)
		at[1] %= 40
		if want := a.f[at[1]*30+at[0]] + b.f[at[2]]; x != want {
			t.Fatalf("element %v is %g, want %g", at, x, want)
		}
	}
}

// NaN and infinities are not lost to a product with 0.
func TestMatMulKeepsNaN(t *testing.T) {
	got := matMul(array{shape: []int{1, 2}, f: []float64{0, 1}}, array{shape: []int{2, 1}, f: []float64{math.Inf(1), 1}}, []int{1, 1})
	if !math.IsNaN(got.f[0]) {
		t.Errorf("0·∞ + 1 is %g", got.f[0])
	}
}

// Each element is summed by one goroutine in index order, so the bits are the
// same for any number of processors.
func TestResultsDoNotDependOnProcessors(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	a, b := filled(r.NormFloat64, 2, 9, 33), filled(r.NormFloat64, 33, 700)
	q, mask := filled(r.NormFloat64, 2, 3, 5, 8), filled(r.NormFloat64, 5, 5)
	scale, bias := filled(r.NormFloat64, 33), filled(r.NormFloat64, 33)
	all := func() (sum []float64) {
		sum = append(sum, matMul(a, b, []int{2, 9, 700}).f...)
		sum = append(sum, softmax(b, 0, func(x, top, sum float64) float64 { return math.Exp(x-top) / sum }).f...)
		sum = append(sum, attention(graph.Attention{Scale: 0.3, Causal: true}, []array{q, q, q, mask}, q.shape).f...)
		return append(sum, layerNormalization([]array{a, scale, bias}, 1e-5, [][]int{a.shape})[0].f...)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := all()
	for _, n := range []int{2, 3, 7} {
		runtime.GOMAXPROCS(n)
		if !slices.Equal(all(), want) {
			t.Errorf("%d processors give other bits than one", n)
		}
	}
}

// BenchmarkMatMul is GPT-2's widest layer on 64 tokens.
func BenchmarkMatMul(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	x, w := filled(r.NormFloat64, 64, 768), filled(r.NormFloat64, 768, 3072)
	for b.Loop() {
		matMul(x, w, []int{64, 3072})
	}
	b.ReportMetric(2*64*768*3072*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

// The kernels in float32 give what the product in float64 does, to the digits of float32.
func TestSingleProducts(t *testing.T) {
	defer func(k kernelOf[float32]) { productSingles = k }(productSingles)
	r := rand.New(rand.NewPCG(17, 18))
	for _, c := range []struct{ m, k, n int }{{3, 300, 70}, {4, 256, 64}, {5, 257, 65}, {257, 300, 34}, {1, 520, 130}, {16, 3, 1}, {7, 1, 67}} {
		a, b := filled(r.NormFloat64, c.m, c.k), filled(func() float64 { return float64(float32(r.NormFloat64())) }, c.k, c.n)
		turned := transposed(b, true)
		turned.shape, turned.turned = b.shape, true
		wantSquares := termSums(mapped(a, square), b, []int{c.m, c.n}, true).f
		want := plainMatMul(a, b)
		var bits []float32
		for i, kernel := range everySingle() {
			productSingles = kernel
			for name, right := range map[string]array{"rows": b, "columns": turned, "float32 rows": singles(b), "float32 columns": singles(turned)} {
				got := make([]float32, c.m*c.n)
				singleProduct(c.m, c.k, c.n, right.singles(c.k, c.n), func(r int, x []float32) {
					for i := range x {
						x[i] = float32(a.f[r*c.k+i])
					}
				}, func(r int, z []float32) { copy(got[r*c.n:], z) })
				if bits == nil {
					bits = got
				}
				squares, ok := singleSquares(a, right, []int{c.m, c.n})
				for j, x := range got {
					if math.Abs(float64(x)-want[j]) > 1e-4 || i > 0 && math.Abs(float64(x-bits[j])) > 1e-6*max(1, math.Abs(float64(x))) {
						t.Fatalf("%+v, kernel %d, %s: element %d is %g, want %g", c, i, name, j, x, want[j])
					}
					if y := squares.f[j]; !ok || math.Abs(y-wantSquares[j]) > 1e-4*wantSquares[j] {
						t.Fatalf("%+v, kernel %d, %s: sum of squares %d is %g, want %g (%t)", c, i, name, j, y, wantSquares[j], ok)
					}
				}
			}
		}
	}
}

// Squares that float32 does not hold are computed in float64.
func TestSquaresBeyondFloat32(t *testing.T) {
	for _, x := range []float64{1e-25, 1e25, 1e-300} {
		for _, w := range []float64{1e-25, 1e25, 1} {
			a := array{shape: []int{2, 2}, f: []float64{x, -2 * x, 0, 0}}
			b := array{shape: []int{2, 1}, f: []float64{3 * w, w}}
			got := squaresOfTerms(a, b, []int{2, 1})
			want := 13 * square(x) * square(w)
			if math.Abs(got.f[0]-want) > 1e-5*want || got.f[1] != 0 {
				t.Errorf("%g times %g: %v, want %g and 0", x, w, got.f, want)
			}
		}
	}
}

// BenchmarkSingles is BenchmarkMatMul in float32.
func BenchmarkSingles(b *testing.B) {
	x, w := make([]float32, 64*768), singles(filled(rand.New(rand.NewPCG(5, 6)).NormFloat64, 768, 3072))
	for b.Loop() {
		singleProduct(64, 768, 3072, w.singles(768, 3072), func(r int, to []float32) { copy(to, x[r*768:]) }, func(int, []float32) {})
	}
	b.ReportMetric(2*64*768*3072*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
