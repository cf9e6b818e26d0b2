package read

import (
	"fmt"
	"strings"
)

// UnsupportedError says that a model holds what attnx does not read: an
// operator, an attribute of one, an element type.
type UnsupportedError struct {
	Node     string // its name, or that of its first output; empty if it is no node
	Operator string // such as "NonMaxSuppression" or "com.microsoft.FusedConv"; empty if it is none
	Reason   string
	Remedy   string // empty if there is none
}

func (e *UnsupportedError) Error() string { return describe(e.Node, e.Operator, e.Reason, e.Remedy) }

// InvalidError says that a model breaks the rules of ONNX.
type InvalidError struct {
	Node     string
	Operator string
	Reason   string
}

func (e *InvalidError) Error() string { return describe(e.Node, e.Operator, e.Reason, "") }

// OpenError says that the graph depends on a size or a value that is not known.
// Reading again with those of a case helps.
type OpenError struct {
	Node       string
	Operator   string
	Reason     string
	Dimensions []string // named dimensions of the inputs that have no size yet, as Options.Sizes has them
	Inputs     []string // inputs of integers whose elements are not known, or whose shape is not declared
}

func (e *OpenError) Error() string {
	remedy := "give the sizes of a case"
	if len(e.Dimensions) > 0 {
		remedy = "give the sizes of " + short(e.Dimensions)
	}
	if len(e.Inputs) > 0 {
		remedy += ", or the elements of " + short(e.Inputs)
	}
	return describe(e.Node, e.Operator, e.Reason, remedy)
}

// short lists the first few names.
func short(names []string) string {
	const most = 6
	var quoted []string
	for _, n := range names[:min(most, len(names))] {
		quoted = append(quoted, fmt.Sprintf("%.80q", n))
	}
	if len(names) > most {
		quoted = append(quoted, fmt.Sprintf("%d more", len(names)-most))
	}
	return strings.Join(quoted, ", ")
}

func describe(node, operator, reason, remedy string) string {
	text := "onnx: "
	switch {
	case operator != "" && node != "":
		text += fmt.Sprintf("node %.80q: %.80s: ", node, operator)
	case operator != "":
		text += fmt.Sprintf("%.80s: ", operator)
	case node != "":
		text += fmt.Sprintf("node %.80q: ", node)
	}
	text += reason
	if remedy != "" {
		text += ": " + remedy
	}
	return text
}

// refusal carries an error out of the functions of operators, which read as
// formulas because none of them returns one. reading.node recovers it.
type refusal struct{ err error }

// refuse ends the reading of a node that attnx does not read.
func (n *node) refuse(format string, args ...any) {
	panic(refusal{&UnsupportedError{Node: n.name(), Operator: n.operator(), Reason: fmt.Sprintf(format, args...)}})
}

// invalid ends the reading of a node that breaks ONNX's rules.
func (n *node) invalid(format string, args ...any) {
	panic(refusal{&InvalidError{n.name(), n.operator(), fmt.Sprintf(format, args...)}})
}

// open ends the reading of a node that needs a size or value that is not known.
func (n *node) open(format string, args ...any) {
	panic(refusal{n.openError(fmt.Sprintf(format, args...))})
}

func (n *node) openError(reason string) error {
	return &OpenError{n.name(), n.operator(), reason, n.r.openDimensions(), n.r.openInputs()}
}

// recorded returns the builder's mistake as an error of this package. Where an
// argument has a size that is not known, knowing it may be all that is missing.
func (n *node) recorded() error {
	err := n.r.b.Err()
	if err == nil {
		return nil
	}
	_, reason, ok := strings.Cut(err.Error(), "graph: ")
	if !ok {
		reason = err.Error()
	}
	reason = strings.TrimPrefix(reason, n.onnx.Op+": ")
	for _, a := range n.args {
		if a == nil || !a.isTensor() {
			continue
		}
		if _, known := a.shape().Numbers(); !known && len(n.r.openDimensions())+len(n.r.openInputs()) > 0 {
			return n.openError(reason)
		}
	}
	return &UnsupportedError{Node: n.name(), Operator: n.operator(), Reason: reason}
}

// recovered turns a refusal into its error and passes any other panic on.
func recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case refusal:
		*err = p.err
	default:
		panic(p)
	}
}
