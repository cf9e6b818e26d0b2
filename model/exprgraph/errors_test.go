package exprgraph_test

import (
	"errors"
	"hash"
	"strings"
	"testing"

	"github.com/chewxy/hm"
	. "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/attnx/attnx/model/exprgraph"
)

// own is an operator of a user's own.
type own struct{}

func (own) Arity() int                                      { return 1 }
func (own) Type() hm.Type                                   { return hm.NewFnType(hm.TypeVariable('a'), hm.TypeVariable('a')) }
func (own) InferShape(in ...DimSizer) (tensor.Shape, error) { return in[0].(tensor.Shape), nil }
func (own) Do(in ...Value) (Value, error)                   { return in[0], nil }
func (own) ReturnsPtr() bool                                { return false }
func (own) CallsExtern() bool                               { return false }
func (own) OverwritesInput() int                            { return -1 }
func (own) WriteHash(h hash.Hash)                           { h.Write([]byte("own")) }
func (own) Hashcode() uint32                                { return 1 }
func (own) String() string                                  { panic("no text") }

// Each error names the node, its operator and a remedy, on one line.
func TestErrors(t *testing.T) {
	x := func(s *source) *Node { return s.input("x", -1, 1, 2, 3) }
	for name, c := range map[string]struct {
		network func(s *source) exprgraph.Network
		says    []string
	}{
		"no outputs": {func(s *source) exprgraph.Network { return exprgraph.Network{Inputs: Nodes{x(s)}} }, []string{"no outputs"}},
		"nil output": {func(s *source) exprgraph.Network { return exprgraph.Network{Outputs: Nodes{nil}} }, []string{"output 0 is nil"}},
		"nil input": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Inputs: Nodes{nil}, Outputs: Nodes{x(s)}}
		}, []string{"input 0 is nil"}},
		"no graph": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Outputs: Nodes{NewConstant(1.5)}}
		}, []string{`node "1.5"`, "belongs to no graph"}},
		"two graphs": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Inputs: Nodes{x(s)}, Outputs: Nodes{x(newSource(tensor.Float32, 1))}}
		}, []string{`node "x"`, "another graph"}},
		"listed twice": {func(s *source) exprgraph.Network {
			y := must(Tanh(x(s)))
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y, y}}
		}, []string{"tanh", "listed twice"}},
		"equal names": {func(s *source) exprgraph.Network {
			y := NewVector(s.g, s.of, WithShape(3), WithName("x"))
			return exprgraph.Network{Inputs: Nodes{x(s), y}, Outputs: Nodes{y}}
		}, []string{`node "x"`, "two inputs have this name", "gorgonia.WithName"}},
		"no value": {func(s *source) exprgraph.Network {
			w := NewMatrix(s.g, s.of, WithShape(3, 4), WithName("w"))
			y := must(Mul(x(s), w))
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}}
		}, []string{`node "w"`, "it has no value and is no input", "list it in Inputs, or give it a value with gorgonia.Let"}},
		"operator of a user": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Inputs: Nodes{x(s)}, Outputs: Nodes{must(ApplyOp(own{}, s.inputs[0]))}}
		}, []string{"exprgraph_test.own", "does not read the operator exprgraph_test.own", "end the network before it"}},
		"Sparsemax": {func(s *source) exprgraph.Network {
			y := must(Sparsemax(x(s)))
			WithName("sparse")(y)
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}}
		}, []string{`node "sparse" (Sparsemax{}())`, "the operator sparsemaxOp"}},
		"random numbers": {func(s *source) exprgraph.Network {
			y := must(Add(x(s), GaussianRandomNode(s.g, s.of, 0, 1, 2, 3)))
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}}
		}, []string{"the operator randomOp", "list the node in Inputs"}},
		"Read": {func(s *source) exprgraph.Network {
			var v Value
			return exprgraph.Network{Inputs: Nodes{x(s)}, Outputs: Nodes{Read(s.inputs[0], &v)}}
		}, []string{"the operator readOp", "list the node that it reads in Outputs"}},
		"At": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Inputs: Nodes{x(s)}, Outputs: Nodes{must(At(s.inputs[0], 1, 1))}}
		}, []string{"the operator atOp", "gorgonia.Slice"}},
		"derivatives": {func(s *source) exprgraph.Network {
			w := s.weight("w", -1, 1, 2, 3)
			cost := must(Sum(must(SoftMax(must(Add(x(s), w))))))
			return exprgraph.Network{Inputs: s.inputs, Outputs: must(Grad(cost, w))}
		}, []string{"the operator softmaxDiffOp"}},
		"elements": {func(s *source) exprgraph.Network {
			y := NewVector(s.g, tensor.Int32, WithShape(3), WithName("y"))
			return exprgraph.Network{Inputs: Nodes{y}, Outputs: Nodes{y}}
		}, []string{`node "y"`, "its elements are int32", "take float32"}},
		"vector and row": {func(s *source) exprgraph.Network {
			y := must(Add(s.input("a", -1, 1, 3), s.input("b", -1, 1, 1, 3)))
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}}
		}, []string{"Gorgonia gives the node the shape [1 3] and its value the shape [3]", "reshape the first"}},
		"name of ours": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Name: "gpt2", Inputs: Nodes{x(s)}, Outputs: s.inputs}
		}, []string{"attnx ships an architecture that is called gpt2", "another Name"}},
		"dimensions of no input": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Outputs: Nodes{x(s)}, Dims: map[*Node][]string{s.inputs[0]: {"B", ""}}}
		}, []string{"Dims names dimensions of a node that is no input"}},
		"too few names": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Inputs: Nodes{x(s)}, Outputs: s.inputs, Dims: map[*Node][]string{s.inputs[0]: {"B"}}}
		}, []string{`node "x"`, "1 names for its shape (2, 3)"}},
		"no identifier": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Inputs: Nodes{x(s)}, Outputs: s.inputs, Dims: map[*Node][]string{s.inputs[0]: {"a b", ""}}}
		}, []string{`cannot be called "a b"`}},
		"two sizes": {func(s *source) exprgraph.Network {
			return exprgraph.Network{Inputs: Nodes{x(s)}, Outputs: s.inputs, Dims: map[*Node][]string{s.inputs[0]: {"B", "B"}}}
		}, []string{"the dimension B has the size 3 here and 2 elsewhere"}},
		"named size of 1": {func(s *source) exprgraph.Network {
			y := s.input("y", -1, 1, 1, 3)
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}, Dims: map[*Node][]string{y: {"B", ""}}}
		}, []string{`node "y"`, "the size 1", "a size of 2 or more"}},
		"weight for the batch": {func(s *source) exprgraph.Network {
			y := must(Add(x(s), s.weight("w", -1, 1, 2, 3)))
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}, Dims: map[*Node][]string{s.inputs[0]: {"B", ""}}}
		}, []string{"+ false", "(B,3)"}},
		"part of a batch": {func(s *source) exprgraph.Network {
			y := must(Slice(x(s), S(0)))
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}, Dims: map[*Node][]string{s.inputs[0]: {"B", ""}}}
		}, []string{"T[0:1:0...]", "of the named dimension B"}},
		"no place for the batch": {func(s *source) exprgraph.Network {
			y := must(Reshape(s.input("y", -1, 1, 3, 4), tensor.Shape{2, 2, 3}))
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}, Dims: map[*Node][]string{s.inputs[0]: {"", "B"}}}
		}, []string{"Reshape(2, 2, 3)", "shape (3,B) cannot become [2 2 3]", "a size that no other dimension has"}},
		"two places for the batch": {func(s *source) exprgraph.Network {
			y := must(Reshape(s.input("y", -1, 1, 2, 4, 2), tensor.Shape{4, 4}))
			return exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{y}, Dims: map[*Node][]string{s.inputs[0]: {"", "B", ""}}}
		}, []string{"Reshape(4, 4)", "shape (2,B,2) cannot become [4 4]"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := exprgraph.Read(c.network(newSource(tensor.Float32, 1)))
			var typed *exprgraph.Error
			if !errors.As(err, &typed) {
				t.Fatalf("the error is %T: %v", err, err)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not in: %v", text, err)
				}
			}
			if typed.Remedy() == "" || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "panicked") {
				t.Errorf("no remedy, several lines, or a panic: %v", err)
			}
		})
	}
}

