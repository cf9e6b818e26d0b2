package normal_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/normal"
	"github.com/attnx/attnx/runtime/ref"
)

// network is a graph with inputs x (B,2,3), y (B,2,3) and positions ids (B,2), and
// weights w (3,4), v (3) and c (3).
type network struct {
	*graph.Builder
	x, y, ids, w, v, c *graph.Value
}

func build(t testing.TB, f func(n network) *graph.Value) (normal.Model, bool) {
	t.Helper()
	b := graph.NewBuilder()
	B := graph.Sym("B")
	n := network{
		Builder: b,
		x:       b.Input("x", format.Float32, B, graph.N(2), graph.N(3)),
		y:       b.Input("y", format.Float32, B, graph.N(2), graph.N(3)),
		ids:     b.Input("ids", format.Int64, B, graph.N(2)),
		w:       b.Weight("w", format.Float32, 3, 4),
		v:       b.Weight("v", format.Float32, 3),
		c:       b.Weight("c", format.Float32, 3),
	}
	out := f(n)
	if b.Err() != nil || out == nil {
		return normal.Model{}, false
	}
	b.Output("out", out)
	g, err := b.Graph()
	if err != nil {
		return normal.Model{}, false
	}
	numbers := func(name string, shape []int, of ...float32) format.Tensor {
		return format.FromFloat32s(name, shape, of)
	}
	return normal.Model{Graph: g, Weights: []format.Tensor{
		numbers("w", []int{3, 4}, 1, -2, 0.5, 3, 4, 0.25, -1, 2, -3, 1.5, 0.75, -0.5),
		numbers("v", []int{3}, 0.3, -1.1, 2.7), numbers("c", []int{3}, 5, 0.7, -0.2),
	}}, true
}

// outputs runs a model on seeded inputs.
func outputs(t testing.TB, m normal.Model, seed uint64) ([]float64, error) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	x := func(name string) format.Tensor {
		v := make([]float32, 18)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return format.FromFloat32s(name, []int{3, 2, 3}, v)
	}
	ids := make([]int64, 6)
	for i := range ids {
		ids[i] = r.Int64N(3)
	}
	given := map[string]format.Tensor{"x": x("x"), "y": x("y"), "ids": format.FromInt64s("ids", []int{3, 2}, ids)}
	var weights []format.Tensor
	for _, p := range m.Graph.Params {
		for _, w := range m.Weights {
			if w.Name == p.Name {
				weights = append(weights, w)
			}
		}
	}
	s, err := ref.New(m.Graph, weights)
	if err != nil {
		return nil, err
	}
	out, err := s.Run(given)
	if err != nil {
		return nil, err
	}
	return out["out"].AsFloat64s()
}

func same(a, b []float64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.IsNaN(a[i]) || math.IsNaN(b[i]) || math.IsInf(a[i], 0) || math.IsInf(b[i], 0) {
			continue
		}
		if math.Abs(a[i]-b[i]) > 1e-6*(1+math.Abs(a[i])) { // a constant computed in advance is rounded to float32
			return false
		}
	}
	return true
}

type form func(n network) *graph.Value

