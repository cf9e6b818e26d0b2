package read

import (
	"fmt"
	"runtime"
	"strings"
)

// UnsupportedError reports a part of a model that attnx cannot read: an
// operator, an attribute, an element type.
type UnsupportedError struct {
	Node     string // its name, or that of its first output; empty if it is not a node
	Operator string // such as "NonMaxSuppression" or "com.microsoft.FusedConv"; empty if it is not an operator
	Reason   string
	Remedy   string // empty if there is none
}

func (e *UnsupportedError) Error() string { return describe(e.Node, e.Operator, e.Reason, e.Remedy) }

// InvalidError reports that a model violates the ONNX specification.
type InvalidError struct {
	Node     string
	Operator string
	Reason   string
}

func (e *InvalidError) Error() string {
	return describe(e.Node, e.Operator, e.Reason, "mend the node, or give inputs that fit it")
}

// OpenError reports that the graph depends on an unknown size or value. Reading
// the model again with those of a case helps.
type OpenError struct {
	Node       string
	Operator   string
	Reason     string
	Dimensions []string // named dimensions of the inputs without a size in Options.Sizes
	Inputs     []string // integer inputs whose elements are unknown, or whose shape is not declared
}

func (e *OpenError) Error() string {
	remedy := "only a runtime can run it, because data decide this"
	if len(e.Dimensions) > 0 {
		remedy = "give the sizes of " + short(e.Dimensions)
	}
	switch {
	case len(e.Inputs) == 0:
	case len(e.Dimensions) > 0:
		remedy += ", or the elements of " + short(e.Inputs)
	default:
		remedy = "give the elements of " + short(e.Inputs)
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

// refusal carries an error out of the operators' functions, which return no
// errors so that they read like formulas. reading.node recovers it.
type refusal struct{ err error }

// refuse stops reading a node that attnx cannot read.
func (n *node) refuse(format string, args ...any) {
	panic(refusal{&UnsupportedError{Node: n.name(), Operator: n.operator(), Reason: fmt.Sprintf(format, args...)}})
}

// invalid stops reading a node that violates the ONNX specification.
func (n *node) invalid(format string, args ...any) {
	panic(refusal{&InvalidError{n.name(), n.operator(), fmt.Sprintf(format, args...)}})
}

// open stops reading a node that needs an unknown size or value.
func (n *node) open(format string, args ...any) {
	panic(refusal{n.openError(fmt.Sprintf(format, args...))})
}

func (n *node) openError(reason string) error {
	return &OpenError{n.name(), n.operator(), reason, n.r.openDimensions(), n.r.openInputs()}
}

// recorded returns the builder's error as an error of this package. If an
// argument has an unknown size, that may be the cause.
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
	return &UnsupportedError{Node: n.name(), Operator: n.operator(), Reason: reason, Remedy: "mend the node, or give inputs that fit it"}
}

// recovered converts a refusal to its error. An operator's function that reads an
// axis or an element that is not there has got arguments that the operator does not
// take: it refuses the node. After an error of the builder, which leaves values
// without a shape, the error is the builder's. Any other panic is passed on.
func (n *node) recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case refusal:
		*err = p.err
	case runtime.Error:
		if *err = n.recorded(); *err == nil {
			*err = &InvalidError{Node: n.name(), Operator: n.operator(), Reason: "its inputs have shapes that the operator does not take"}
		}
	default:
		panic(p)
	}
}