// What lies before an input is no part of the network, whatever it is.
func TestInputInTheMiddle(t *testing.T) {
	s := newSource(tensor.Float32, 1)
	x := must(Sparsemax(s.input("x", -1, 1, 2, 3)))
	y := must(Mul(x, s.weight("w", -1, 1, 3, 2)))
	c, err := exprgraph.Read(exprgraph.Network{Inputs: Nodes{x}, Outputs: Nodes{y}})
	if err != nil || len(c.Graph.Inputs) != 1 || c.Graph.Inputs[0].Name != "input" || len(c.Graph.Params) != 1 {
		t.Errorf("read: %v", err)
	}
}

// The cost and the derivatives of training are not read, and the graph is left as it
// was.
func TestTrainedGraph(t *testing.T) {
	s := newSource(tensor.Float32, 1)
	out := mlp(s, 4)
	target := NewMatrix(s.g, s.of, WithShape(4, 3), WithName("target"), WithValue(s.dense(0, 1, 4, 3)))
	cost := must(Mean(must(Square(must(Sub(out, target))))))
	var learned Nodes
	for _, n := range s.g.AllNodes() {
		if n.IsVar() && strings.ContainsAny(n.Name()[:1], "wb") {
			learned = append(learned, n)
		}
	}
	must(Grad(cost, learned...))
	vm := NewTapeMachine(s.g, BindDualValues(learned...))
	before := must(exprgraph.Read(exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{out}}))
	solver := NewVanillaSolver(WithLearnRate(1))
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	if err := solver.Step(NodesToValueGrads(learned)); err != nil {
		t.Fatal(err)
	}
	vm.Close()
	after := agrees(t, s, out)
	if len(after.Weights) != 4 || len(after.Graph.Inputs) != 1 {
		t.Errorf("%d weights, %d inputs", len(after.Weights), len(after.Graph.Inputs))
	}
	if before.Weights.Hash() == after.Weights.Hash() {
		t.Error("the step left the weights as they were, or the first model shares them")
	}
}

