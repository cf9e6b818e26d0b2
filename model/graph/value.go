package graph

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// Value is one result of one operator.
type Value struct {
	Op    Op
	Args  []*Value
	Name  string // unique in its graph: "h.0.attn.scores"
	DType format.DType
	Shape Shape
	Attr  Attr
}

// Attr holds the attributes of an operator. The op table says which of them an
// operator has; the others keep their zero value.
type Attr struct {
	Axis        int           // Gather, Softmax, LogSoftmax, Concat, Split, Slice, GatherElements, ScatterElements: counted from the front
	Axes        []int         // ReduceSum, ReduceMean: ascending, counted from the front
	KeepDims    bool          // ReduceSum, ReduceMean: a reduced axis stays, with size 1
	Perm        []int         // Transpose: axis i of the result is axis Perm[i] of the argument
	Shape       Shape         // Reshape, ConstantOfShape: the result's
	Sizes       []int         // Split: sizes of the parts along Axis
	Result      int           // Split: which part this value is; LayerNormalization: 1 the mean, 2 the inverse deviation
	Start       Dim           // Slice, Range: the first position
	Limit       Dim           // Slice, Range: one past the last
	Upper       bool          // Trilu: keep the upper triangle instead of the lower
	K           Dim           // Trilu: the diagonal where the kept triangle begins; 0 is the main one
	Fill        float64       // ConstantOfShape: every element
	Epsilon     float64       // LayerNormalization: added to the variance
	TransA      bool          // Gemm: the first factor is transposed
	TransB      bool          // Gemm: the second factor is transposed
	Depth       int           // OneHot: length of a row
	Scale       float64       // Attention: factor of the scores
	IgnoreIndex int64         // SoftmaxCrossEntropyLoss: the label that does not count
	Value       format.Tensor // Const: the elements
	Init        Init          // Param: how it starts; no part of what the graph computes
}

// Init is the law of a parameter's first values.
type Init struct {
	Mean, Std float64 // Std 0: every element is Mean
}

// Normal is the normal law with mean 0.
func Normal(std float64) Init { return Init{Std: std} }

// Constant gives every element the value v.
func Constant(v float64) Init { return Init{Mean: v} }

// Output is a value that a graph hands out, under the name its users know.
type Output struct {
	Name  string
	Value *Value
}

// Graph is a computation. It is made by a Builder or a pass and not changed
// afterwards.
type Graph struct {
	Values  []*Value // all, in topological order
	Inputs  []*Value // what is given anew for every run
	Params  []*Value // the weights, in the order of checkpoints and optimizers
	Outputs []Output
}

// Lookup returns the value with the given name, or nil.
func (g *Graph) Lookup(name string) *Value {
	for _, v := range g.Values {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// BindInputs returns the sizes of the letters for inputs of the given shapes,
// by name. It refuses an input that is missing, unknown, of another rank, or
// of sizes that contradict the graph or each other.
func (g *Graph) BindInputs(shapes map[string][]int) (map[string]int, error) {
	sizes := map[string]int{}
	for _, in := range g.Inputs {
		got, ok := shapes[in.Name]
		if !ok {
			return nil, fmt.Errorf("graph: input %.80q %s is missing", in.Name, in.Shape)
		}
		if len(got) != len(in.Shape) {
			return nil, fmt.Errorf("graph: input %.80q wants shape %s, got %v", in.Name, in.Shape, got)
		}
		for i, d := range in.Shape {
			if l := d.Symbols(); len(l) == 1 && d == Sym(l[0]) {
				if _, bound := sizes[l[0]]; !bound {
					sizes[l[0]] = got[i]
				}
			}
		}
	}
	for _, in := range g.Inputs {
		want, err := in.Shape.Eval(sizes)
		if err != nil {
			return nil, err
		}
		for i, d := range want {
			if d != shapes[in.Name][i] {
				return nil, fmt.Errorf("graph: input %.80q has shape %v, but %s is %d elsewhere", in.Name, shapes[in.Name], in.Shape[i], d)
			}
		}
	}
	for name := range shapes {
		if v := g.Lookup(name); v == nil || v.Op != Input {
			return nil, fmt.Errorf("graph: no input is called %.80q", name)
		}
	}
	return sizes, nil
}
