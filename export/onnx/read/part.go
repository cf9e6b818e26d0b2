package read

import (
	"errors"
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Part is a tensor or a sequence. If neither field is set, it is an optional value
// without content.
type Part struct {
	Tensor *format.Tensor
	List   *[]Part
}

// inputPart declares an input of the graph for each tensor of a part: "x[0]" is the first
// of a sequence x. It returns the part with the names in the graph.
func (r *reading) inputPart(name string, p Part, s *scope) (v *value, named Part, err error) {
	switch {
	case p.List != nil:
		v, all := &value{name: name, scope: s, isList: true}, make([]Part, len(*p.List))
		for i, part := range *p.List {
			var item *value
			if item, all[i], err = r.inputPart(fmt.Sprintf("%s[%d]", name, i), part, s); err != nil {
				return nil, p, err
			}
			v.list = append(v.list, item)
		}
		return v, Part{List: &all}, nil
	case p.Tensor == nil:
		return &value{name: name, scope: s, absent: true}, p, nil
	}
	t := *p.Tensor
	free := name
	if _, declared := r.o.Parts[name]; !declared { // the name of an input is reserved for it
		free = r.nameFor(name, s)
	}
	v = &value{name: free, recorded: r.b.Input(free, t.DType, graph.Numbers(t.Shape...)...), input: true}
	if t.Elements() <= knownLimit {
		if v.elements, err = fromTensor(t); err != nil {
			return nil, p, errors.Join(&InvalidError{Reason: fmt.Sprintf("input %.80q", free)}, err)
		}
	}
	r.given = append(r.given, v)
	return v, Part{Tensor: &format.Tensor{Name: free, DType: t.DType, Shape: t.Shape}}, nil
}

// outputPart declares an output of the graph for each tensor of a value.
func (r *reading) outputPart(name string, v *value, s *scope) (p Part, err error) {
	switch {
	case v.absent:
		return p, nil
	case v.isList:
		all := make([]Part, len(v.list))
		for i, item := range v.list {
			if all[i], err = r.outputPart(fmt.Sprintf("%s[%d]", name, i), item, s); err != nil {
				return p, err
			}
		}
		return Part{List: &all}, nil
	}
	recorded, err := r.record(v)
	if err != nil {
		return p, err
	}
	free := r.nameFor(name, s)
	r.b.Output(free, recorded)
	return Part{Tensor: &format.Tensor{Name: free, DType: recorded.DType}}, nil
}
