package graph

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// Verify reports the first way in which g is not a legal graph: see the list
// in the package comment. Builder.Graph and every pass end with it.
func Verify(g *Graph) error {
	at := map[*Value]bool{}
	names := map[string]bool{}
	inputs, params := 0, 0
	for _, v := range g.Values {
		if v == nil {
			return fmt.Errorf("graph: a value is nil")
		}
		if v.Op >= opCount {
			return fmt.Errorf("graph: value %.80q has no operator of the table", v.Name)
		}
		if v.Name == "" || names[v.Name] {
			return fmt.Errorf("graph: name %.80q is empty or used twice", v.Name)
		}
		names[v.Name] = true
		for _, a := range v.Args {
			if !at[a] {
				return fmt.Errorf("graph: value %.80q uses one that does not come before it", v.Name)
			}
		}
		if err := verifyValue(v); err != nil {
			return err
		}
		switch v.Op {
		case Input:
			if inputs >= len(g.Inputs) || g.Inputs[inputs] != v {
				return fmt.Errorf("graph: input %.80q is not in the list of inputs, or not in its place", v.Name)
			}
			inputs++
		case Param:
			if params >= len(g.Params) || g.Params[params] != v {
				return fmt.Errorf("graph: parameter %.80q is not in the list of parameters, or not in its place", v.Name)
			}
			params++
		}
		at[v] = true
	}
	if inputs != len(g.Inputs) || params != len(g.Params) {
		return fmt.Errorf("graph: an input or parameter in the lists is no value of the graph")
	}
	if len(g.Outputs) == 0 {
		return fmt.Errorf("graph: no outputs")
	}
	outputs := map[string]bool{}
	for _, o := range g.Outputs {
		if o.Name == "" || outputs[o.Name] || !at[o.Value] {
			return fmt.Errorf("graph: output %.80q has no name, or a name used twice, or is no value of the graph", o.Name)
		}
		outputs[o.Name] = true
	}
	return nil
}

// verifyValue checks what v says of itself against its operator's rule.
func verifyValue(v *Value) error {
	for _, d := range v.Shape {
		if !d.Valid() {
			return fmt.Errorf("graph: value %.80q has a size that is not a polynomial of at most %d terms with coefficients that fit in an int", v.Name, maxTerms)
		}
		if n, ok := d.Number(); ok && n < 0 {
			return fmt.Errorf("graph: value %.80q has the negative size %d", v.Name, n)
		}
	}
	if v.DType.Size() == 0 {
		return fmt.Errorf("graph: value %.80q has no element type", v.Name)
	}
	if v.Op.Leaf() && len(v.Args) > 0 {
		return fmt.Errorf("graph: value %.80q is given and has arguments", v.Name)
	}
	switch v.Op {
	case Input, Param:
		if _, ok := v.Shape.Numbers(); v.Op == Param && !ok {
			return fmt.Errorf("graph: parameter %.80q has the open shape %s", v.Name, v.Shape)
		}
		return nil
	case Const:
		t := v.Attr.Value
		if err := t.Check(); err != nil || t.DType != v.DType || !v.Shape.Equal(Numbers(t.Shape...)) {
			return fmt.Errorf("graph: constant %.80q is not the %s%s that it holds", v.Name, t.DType, Numbers(t.Shape...))
		}
		return nil
	}
	w := &Value{Op: v.Op, Args: v.Args, Attr: v.Attr, DType: v.DType}
	if err := infer(w); err != nil {
		return fmt.Errorf("%w (value %.80q)", err, v.Name)
	}
	if w.DType != v.DType || !w.Shape.Equal(v.Shape) {
		return fmt.Errorf("graph: value %.80q says %s%s, its operator %s gives %s%s", v.Name, v.DType, v.Shape, v.Op, w.DType, w.Shape)
	}
	for _, x := range []float64{v.Attr.Fill, v.Attr.Epsilon, v.Attr.Scale} {
		if math.IsNaN(x) || math.IsInf(x, 0) && v.Op != ConstantOfShape || v.Op == Cast && v.DType == format.Invalid {
			return fmt.Errorf("graph: value %.80q has an attribute that is no number", v.Name)
		}
	}
	return nil
}
