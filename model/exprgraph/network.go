package exprgraph

import (
	"cmp"
	"encoding/json"
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
)

// Network is a network in a Gorgonia graph: what lies between its inputs and
// outputs. The rest of the graph, such as a cost and its derivatives, is not
// read.
type Network struct {
	// Inputs are given in every run. They may be any nodes: what computes them is
	// not part of the network.
	Inputs gorgonia.Nodes
	// Outputs are what the network computes.
	Outputs gorgonia.Nodes

	// Name is the name of the architecture in checkpoints; "" means "gorgonia".
	Name string
	// Dims names dimensions of inputs that may have any size, such as a batch: for
	// {x: {"B", ""}} the first dimension of x is called B, and the second has the
	// size that it has in Gorgonia. The named size must be at least 2 there, and
	// every shape that depends on it must follow from it.
	Dims map[*gorgonia.Node][]string
	// Float32 converts weights, inputs and outputs of float64 to float32. ONNX
	// Runtime has no float64 convolution.
	Float32 bool
}

// Read returns the network as a model. The weights are copies of the values of
// those nodes that have no operator and are no inputs. Inputs, outputs, weights and
// values have the names that gorgonia.WithName gave them. An input called features
// and an output called logits or prediction have that role (model/role), which
// onnx-go's profile and training need. Read does not change the graph. Its errors
// are of type *Error.
func Read(n Network) (c *model.Checkpoint, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, asError(p)
		}
	}()
	name := cmp.Or(n.Name, "gorgonia")
	if arch.Known(name) {
		refuse("attnx ships an architecture that is called "+name, "choose another Name")
	}
	r := newReading(n)
	r.declare()
	for _, out := range n.Outputs {
		r.visit(out)
	}
	r.outputs()
	g, err := r.b.Graph()
	if err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	config, err := json.Marshal(map[string]string{"model_type": name})
	if err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	c = &model.Checkpoint{Arch: name, Config: config, Graph: g, Weights: r.weights}
	if err := c.Weights.Check(g); err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	return c, nil
}

// refuse ends Read with an error about the whole network.
func refuse(reason, do string) { panic(&Error{Reason: reason, Do: do}) }

// asError returns the error of a panic: an *Error of this package, or a failure
// of Gorgonia or of this package.
func asError(p any) error {
	if e, ok := p.(*Error); ok {
		return e
	}
	return &Error{Reason: fmt.Sprintf("reading the graph panicked: %v", p), Do: "check that Gorgonia can run the graph, and report this as a bug of attnx"}
}
