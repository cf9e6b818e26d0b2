package graph

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// treeOps are the operators of classical machine learning that are no arithmetic.
var treeOps = []Op{Trees{}}

// Trees adds up the leaves that the rows of x (N,F) reach in decision trees, for each of
// Targets targets: (N,Targets) of type To. Its other arguments describe M nodes, all int64 but the splits:
// the feature of each (M); its mode (M), an index of TreeModes; its split F64 (M); the nodes to go on
// with if the comparison holds, and otherwise (M,2); whether it holds for NaN (M); the
// roots of the trees; the first and the last+1 of a leaf's entries (M,2); and for each entry its target
// and its weight F64. Aggregate is "SUM", "AVERAGE" over the trees, "MIN" or "MAX"; a
// target that no leaf has is 0.
type Trees struct {
	Aggregate string
	Targets   int
	To        format.DType
}

// TreeModes are the modes of nodes, as ONNX names them: a comparison of the feature with
// the split, or the end.
var TreeModes = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "LEAF"}

// Name returns "Trees".
func (Trees) Name() string { return "Trees" }

// Infer returns the type of the sums.
func (t Trees) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 10); err != nil {
		return nil, err
	}
	if len(args[0].Shape) != 2 || t.Targets < 1 || !t.To.Float() {
		return nil, fmt.Errorf("x %s for %d targets of %s", args[0].Shape, t.Targets, t.To)
	}
	if len(args[1].Shape) != 1 || len(args[8].Shape) != 1 {
		return nil, fmt.Errorf("nodes %s and entries %s: expected lists", args[1].Shape, args[8].Shape)
	}
	nodes, entries := args[1].Shape[0], args[8].Shape[0]
	want := []Shape{args[0].Shape, {nodes}, {nodes}, {nodes}, {nodes, N(2)}, {nodes}, args[6].Shape, {nodes, N(2)}, {entries}, {entries}}
	for i, a := range args {
		if !a.Shape.Equal(want[i]) || len(args[6].Shape) != 1 {
			return nil, fmt.Errorf("argument %d is %s, expected %s", i, a.Shape, want[i])
		}
		if numbers := i == 3 || i == 9; i > 0 && numbers != (a.DType == format.Float64) || i > 0 && !numbers && a.DType != format.Int64 {
			return nil, fmt.Errorf("argument %d is %s", i, a.DType)
		}
	}
	return one(t.To, Shape{args[0].Shape[0], N(t.Targets)}), nil
}

// Grad implements Differentiable: a step function has no slope.
func (Trees) Grad(_ *Builder, n *Node, _ []*Value) []*Value { return make([]*Value, len(n.Args)) }
