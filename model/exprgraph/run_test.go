package exprgraph_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/exprgraph"
	"github.com/attnx/attnx/runtime/ref"
)

// source makes nodes with random values, of one element type.
type source struct {
	g      *gorgonia.ExprGraph
	of     tensor.Dtype
	random *rand.Rand
	inputs gorgonia.Nodes
}

func newSource(of tensor.Dtype, seed uint64) *source {
	return &source{g: gorgonia.NewGraph(), of: of, random: rand.New(rand.NewPCG(seed, 1))}
}

// backing returns n numbers between low and high.
func (s *source) backing(low, high float64, n int) any {
	x, y := make([]float64, n), make([]float32, n)
	for i := range x {
		y[i] = float32(low + (high-low)*s.random.Float64())
		x[i] = float64(y[i])
	}
	if s.of == tensor.Float32 {
		return y
	}
	return x
}

// dense returns numbers between low and high.
func (s *source) dense(low, high float64, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(s.backing(low, high, tensor.Shape(shape).TotalSize())))
}

// weight returns a node with numbers between low and high.
func (s *source) weight(name string, low, high float64, shape ...int) *gorgonia.Node {
	if len(shape) > 0 {
		return gorgonia.NewTensor(s.g, s.of, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(s.dense(low, high, shape...)))
	}
	var value any
	switch v := s.backing(low, high, 1).(type) {
	case []float32:
		value = v[0]
	case []float64:
		value = v[0]
	}
	return gorgonia.NewScalar(s.g, s.of, gorgonia.WithName(name), gorgonia.WithValue(value))
}

// input is a weight that is an input.
func (s *source) input(name string, low, high float64, shape ...int) *gorgonia.Node {
	x := s.weight(name, low, high, shape...)
	s.inputs = append(s.inputs, x)
	return x
}

// ids is an input of integers below limit.
func (s *source) ids(name string, limit int, shape ...int) *gorgonia.Node {
	v := make([]int, tensor.Shape(shape).TotalSize())
	for i := range v {
		v[i] = s.random.IntN(limit)
	}
	x := gorgonia.NewTensor(s.g, tensor.Int, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))))
	s.inputs = append(s.inputs, x)
	return x
}

// constant is a constant scalar.
func (s *source) constant(x float64) *gorgonia.Node {
	if s.of == tensor.Float32 {
		return gorgonia.NewConstant(float32(x))
	}
	return gorgonia.NewConstant(x)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// numbers returns the elements of a value, and its shape.
func numbers(v gorgonia.Value) (x []float64, shape []int) {
	if t, ok := v.(tensor.Tensor); ok && len(t.Shape()) > 0 {
		v = tensor.Materialize(t).(gorgonia.Value)
	}
	switch d := v.Data().(type) {
	case []float32:
		for _, f := range d {
			x = append(x, float64(f))
		}
	case []float64:
		x = append(x, d...)
	case float32:
		x = []float64{float64(d)}
	case float64:
		x = []float64{d}
	case []bool:
		for _, b := range d {
			x = append(x, truth(b))
		}
	case bool:
		x = []float64{truth(d)}
	case []int:
		for _, i := range d {
			x = append(x, float64(i))
		}
	case int:
		x = []float64{float64(d)}
	default:
		panic(fmt.Sprintf("elements %T", d))
	}
	return x, append([]int{}, v.Shape()...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// byGorgonia returns the values that Gorgonia's tape machine computes.
func byGorgonia(g *gorgonia.ExprGraph, outputs gorgonia.Nodes) (values []gorgonia.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("gorgonia panicked: %v", p)
		}
	}()
	values = make([]gorgonia.Value, len(outputs))
	for i, out := range outputs {
		gorgonia.Read(out, &values[i])
	}
	vm := gorgonia.NewTapeMachine(g, gorgonia.EvalMode())
	defer vm.Close()
	return values, vm.RunAll()
}

// byOperators returns the values that Gorgonia's operators compute one by one, each
// on copies of its arguments. The tape machine lets an operator overwrite an
// argument that a Reshape still shares.
func byOperators(g *gorgonia.ExprGraph, outputs gorgonia.Nodes) (values []gorgonia.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("gorgonia panicked: %v", p)
		}
	}()
	done := map[*gorgonia.Node]gorgonia.Value{}
	var value func(n *gorgonia.Node) gorgonia.Value
	value = func(n *gorgonia.Node) gorgonia.Value {
		if v := done[n]; v != nil {
			return v
		}
		var args []gorgonia.Value
		for from := g.From(n.ID()); from.Next(); {
			args = append(args, must(gorgonia.CloneValue(value(from.Node().(*gorgonia.Node)))))
		}
		if len(args) == 0 {
			done[n] = n.Value()
		} else {
			done[n] = must(n.Op().Do(args...))
		}
		return done[n]
	}
	for _, out := range outputs {
		values = append(values, value(out))
	}
	return values, nil
}

// given returns the values of nodes by name.
func given(nodes gorgonia.Nodes) map[string]format.Tensor {
	in := map[string]format.Tensor{}
	for _, x := range nodes {
		v, shape := numbers(x.Value())
		t := format.FromFloat64s(x.Name(), shape, v)
		switch x.Dtype() {
		case tensor.Float32:
			t, _, _ = t.Convert(format.Float32)
		case tensor.Int:
			ids := make([]int64, len(v))
			for i := range v {
				ids[i] = int64(v[i])
			}
			t = format.FromInt64s(x.Name(), shape, ids)
		}
		in[x.Name()] = t
	}
	return in
}

// same compares the oracle's outputs of a model with Gorgonia's.
func same(t *testing.T, c *model.Checkpoint, in map[string]format.Tensor, want []gorgonia.Value, tolerance float64) {
	t.Helper()
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		t.Fatal(err)
	}
	got, err := oracle.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range c.Graph.Outputs {
		w, shape := numbers(want[i])
		out := got[o.Name]
		g, err := out.AsFloat64s()
		if out.DType == format.Bool || out.DType == format.Int64 {
			out.DType, err = format.Bool, nil
			g = nil
			for _, b := range out.Data {
				g = append(g, float64(b))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(out.Shape) != fmt.Sprint(shape) {
			t.Errorf("%s has the shape %v, Gorgonia's %v", o.Name, out.Shape, shape)
		}
		if len(g) != len(w) {
			t.Fatalf("%s has %d elements, Gorgonia's %d", o.Name, len(g), len(w))
		}
		for j := range w {
			if d := math.Abs(g[j] - w[j]); !(d <= tolerance*(1+math.Abs(w[j]))) && !(math.IsNaN(g[j]) && math.IsNaN(w[j])) && g[j] != w[j] {
				t.Fatalf("%s[%d] is %g, Gorgonia's %g", o.Name, j, g[j], w[j])
			}
		}
	}
}

// tolerance is the relative error that an element type allows.
func tolerance(of tensor.Dtype) float64 {
	if of == tensor.Float32 {
		return 1e-5
	}
	return 1e-9
}

// agrees reads a network and compares it with Gorgonia.
func agrees(t *testing.T, s *source, outputs ...*gorgonia.Node) *model.Checkpoint {
	t.Helper()
	c, err := exprgraph.Read(exprgraph.Network{Inputs: s.inputs, Outputs: outputs})
	if err != nil {
		t.Fatal(err)
	}
	in := given(s.inputs)
	want, err := byGorgonia(s.g, outputs)
	if err != nil {
		t.Fatal(err)
	}
	same(t, c, in, want, tolerance(s.of))
	return c
}