// TestRules has for each rule two forms of one computation, and one that differs
// from them.
func TestRules(t *testing.T) {
	B, two, three := graph.Sym("B"), graph.N(2), graph.N(3)
	scalar := func(n network, x float64) *graph.Value { return n.Scalar(x) }
	for name, c := range map[string]struct{ a, b, other form }{
		"identity": {
			func(n network) *graph.Value { return n.Neg(n.Identity(n.x)) },
			func(n network) *graph.Value { return n.Neg(n.x) },
			func(n network) *graph.Value { return n.x }},
		"order of terms": {
			func(n network) *graph.Value { return n.Add(n.Add(n.x, n.y), n.v) },
			func(n network) *graph.Value { return n.Add(n.v, n.Add(n.y, n.x)) },
			func(n network) *graph.Value { return n.Add(n.c, n.Add(n.y, n.x)) }},
		"grouping of terms": {
			func(n network) *graph.Value { return n.Add(n.Add(n.x, n.y), n.v) },
			func(n network) *graph.Value { return n.Add(n.x, n.Add(n.v, n.y)) },
			func(n network) *graph.Value { return n.Add(n.x, n.Add(n.v, n.x)) }},
		"a difference keeps its order": {
			func(n network) *graph.Value { return n.Sub(n.x, n.y) },
			func(n network) *graph.Value { return n.Sub(n.Identity(n.x), n.y) },
			func(n network) *graph.Value { return n.Sub(n.y, n.x) }},
		"a quotient is a product with the reciprocal": {
			func(n network) *graph.Value { return n.Div(n.x, n.y) },
			func(n network) *graph.Value { return n.Mul(n.Apply(graph.Reciprocal, 1, n.y)[0], n.x) },
			func(n network) *graph.Value { return n.Div(n.y, n.x) }},
		"half": {
			func(n network) *graph.Value { return n.Div(n.x, scalar(n, 2)) },
			func(n network) *graph.Value { return n.Mul(n.x, scalar(n, 0.5)) },
			func(n network) *graph.Value { return n.Mul(n.x, scalar(n, 0.25)) }},
		"a third is rounded": {
			func(n network) *graph.Value { return n.Div(n.x, scalar(n, 3)) },
			func(n network) *graph.Value { return n.Div(n.x, scalar(n, 3)) },
			func(n network) *graph.Value { return n.Mul(n.x, scalar(n, 1.0/3)) }},
		"squares": {
			func(n network) *graph.Value { return n.Pow(n.x, scalar(n, 2)) },
			func(n network) *graph.Value { return n.Mul(n.x, n.x) },
			func(n network) *graph.Value { return n.Pow(n.x, scalar(n, 3)) }},
		"neutral": {
			func(n network) *graph.Value {
				return n.Add(n.Mul(n.x, scalar(n, 1)), n.Const(format.FromFloat32s("zero", []int{3}, []float32{0, 0, 0})))
			},
			func(n network) *graph.Value { return n.Identity(n.x) },
			func(n network) *graph.Value { return n.Add(n.x, scalar(n, 1)) }},
		"reshaped twice": {
			func(n network) *graph.Value { return n.Reshape(n.Reshape(n.x, B, graph.N(6)), B, three, two) },
			func(n network) *graph.Value { return n.Reshape(n.x, B, three, two) },
			func(n network) *graph.Value { return n.Transpose(n.x, 0, 2, 1) }},
		"transposed twice": {
			func(n network) *graph.Value { return n.Transpose(n.Transpose(n.x, 2, 0, 1), 1, 0, 2) },
			func(n network) *graph.Value { return n.Transpose(n.x, 0, 2, 1) },
			func(n network) *graph.Value { return n.Transpose(n.x, 2, 0, 1) }},
		"a transposed axis of one": {
			func(n network) *graph.Value {
				return n.Transpose(n.Reshape(n.x, B, graph.N(1), graph.N(6)), 0, 2, 1)
			},
			func(n network) *graph.Value { return n.Reshape(n.x, B, graph.N(6), graph.N(1)) },
			func(n network) *graph.Value { return n.Reshape(n.y, B, graph.N(6), graph.N(1)) }},
		"a constant transposed in advance": {
			func(n network) *graph.Value { return n.MatMul(n.x, n.w) },
			func(n network) *graph.Value {
				turned := n.Const(format.FromFloat32s("t", []int{4, 3}, []float32{1, 4, -3, -2, 0.25, 1.5, 0.5, -1, 0.75, 3, 2, -0.5}))
				return n.MatMul(n.x, n.Transpose(turned, 1, 0))
			},
			func(n network) *graph.Value {
				turned := n.Const(format.FromFloat32s("t", []int{4, 3}, []float32{1, 4, -3, -2, 0.25, 1.5, 0.5, -1, 0.75, 3, -0.5, 2}))
				return n.MatMul(n.x, n.Transpose(turned, 1, 0))
			}},
		"a product of rows": {
			func(n network) *graph.Value {
				return n.Reshape(n.Add(n.MatMul(n.Reshape(n.x, B.Mul(two), three), n.w), n.Slice(n.w, 0, graph.N(0), graph.N(1))), B, two, graph.N(4))
			},
			func(n network) *graph.Value {
				return n.Add(n.MatMul(n.x, n.w), n.Reshape(n.Slice(n.w, 0, graph.N(0), graph.N(1)), graph.N(4)))
			},
			func(n network) *graph.Value {
				return n.Add(n.MatMul(n.x, n.w), n.Reshape(n.Slice(n.w, 0, graph.N(1), graph.N(2)), graph.N(4)))
			}},
		"columns of a product": {
			func(n network) *graph.Value {
				return n.Slice(n.Add(n.MatMul(n.x, n.w), n.Reshape(n.Slice(n.w, 0, graph.N(0), graph.N(1)), graph.N(4))), 2, graph.N(1), graph.N(3))
			},
			func(n network) *graph.Value {
				return n.Add(n.MatMul(n.x, n.Slice(n.w, 1, graph.N(1), graph.N(3))), n.Const(format.FromFloat32s("b", []int{2}, []float32{-2, 0.5})))
			},
			func(n network) *graph.Value {
				return n.Add(n.MatMul(n.x, n.Slice(n.w, 1, graph.N(0), graph.N(2))), n.Const(format.FromFloat32s("b", []int{2}, []float32{-2, 0.5})))
			}},
		"a scaled factor": {
			func(n network) *graph.Value {
				return n.MatMul(n.Mul(n.x, scalar(n, 0.3)), n.Transpose(n.y, 0, 2, 1))
			},
			func(n network) *graph.Value {
				return n.Mul(n.MatMul(n.x, n.Transpose(n.y, 0, 2, 1)), scalar(n, 0.3))
			},
			func(n network) *graph.Value {
				return n.Mul(n.MatMul(n.x, n.Transpose(n.y, 0, 2, 1)), scalar(n, 0.300001))
			}},
		"parts of parts": {
			func(n network) *graph.Value { return n.Slice(n.Slice(n.x, 2, graph.N(1), three), 2, graph.N(1), two) },
			func(n network) *graph.Value { return n.Slice(n.x, 2, two, three) },
			func(n network) *graph.Value { return n.Slice(n.x, 2, graph.N(1), two) }},
		"parts put together": {
			func(n network) *graph.Value {
				parts := n.Split(n.x, 2, 1, 2)
				return n.Concat(2, n.Concat(2, n.y, parts[0]), parts[1])
			},
			func(n network) *graph.Value { return n.Concat(2, n.y, n.x) },
			func(n network) *graph.Value { return n.Concat(2, n.x, n.y) }},
		"expanded before it broadcasts": {
			func(n network) *graph.Value { return n.Mul(n.x, n.Expand(n.v, B, two, three)) },
			func(n network) *graph.Value { return n.Mul(n.x, n.v) },
			func(n network) *graph.Value { return n.Mul(n.x, n.c) }},
		"a kept axis": {
			func(n network) *graph.Value {
				return n.Sub(n.x, n.Reshape(n.ReduceMean(n.x, false, 2), B, two, graph.N(1)))
			},
			func(n network) *graph.Value { return n.Sub(n.x, n.ReduceMean(n.x, true, 2)) },
			func(n network) *graph.Value { return n.Sub(n.x, n.ReduceSum(n.x, true, 2)) }},
		"comparisons": {
			func(n network) *graph.Value {
				return n.Where(n.Not(n.Less(n.ids, n.Const(one()))), n.ids, n.Neg(n.ids))
			},
			func(n network) *graph.Value {
				return n.Where(n.GreaterOrEqual(n.ids, n.Const(one())), n.ids, n.Neg(n.ids))
			},
			func(n network) *graph.Value {
				return n.Where(n.Greater(n.ids, n.Const(one())), n.ids, n.Neg(n.ids))
			}},
		"a row by its number": {
			func(n network) *graph.Value { return n.Mul(n.x, n.Gather(n.Transpose(n.w, 1, 0), n.Const(one()))) },
			func(n network) *graph.Value {
				return n.Mul(n.x, n.Reshape(n.Slice(n.w, 1, graph.N(1), two), three))
			},
			func(n network) *graph.Value {
				return n.Mul(n.x, n.Reshape(n.Slice(n.w, 1, two, three), three))
			}},
		"LayerNormalization": {
			func(n network) *graph.Value { return n.LayerNormalization(n.x, n.v, n.c, 1e-5) },
			func(n network) *graph.Value {
				d := n.Sub(n.x, n.ReduceMean(n.x, true, 2))
				dev := n.Sqrt(n.Add(n.ReduceMean(n.Pow(d, scalar(n, 2)), true, 2), scalar(n, 1e-5)))
				return n.Add(n.Mul(n.v, n.Div(d, dev)), n.c)
			},
			func(n network) *graph.Value { return n.LayerNormalization(n.x, n.v, n.c, 1e-6) }},
		"a condition that no small batch shows": {
			func(n network) *graph.Value { return n.Mul(n.x, n.v) },
			func(n network) *graph.Value { return n.Mul(n.v, n.x) },
			func(n network) *graph.Value {
				many := n.Greater(n.Range(B, B.Add(graph.N(1))), n.Const(format.FromInt64s("many", []int{1}, []int64{40})))
				return n.Where(many, n.y, n.Mul(n.x, n.v))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			a, okA := build(t, c.a)
			b, okB := build(t, c.b)
			other, okC := build(t, c.other)
			if !okA || !okB || !okC {
				t.Fatalf("not built: %v %v %v", okA, okB, okC)
			}
			for _, pair := range []struct {
				a, b normal.Model
				want bool
			}{{a, b, true}, {b, a, true}, {a, other, false}, {other, b, false}} {
				r, err := normal.Identical(pair.a, pair.b, normal.Options{})
				if err != nil || r.Identical != pair.want {
					t.Errorf("%+v, %v, expected %v", r, err, pair.want)
				}
				if !pair.want && r.Reason == "" {
					t.Errorf("no reason: %+v", r)
				}
			}
			p, err := outputs(t, a, 1)
			if err != nil {
				t.Fatal(err)
			}
			if q, err := outputs(t, b, 1); err != nil || !same(p, q) {
				t.Errorf("%v and %v, %v", p, q, err)
			}
		})
	}
}

