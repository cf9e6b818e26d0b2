package train

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// IDRules are the conditions on ids among the inputs of a graph: they must be
// rows of the table in which they are looked up, or classes.
type IDRules []idRule

type idRule struct {
	input  string
	rows   int
	first  int64 // -rows if negative ids count from the end
	label  bool  // may also be ignore
	ignore int64
}

// FindIDRules returns the rules of a graph. It rejects constant ids outside
// their table, such as positions beyond the context.
func FindIDRules(g *graph.Graph) (rules IDRules, err error) {
	for _, n := range g.Nodes {
		r, rows := idRule{}, graph.Dim{}
		switch op := n.Op.(type) {
		case graph.Gather:
			rows = n.Args[0].Shape[op.Axis]
		case graph.SoftmaxCrossEntropyLoss:
			rows, r.label, r.ignore = n.Args[0].Shape[1], true, op.IgnoreIndex
		default:
			continue
		}
		known := false
		if r.rows, known = rows.Number(); !known {
			continue
		}
		if op, ok := n.Op.(graph.Gather); ok && op.FromEnd {
			r.first = -int64(r.rows)
		}
		ids := n.Args[1]
		r.input = ids.Name
		if _, ok := graph.Is[graph.Input](ids); ok {
			rules = append(rules, r)
		} else if t, ok := ids.Constant(); ok {
			if err := r.check(t); err != nil {
				return nil, fmt.Errorf("%w: %.80q looks it up in %.80q: is the sequence longer than the context?", err, n.Name(), n.Args[0].Name)
			}
		}
	}
	return rules, nil
}

// Check returns an error for the first id that breaks a rule, with its place.
// inputs are the graph's, by name.
func (r IDRules) Check(inputs map[string]format.Tensor) error {
	for _, rule := range r {
		if err := rule.check(inputs[rule.input]); err != nil {
			return err
		}
	}
	return nil
}

func (r idRule) check(t format.Tensor) error {
	ids, err := t.Int64s()
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	for i, id := range ids {
		switch {
		case id >= r.first && id < int64(r.rows) || r.label && id == r.ignore:
		case r.label:
			return BadLabel(r.input, i, t.Shape, id, r.rows, r.ignore)
		default:
			return fmt.Errorf("train: %w", &format.RangeError{Name: r.input, Index: format.Index(i, t.Shape), Got: id, First: r.first, Last: int64(r.rows - 1)})
		}
	}
	return nil
}
