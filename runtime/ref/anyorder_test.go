package ref

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
)

// shuffled computes a network as some runtime might: in a type, with sums in
// float32 in an order, in blocks and with fused steps as they come, with functions
// that are off by an ulp, and a variance in one pass or two.
type shuffled struct {
	*shaking
	random *rand.Rand
	to     format.DType
	fused  bool
	order  int // of a sum: 0 as it is, 1 backward, 2 shuffled
	blocks int // sums that are added at the end
}

func (s *shuffled) f32(x float64) float64 { return float64(float32(x)) }

// sum adds terms, or products, in float32.
func (s *shuffled) sum(x, y []float64) float64 {
	at := make([]int, len(x))
	for i := range at {
		at[i] = i
	}
	switch s.order {
	case 1:
		slices.Reverse(at)
	case 2:
		s.random.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
	}
	parts := make([]float32, s.blocks)
	for k, i := range at {
		p := &parts[k%s.blocks]
		switch {
		case y == nil:
			*p += float32(x[i])
		case s.fused:
			*p = float32(math.FMA(x[i], y[i], float64(*p)))
		default:
			*p += float32(x[i]) * float32(y[i])
		}
	}
	for len(parts) > 1 { // pairs
		for i := range len(parts) / 2 {
			parts[i] += parts[len(parts)-1-i]
		}
		parts = parts[:(len(parts)+1)/2]
	}
	return float64(parts[0])
}

// apply computes a node on rounded arguments.
func (s *shuffled) apply(n *graph.Node, c call) ([]array, error) {
	for i := range c.args {
		c.args[i] = c.args[i].wide()
	}
	out, err := apply(n, c)
	if err != nil || out[0].kind != floats || roundingRules[reflect.TypeOf(n.Op)].exact {
		return out, err
	}
	y := array{shape: out[0].shape, dtype: out[0].dtype, f: slices.Clone(out[0].f)}
	switch op := n.Op.(type) {
	case graph.MatMul:
		s.product(y, c.args[0], c.args[1])
	case graph.Reduce:
		if op.Kind == graph.ReduceSum || op.Kind == graph.ReduceMean {
			s.reduce(op, y, c.args[0])
		}
	case graph.Softmax:
		s.softmax(op.Axis, y, c.args[0])
	case graph.Unary:
		if !exactFunctions[op] && op != graph.Sqrt {
			for i := range y.f {
				y.f[i] *= 1 + 0x1p-23*(2*s.random.Float64()-1)
			}
		}
	}
	to := n.Results[0].DType
	if s.outside[n.Results[0].Name] && narrower(s.to, to) {
		to = s.to
	}
	for i := range y.f {
		y.f[i] = to.Round(y.f[i])
	}
	return append([]array{y}, out[1:]...), nil
}

func (s *shuffled) product(y, a, b array) {
	m, k, n := y.shape[len(y.shape)-2], a.shape[len(a.shape)-1], y.shape[len(y.shape)-1]
	lead := y.shape[:len(y.shape)-2]
	left, right := places(a.shape[:len(a.shape)-2], lead), places(b.shape[:len(b.shape)-2], lead)
	column := make([]float64, k)
	for matrix := range len(y.f) / (m * n) {
		l, r := left(matrix), right(matrix)
		for j := range n {
			for i := range k {
				column[i] = b.f[(r*k+i)*n+j]
			}
			for i := range m {
				y.f[(matrix*m+i)*n+j] = s.sum(a.f[(l*m+i)*k:][:k], column)
			}
		}
	}
}

func (s *shuffled) reduce(op graph.Reduce, y, x array) {
	if len(op.Axes) != 1 || op.Axes[0] != len(x.shape)-1 {
		return // rounded at the end
	}
	n := x.shape[len(x.shape)-1]
	for i := range y.f {
		y.f[i] = s.sum(x.f[i*n:][:n], nil)
		if op.Kind == graph.ReduceMean {
			y.f[i] = s.f32(y.f[i] / float64(n))
		}
	}
}

func (s *shuffled) softmax(axis int, y, x array) {
	n := x.shape[axis]
	for from := 0; axis == len(x.shape)-1 && from < len(x.f); from += n {
		row := x.f[from : from+n]
		top := slices.Max(row)
		e := make([]float64, n)
		for i, v := range row {
			e[i] = s.f32(math.Exp(s.f32(v-top)) * (1 + 0x1p-23*(2*s.random.Float64()-1)))
		}
		sum := s.sum(e, nil)
		for i := range row {
			if y.f[from+i] = s.f32(e[i] / sum); s.fused {
				y.f[from+i] = s.f32(e[i] * s.f32(1/sum))
			}
		}
	}
}