func one() format.Tensor { return format.FromInt64s("one", []int{}, []int64{1}) }

// step is one operator of a random program.
type step struct{ op, a, b, p int }

// run records a program. Values that do not fit give ok false.
func run(n network, program []step) *graph.Value {
	values := []*graph.Value{n.x, n.y, n.v, n.c, n.w}
	B := graph.Sym("B")
	shapes := []graph.Shape{{B, graph.N(6)}, {B, graph.N(2), graph.N(3)}, {B.Mul(graph.N(2)), graph.N(3)}, {B, graph.N(3), graph.N(2)}, {graph.N(3)}, {graph.N(12)}}
	for _, s := range program {
		x, y := values[s.a%len(values)], values[s.b%len(values)]
		rank := len(x.Shape)
		if n.Err() != nil || rank == 0 {
			return nil
		}
		var v *graph.Value
		switch s.op % 14 {
		case 0:
			v = n.Add(x, y)
		case 1:
			v = n.Mul(x, y)
		case 2:
			v = n.Sub(x, y)
		case 3:
			v = n.Div(x, n.Scalar([]float64{2, 3, -0.5}[s.p%3]))
		case 4:
			v = n.Reshape(x, shapes[s.p%len(shapes)]...)
		case 5:
			perm := []int{0, 1, 2, 3}[:rank]
			i, j := s.p%rank, s.b%rank
			perm[i], perm[j] = perm[j], perm[i]
			v = n.Transpose(x, perm...)
		case 6:
			axis := s.p % rank
			if d, ok := x.Shape[axis].Number(); ok && d > 1 {
				v = n.Slice(x, axis, graph.N(s.b%2), graph.N(d-(s.b/2)%2))
			} else {
				v = n.Neg(x)
			}
		case 7:
			v = n.Concat(s.p%rank, x, y)
		case 8:
			v = n.MatMul(x, y)
		case 9:
			v = n.ReduceMean(x, s.p%2 == 0, s.b%rank)
		case 10:
			v = n.Tanh(x)
		case 11:
			v = n.Mul(x, n.Scalar([]float64{1, 0.5, 2}[s.p%3]))
		case 12:
			v = n.Max(x, y)
		case 13:
			v = n.MatMul(x, n.w)
		}
		values = append(values, v)
	}
	if n.Err() != nil {
		return nil
	}
	return values[len(values)-1]
}

