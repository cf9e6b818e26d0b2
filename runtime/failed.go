package runtime

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// RunError reports that a runtime could not run a model on inputs of the declared
// types and shapes.
type RunError struct {
	Runtime  string   // such as "onnxruntime"
	Node     string   // that the runtime names, often of its optimized graph; may be empty
	Operator string   // of the node; empty if the runtime names none
	Reason   string   // in the runtime's words; one line
	Inputs   []string // what was given: name, type and shape of each input
}

func (e *RunError) Error() string {
	text := e.Runtime + ": "
	switch {
	case e.Node != "":
		text += fmt.Sprintf("node %.80q (%.80s): ", e.Node, e.Operator)
	case e.Operator != "":
		text += fmt.Sprintf("a %.80s node without a name: ", e.Operator)
	}
	text += e.Reason
	if len(e.Inputs) > 0 {
		text += "; the inputs were " + strings.Join(e.Inputs, ", ")
	}
	return text + ": give inputs that fit the node, or " + AskOracle
}

// RuntimeError makes it an Error.
func (e *RunError) RuntimeError() {}

// How runtimes name the node at which a run ended. ONNX Runtime names the nodes with
// graphs around it first.
var failedNodes = []*regexp.Regexp{
	regexp.MustCompile(`^.*Non-zero status code returned while running (\S+) node\. Name:'([^']*)' Status Message: (?:\S+\.(?:h|cc|cu|cuh|cpp):\d+ (?:\w+ )?)?(.*)$`),
	regexp.MustCompile(`^(?:.*\[\w+\] )?(\S+) node with name '([^']*)' (.*)$`),
}

// RunFailed returns the error of a run with the text of a runtime, on one line, for
// inputs in the order of the model's.
func RunFailed(name, text string, inputs []format.Tensor) *RunError {
	const most = 8
	e := &RunError{Runtime: name, Reason: text}
	for _, pattern := range failedNodes {
		if m := pattern.FindStringSubmatch(text); m != nil {
			e.Operator, e.Node, e.Reason = m[1], m[2], m[3]
			break
		}
	}
	for _, t := range inputs[:min(most, len(inputs))] {
		dims := slices.Clone(t.Shape[:min(16, len(t.Shape))])
		e.Inputs = append(e.Inputs, fmt.Sprintf("%s %s%v", quote.Line(t.Name, 80), t.DType, dims))
	}
	if more := len(inputs) - most; more > 0 {
		e.Inputs = append(e.Inputs, fmt.Sprintf("and %d more", more))
	}
	return e
}
