package graph

import (
	"fmt"
	"reflect"

	"github.com/attnx/attnx/model/role"
)

// Verify reports the first reason why g is not a valid graph; the package
// comment lists the rules. Builder.Graph, Parse and every pass end with it.
func Verify(g *Graph) error {
	at := map[*Value]bool{}
	names := map[string]bool{}
	roles := map[role.Role]bool{}
	types := map[string]reflect.Type{}
	inputs, params := 0, 0
	for _, n := range g.Nodes {
		if n == nil || n.Op == nil || len(n.Results) == 0 {
			return fmt.Errorf("graph: a node is nil, or has no operator or no result")
		}
		for i, v := range n.Results {
			switch {
			case v == nil || v.Node != n || v.Index != i:
				return fmt.Errorf("graph: result %d of a %s does not belong to it", i, n.Op.Name())
			case v.Name == "" || names[v.Name]:
				return fmt.Errorf("graph: name %.80q is empty or used twice", v.Name)
			}
			names[v.Name] = true
		}
		for _, a := range n.Args {
			if !at[a] {
				return fmt.Errorf("graph: value %.80q uses one that does not come before it", n.Name())
			}
		}
		if err := verifyNode(n); err != nil {
			return err
		}
		name, t := n.Op.Name(), reflect.TypeOf(n.Op)
		if other := types[name]; other != nil && other != t {
			return fmt.Errorf("graph: value %.80q: two operators are called %.80q, %s and %s: give one another name", n.Name(), name, other, t)
		}
		types[name] = t
		v := n.Results[0]
		switch n.Op.(type) {
		case Input:
			if inputs >= len(g.Inputs) || g.Inputs[inputs] != v {
				return fmt.Errorf("graph: input %.80q is not in the list of inputs, or not in its place", v.Name)
			}
			if r := v.Role(); r != (role.Role{}) {
				if roles[r] {
					return fmt.Errorf("graph: two inputs have the role %s", r)
				}
				roles[r] = true
			}
			inputs++
		case Param:
			if params >= len(g.Params) || g.Params[params] != v {
				return fmt.Errorf("graph: parameter %.80q is not in the list of parameters, or not in its place", v.Name)
			}
			params++
		}
		for _, v := range n.Results {
			at[v] = true
		}
	}
	if inputs != len(g.Inputs) || params != len(g.Params) {
		return fmt.Errorf("graph: an input or parameter in the lists is not a value of the graph")
	}
	return verifyOutputs(g, at)
}

func verifyOutputs(g *Graph, at map[*Value]bool) error {
	if len(g.Outputs) == 0 {
		return fmt.Errorf("graph: no outputs: hand out at least one value, with Output or OutputFor")
	}
	if g.Context < 0 {
		return fmt.Errorf("graph: the context is %d", g.Context)
	}
	names, roles := map[string]bool{}, map[role.Role]bool{}
	for _, o := range g.Outputs {
		if o.Name == "" || names[o.Name] || !at[o.Value] {
			return fmt.Errorf("graph: output %.80q has no name, or a name used twice, or is not a value of the graph", o.Name)
		}
		names[o.Name] = true
		if o.Role != (role.Role{}) && roles[o.Role] {
			return fmt.Errorf("graph: two outputs have the role %s", o.Role)
		}
		roles[o.Role] = true
	}
	return nil
}

// verifyNode compares the declared types of n's results with its operator.
func verifyNode(n *Node) error {
	for _, v := range n.Results {
		for _, d := range v.Shape {
			if !d.Valid() {
				return fmt.Errorf("graph: value %.80q has a size that is not a polynomial of at most %d terms with coefficients that fit in an int", v.Name, maxTerms)
			}
			if size, ok := d.Number(); ok && size < 0 {
				return fmt.Errorf("graph: value %.80q has the negative size %d", v.Name, size)
			}
		}
		if v.DType.Size() == 0 {
			return fmt.Errorf("graph: value %.80q has no element type", v.Name)
		}
		if len(v.Shape) > maxRank {
			return fmt.Errorf("graph: value %.80q has %d dimensions, at most %d are supported", v.Name, len(v.Shape), maxRank)
		}
	}
	if err := checkOperator(n.Op); err != nil {
		return fmt.Errorf("%w (value %.80q)", err, n.Name())
	}
	if err := checkAttributes(n.Op); err != nil {
		return fmt.Errorf("graph: value %.80q: %s: %w", n.Name(), n.Op.Name(), err)
	}
	switch n.Op.(type) {
	case Input, Param:
		if len(n.Args) > 0 || len(n.Results) != 1 {
			return fmt.Errorf("graph: value %.80q is given, and has arguments or several results", n.Name())
		}
		if _, ok := n.Results[0].Shape.Numbers(); !ok {
			if _, param := n.Op.(Param); param {
				return fmt.Errorf("graph: parameter %.80q has the shape %s: expected numbers", n.Name(), n.Results[0].Shape)
			}
		}
		return nil
	}
	types, err := infer(n)
	if err != nil {
		return fmt.Errorf("%w (value %.80q)", err, n.Name())
	}
	required := len(types)
	if o, ok := n.Op.(optional); ok {
		required = o.required()
	}
	if len(n.Results) < required || len(n.Results) > len(types) {
		return fmt.Errorf("graph: value %.80q: %s has %d results, the graph has %d", n.Name(), n.Op.Name(), len(types), len(n.Results))
	}
	for i, v := range n.Results {
		if !v.Type.Equal(types[i]) {
			return fmt.Errorf("graph: value %.80q is said to be %s, its operator %s gives %s", v.Name, v.Type, n.Op.Name(), types[i])
		}
	}
	return nil
}