// TestIdenticalIsEqual: of random programs and of what is left when one step is
// altered, those that are identical by structure give the same numbers.
func TestIdenticalIsEqual(t *testing.T) {
	tries := 1000
	if fixtures.Exhaustive() {
		tries = 100_000
	}
	r := rand.New(rand.NewPCG(5, 7))
	built, identical := 0, 0
	for try := range tries {
		var program []step
		for range 1 + r.IntN(6) {
			// Programs that fit are rare if each step is drawn at random.
			for range 20 {
				next := append(program[:len(program):len(program)], step{r.IntN(14), r.IntN(12), r.IntN(12), r.IntN(12)})
				if _, ok := build(t, func(n network) *graph.Value { return run(n, next) }); ok {
					program = next
					break
				}
			}
		}
		altered := append([]step(nil), program...)
		if len(program) == 0 {
			continue
		}
		s := &altered[r.IntN(len(altered))]
		switch r.IntN(4) {
		case 0:
			s.op = r.IntN(14)
		case 1:
			s.a, s.b = s.b, s.a
		case 2:
			s.b = r.IntN(12)
		case 3:
			s.p = r.IntN(12)
		}
		a, ok := build(t, func(n network) *graph.Value { return run(n, program) })
		b, fits := build(t, func(n network) *graph.Value { return run(n, altered) })
		if !ok || !fits {
			continue
		}
		built++
		result, err := normal.Identical(a, b, normal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, errP := outputs(t, a, uint64(try))
		q, errQ := outputs(t, b, uint64(try))
		if errP != nil || errQ != nil {
			continue
		}
		if result.Identical {
			if identical++; !same(p, q) {
				t.Errorf("identical by structure, and %v and %v: %v, %v", p, q, program, altered)
			}
		}
	}
	t.Logf("%d pairs, %d identical by structure", built, identical)
	if identical < tries/100 {
		t.Errorf("only %d of %d pairs are identical", identical, built)
	}
}
