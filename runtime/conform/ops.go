package conform

import (
	"fmt"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Ops runs every case of fixtures/ops as a graph of one operator, twice: with
// all arguments as inputs, and with the float32 arguments after the first as
// weights. Networks use most operators in the second way, and runtimes may then
// fold constants or change their layout.
func Ops(t *testing.T, f Open, o Options) {
	cases, err := fixtures.Ops()
	if err != nil {
		t.Fatal(err)
	}
	byOp := map[string][]fixtures.OpCase{}
	for _, c := range cases {
		byOp[c.Op] = append(byOp[c.Op], c)
	}
	for _, op := range graph.Operators() {
		name := op.Name()
		switch op.(type) {
		case graph.Input, graph.Param, graph.Const:
			continue
		}
		t.Run(name, func(t *testing.T) {
			if reason, skip := o.Skip[name]; skip {
				t.Skip(reason)
			}
			if len(byOp[name]) == 0 {
				t.Errorf("fixtures/ops has no case of %s", name)
			}
			for _, c := range byOp[name] {
				t.Run(c.Name, func(t *testing.T) {
					if o.SkipCase != nil {
						if why := o.SkipCase(name, c); why != "" {
							t.Skip(why)
						}
					}
					o.op(t, f, c)
				})
			}
		})
	}
}

// op runs one case in both ways.
func (o Options) op(t *testing.T, f Open, c fixtures.OpCase) {
	want, err := tensors("y", c.Outputs)
	if err != nil {
		t.Fatal(err)
	}
	args, err := tensors("x", c.Inputs)
	if err != nil {
		t.Fatal(err)
	}
	none := func(int) bool { return false }
	later := func(i int) bool { return i > 0 && args[i].DType == format.Float32 }
	ways := []func(i int) bool{none}
	for i := range args {
		if later(i) {
			ways = []func(i int) bool{none, later}
		}
	}
	for _, weight := range ways {
		g, err := opGraph(c, args, weight)
		if err != nil {
			t.Fatal(err)
		}
		var weights []format.Tensor
		inputs := map[string]format.Tensor{}
		for i, a := range args {
			if weight(i) {
				weights = append(weights, a)
			} else {
				inputs[a.Name] = a
			}
		}
		s := open(t, f, g, weights)
		for range 2 { // a session runs more than once
			o.run(t, s, copied(inputs), want)
		}
	}
}

// opGraph returns the graph of one case. weight reports which arguments are
// parameters; the others are inputs.
func opGraph(c fixtures.OpCase, args []format.Tensor, weight func(i int) bool) (*graph.Graph, error) {
	op, err := graph.ParseOp(strings.TrimSpace(c.Op + " " + c.Attrs))
	if err != nil {
		return nil, err
	}
	b := graph.NewBuilder()
	leaves := make([]*graph.Value, len(args))
	for i, a := range args {
		if weight(i) {
			leaves[i] = b.Param(a.Name, graph.Constant(0), a.Shape...)
		} else {
			leaves[i] = b.Input(a.Name, a.DType, graph.Numbers(a.Shape...)...)
		}
	}
	for i, v := range b.Apply(op, len(c.Outputs), leaves...) {
		// Compares the operator's shape rule with PyTorch's result.
		want := c.Outputs[i]
		dtype, _ := format.ParseDType(want.DType)
		if dtype == format.Float64 {
			dtype = format.Float32 // golden numbers are more exact than the results compared with them
		}
		if got := (graph.Type{DType: dtype, Shape: graph.Numbers(want.Shape...)}); b.Err() == nil && !v.Type.Equal(got) {
			return nil, fmt.Errorf("result %d is %s, PyTorch has %s", i, v.Type, got)
		}
		name := fmt.Sprintf("y%d", i)
		b.Output(name, b.Name(name, v))
	}
	return b.Graph()
}
