package graph

import (
	"fmt"

	"github.com/attnx/attnx/model/role"
)

// Adjoints holds the derivatives of one number by the values of a graph.
type Adjoints struct {
	Graph *Graph // the graph that was given, whose values are the same, and after it the derivatives
	// Seed is an input in the shape of the output. The number is the sum over the
	// output's elements, each times its element of the seed: a seed with one 1 makes it
	// an element, one with 1 and -1 the difference of two.
	Seed *Value
	By   map[*Value]*Value // derivative by a value, in its shape; a value without influence is missing
}

// Adjoint differentiates a weighted sum of the elements of an output by every value
// for which of is true, which may lie anywhere in the graph. Grad does so by
// parameters only, of an output that is one number.
func Adjoint(g *Graph, output *Value, of func(*Value) bool) (*Adjoints, error) {
	if !output.DType.Float() {
		return nil, fmt.Errorf("graph: value %.80q is %s, which has no derivative", output.Name, output.Type)
	}
	b := Extend(g)
	name := "adjoint"
	for b.names[name] != nil {
		name += "_"
	}
	seed := b.input(name, role.Role{}, output.DType, output.Shape)
	d := differentiation{b: b, grads: map[*Value]*Value{output: seed}, learned: map[*Value]bool{}}
	var nodes []*Node // those that a derivative passes through
	for _, n := range g.Nodes {
		passes := false
		for _, a := range n.Args {
			passes = passes || d.learned[a]
		}
		for _, v := range n.Results {
			d.learned[v] = v.DType.Float() && (passes || of(v))
		}
		if passes {
			nodes = append(nodes, n)
		}
	}
	d.backward(nodes)
	full, err := b.Graph()
	if err != nil {
		return nil, err
	}
	a := &Adjoints{Graph: full, Seed: seed, By: map[*Value]*Value{}}
	for v, dv := range d.grads {
		if d.learned[v] && of(v) {
			a.By[v] = dv
		}
	}
	return a, nil
}