// run computes the value called name.
func (s *shuffled) run(sizes map[string]int, name string) ([]float64, error) {
	v := s.graph.Lookup(name)
	p, err := newPlan(s.graph, []*graph.Value{v}, sizes)
	if err != nil {
		return nil, err
	}
	held := map[*graph.Value]array{}
	get := func(v *graph.Value) (array, error) {
		if a, ok := held[v]; ok {
			return a, nil
		}
		a, err := loadLeaf(v, s.inputs, s.weights)
		a = a.wide()
		if s.leafUnit(v) > 0 && err == nil {
			a.f = slices.Clone(a.f)
			for i := range a.f {
				a.f[i] = s.to.Round(a.f[i])
			}
		}
		held[v] = a
		return a, err
	}
	b := &backward{shaking: s.shaking}
	for _, n := range s.graph.Nodes {
		if !p.runs(n) || n.Results[0].Leaf() {
			continue
		}
		c, err := b.call(n, p, get)
		if err != nil {
			return nil, err
		}
		out, err := s.apply(n, c)
		if err != nil {
			return nil, err
		}
		for i, v := range n.Results {
			held[v] = out[i]
		}
	}
	return held[v].f, nil
}

// TestCertificatesByForce computes networks in float32 and bfloat16 in random orders,
// blocks, with and without fused steps. What is certain in any order keeps its highest score in every
// try, and no lead moves beyond its worst case; what is probable keeps it too here. In
// bfloat16 the leads of certain rows come close to the bound, and others do change.
func TestCertificatesByForce(t *testing.T) {
	for name, net := range map[string]nn.Network{
		"gpt2":   arch.GPT2{Vocab: 13, Context: 8, Layers: 2, Heads: 2, Width: 12, Inner: 16, Epsilon: 1e-5},
		"simple": arch.Simple{Vocab: 13, Context: 8, Heads: 2, Width: 12, Inner: 16, Positions: true},
	} {
		c, err := model.New(net, 4)
		if err != nil {
			t.Fatal(err)
		}
		o, err := New(c.Graph, c.Weights)
		if err != nil {
			t.Fatal(err)
		}
		k := runtime.NewCase(4, 8, 13, 3)
		for _, d := range []format.DType{format.Float32, format.BFloat16} {
			all, err := o.Certificates(k.Inputs(), runtime.Numbers{DType: d}, "logits", nil)
			if err != nil {
				t.Fatal(err)
			}
			tries := 25
			if fixtures.Exhaustive() {
				tries = map[string]int{"gpt2": 10_000, "simple": 1_000}[name]
			}
			r := byForce(t, o, k.Inputs(), d, all, tries)
			t.Logf("%s in %s, %d tries: of %d rows %d are certain in any order, the worst lead moved by %.3g of its bound; %d are a matter of rounding, of which %d changed",
				name, d, tries, len(all), r.any, r.used, r.rounding, r.changed)
			if r.any == 0 || d == format.BFloat16 && (r.rounding == 0 || r.changed == 0 || r.used < 0.02) {
				t.Errorf("%s in %s: %+v shows nothing", name, d, r)
			}
		}
	}
}

type forced struct {
	any, rounding, changed int
	used                   float64
}

func byForce(t *testing.T, o *Oracle, inputs map[string]format.Tensor, d format.DType, all []runtime.Certificate, tries int) (r forced) {
	t.Helper()
	out, err := o.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	exact, _ := out["logits"].Float64s()
	width := len(exact) / len(all)
	var forms []*certified
	sizes, err := o.graph.BindInputs(map[string][]int{"input_ids": inputs["input_ids"].Shape})
	if err != nil {
		t.Fatal(err)
	}
	for _, passes := range [][]graph.Pass{{graph.Bind(sizes), singlePass, graph.Decompose(primitive)}, {graph.Bind(sizes), graph.Decompose(primitive)}} {
		c, err := newCertified(o, passes...)
		if err != nil {
			t.Fatal(err)
		}
		forms = append(forms, c)
	}
	changed := map[int]bool{}
	random := rand.New(rand.NewPCG(5, uint64(d)))
	for try := range tries {
		s := &shuffled{
			shaking: &shaking{certified: forms[try%2], inputs: inputs, numbers: runtime.Numbers{DType: d}},
			random:  random, to: d, fused: random.IntN(2) == 0, order: random.IntN(3), blocks: 1 + random.IntN(5),
		}
		y, err := s.run(sizes, "logits")
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range all {
			row, was := y[i*width:(i+1)*width], exact[i*width:(i+1)*width]
			if highest(row) != c.Best {
				changed[i] = true
				if c.Certain() {
					t.Fatalf("try %d, row %d: %d is the highest: %+v", try, i, highest(row), c)
				}
			}
			if c.Rivals > 0 {
				off := math.Abs((row[c.Best] - row[c.Closest]) - (was[c.Best] - was[c.Closest]))
				if r.used = max(r.used, off/c.Worst); off > c.Worst {
					t.Fatalf("try %d, row %d: the lead moves by %.3g: %+v", try, i, off, c)
				}
			}
		}
	}
	for i, c := range all {
		if c.Any {
			r.any++
		}
		if c.Reading() == runtime.ReadingRounding {
			r.rounding++
			if changed[i] {
				r.changed++
			}
		}
	}
	return r
}
