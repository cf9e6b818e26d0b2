package graph

import (
	"fmt"
	"slices"
	"strings"
)

// UnsupportedError reports a node that an engine or a form of file has no form of.
type UnsupportedError struct {
	Node string // its name in the graph
	Err  error
}

func (e *UnsupportedError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *UnsupportedError) Unwrap() error { return e.Err }

// NoGradientError reports an operator without a derivative, of which the loss
// needs one.
type NoGradientError struct {
	Operator string   // such as "ArgMax"; of a composite operator, the one inside without a derivative
	Node     string   // its name in the graph
	Path     []string // names of the values from the node to the loss

	node *Node
}

func (e *NoGradientError) Error() string {
	text := fmt.Sprintf("graph: %s %.80q has no derivative", e.Operator, e.Node)
	if len(e.Path) == 0 {
		return text
	}
	const most = 8
	names := make([]string, 0, len(e.Path))
	for i, name := range e.Path {
		if len(e.Path) > most && i == most/2 {
			names = append(names, fmt.Sprintf("%d values", len(e.Path)-most))
		}
		if len(e.Path) <= most || i < most/2 || i >= len(e.Path)-most/2 {
			names = append(names, fmt.Sprintf("%.60q", name))
		}
	}
	return text + ", and the loss depends on it through " + strings.Join(names, ", ")
}

// path finds a way from the node to a value, through floating-point values.
func (e *NoGradientError) path(g *Graph, to *Value) {
	if e.node == nil {
		return
	}
	from := map[*Value]*Value{} // the value before on the way
	for _, v := range e.node.Results {
		from[v] = v
	}
	for _, n := range g.Nodes {
		for _, a := range n.Args {
			if from[a] == nil {
				continue
			}
			for _, v := range n.Results {
				if from[v] == nil && v.DType.Float() {
					from[v] = a
				}
			}
			break
		}
	}
	for v := to; from[v] != nil; v = from[v] {
		e.Path = append(e.Path, v.Name)
		if from[v] == v {
			break
		}
	}
	slices.Reverse(e.Path)
}

// noGradient records that a node has no derivative.
func (b *Builder) noGradient(n *Node) {
	if b.err == nil {
		b.err = fmt.Errorf("%s: %w", callerLine(), &NoGradientError{Operator: n.Op.Name(), Node: n.Name()})
	}
}
