package diff

import (
	"cmp"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// content returns a hash of what a function computes, whatever its name is.
func (s *side) content(fn *onnx.Function) hash {
	var h hash // in any order
	for i := range fn.Defaults {
		h += attribute{Attribute: &fn.Defaults[i]}.hash()
	}
	return s.inside(whole).add(h)
}

// functionFields compares what a function holds beside its nodes: the defaults of its
// attributes, which a call that leaves them out computes with, and its operator sets,
// which say what its nodes compute.
func (c *collector) functionFields(p *pairing) {
	for i := range p.x.Defaults {
		a := &p.x.Defaults[i]
		b := defaultNamed(p.y, a.Name)
		if b == nil {
			c.add(Change{Kind: Attribute, Where: p.where, Name: a.Name, From: valueText(a)})
		} else if !equalAttributes(a, b) {
			c.add(Change{Kind: Attribute, Where: p.where, Name: a.Name, From: valueText(a), To: valueText(b)})
		}
	}
	for i := range p.y.Defaults {
		if b := &p.y.Defaults[i]; defaultNamed(p.x, b.Name) == nil {
			c.add(Change{Kind: Attribute, Where: p.where, Name: b.Name, To: valueText(b)})
		}
	}
	own := keys(versions(p.x.Opsets), versions(p.y.Opsets)) // the others are compared as the model's
	for _, domain := range own {
		if from, to := number(p.a.opsets, domain), number(p.b.opsets, domain); from != to {
			c.add(Change{Kind: Opset, Where: p.where, Name: cmp.Or(domain, "ai.onnx"), From: from, To: to})
		}
	}
}

func defaultNamed(fn *onnx.Function, name string) *onnx.Attribute {
	i := slices.IndexFunc(fn.Defaults, func(a onnx.Attribute) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &fn.Defaults[i]
}

// overridable lists the inputs of a graph that have a stored value, by name: a caller
// may give another. Up to version 3 of the format every initializer had to be an input.
func overridable(s *side) (all []onnx.ValueInfo) {
	if s.file.IRVersion < 4 {
		return nil
	}
	for _, in := range s.inputs {
		if s.values[s.names[in.Name]].stored != nil {
			all = append(all, in)
		}
	}
	return all
}