// Values may lie in memory in any order.
func TestLayouts(t *testing.T) {
	s := newSource(tensor.Float32, 1)
	turned := s.dense(-1, 1, 4, 3)
	if err := turned.T(); err != nil {
		t.Fatal(err)
	}
	cut := must(s.dense(-1, 1, 5, 6).Slice(S(1, 4), S(2, 5)))
	column := must(s.dense(-1, 1, 3, 4).Slice(nil, S(2)))
	fortran := tensor.New(tensor.WithShape(3, 4), tensor.AsFortran(s.backing(-1, 1, 12)))
	for name, v := range map[string]tensor.Tensor{"transposed": turned, "cut": cut, "column": column, "fortran": fortran} {
		t.Run(name, func(t *testing.T) {
			g := NewGraph()
			w := NodeFromAny(g, v, WithName("w"))
			c, err := exprgraph.Read(exprgraph.Network{Outputs: Nodes{w}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Weights[0].Float32s()
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			for it := v.Iterator(); ; i++ {
				at, err := it.Next()
				if err != nil {
					break
				}
				if want := v.Data().([]float32)[at]; got[i] != want && name != "fortran" {
					t.Errorf("element %d is %g, expected %g", i, got[i], want)
				}
			}
			if len(v.Shape()) == 2 {
				for r := range v.Shape()[0] {
					for c := range v.Shape()[1] {
						if want := must(v.At(r, c)); got[r*v.Shape()[1]+c] != want {
							t.Errorf("element (%d,%d) is %g, expected %g", r, c, got[r*v.Shape()[1]+c], want)
						}
					}
				}
			}
		})
	}
}

// Float32 makes a float32 network of a float64 one.
func TestFloat32(t *testing.T) {
	for name, network := range networks {
		s := newSource(tensor.Float64, 3)
		out := network(s, 3)
		c, err := exprgraph.Read(exprgraph.Network{Inputs: s.inputs, Outputs: Nodes{out}, Float32: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, n := range c.Graph.Nodes {
			for _, v := range n.Results {
				if v.DType.String() == "F64" {
					t.Errorf("%s: %s is F64", name, v.Name)
				}
			}
		}
	}
}
