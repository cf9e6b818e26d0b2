package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Loss is what training minimizes: a function of one output of a network and of
// labels.
type Loss struct {
	Kind   string `json:"kind"`   // of LossKinds
	Output string `json:"output"` // name of the output
}

// The kinds of a loss. All are means.
const (
	CrossEntropy       = "cross-entropy"        // of classes, int64; for outputs (B,V), (B,T,V) and (B,V,...)
	BinaryCrossEntropy = "binary-cross-entropy" // of logits of any shape, each right (1) or not (0)
	SquaredError       = "mse"                  // of numbers of any shape
	AbsoluteError      = "mae"                  // of numbers of any shape
)

// LossKinds returns the kinds of a loss.
func LossKinds() []string {
	return []string{CrossEntropy, BinaryCrossEntropy, SquaredError, AbsoluteError}
}

// LossError reports a loss that a network cannot have.
type LossError struct{ Reason string }

func (e *LossError) Error() string { return e.Reason }

// LossFor returns the loss of a kind and an output. An empty output is that
// with the role or the name of logits, or the only one.
func LossFor(g *graph.Graph, kind, output string) (Loss, error) {
	if !slices.Contains(LossKinds(), kind) {
		return Loss{}, &LossError{fmt.Sprintf("no loss is called %.64q: take %s", kind, quote.Or(LossKinds()))}
	}
	var names []string
	for _, o := range g.Outputs {
		if output == "" && (o.Role.Kind == role.Logits || o.Name == role.Logits.Name() || len(g.Outputs) == 1) {
			output = o.Name
		}
		names = append(names, quote.Line(o.Name, 60))
	}
	l := Loss{kind, output}
	if !slices.ContainsFunc(g.Outputs, func(o graph.Output) bool { return o.Name == output }) {
		if output == "" {
			return l, &LossError{"the network has several outputs: name the one that the loss is of: " + strings.Join(names, ", ")}
		}
		return l, &LossError{fmt.Sprintf("the network has no output %.80q: it has %s", output, strings.Join(names, ", "))}
	}
	_, err := l.Attach(g)
	return l, err
}

// Attach returns the graph with the loss as its only output, and an input for
// the labels after the others.
func (l Loss) Attach(g *graph.Graph) (*graph.Graph, error) {
	i := slices.IndexFunc(g.Outputs, func(o graph.Output) bool { return o.Name == l.Output })
	if i < 0 {
		return nil, &LossError{fmt.Sprintf("the network has no output %.80q", l.Output)}
	}
	y := g.Outputs[i].Value
	if !y.DType.Float() {
		return nil, &LossError{fmt.Sprintf("output %.80q is %s: a loss is of numbers that can change gradually", l.Output, y.DType)}
	}
	b := graph.Extend(g)
	if y.DType != format.Float32 {
		y = b.Cast(y, format.Float32)
	}
	labels, loss := role.Of(role.Labels), role.Of(role.Loss)
	var x *graph.Value
	if l.Kind == CrossEntropy {
		n := len(y.Shape)
		if n < 2 {
			return nil, &LossError{fmt.Sprintf("output %.80q is %s: cross-entropy is of classes, in the shape (B,V), (B,T,V) or (B,V,...)", l.Output, y.Type)}
		}
		axis, shape := 1, append(slices.Clone(y.Shape[:1]), y.Shape[2:]...)
		if n == 3 {
			axis, shape = 2, y.Shape[:2]
		}
		if classes, known := y.Shape[axis].Number(); known && classes < 2 {
			return nil, &LossError{fmt.Sprintf("output %.80q scores %d class: take %s", l.Output, classes, BinaryCrossEntropy)}
		}
		want := b.InputFor(labels, format.Int64, shape...)
		if n == 3 {
			y = b.Transpose(y, 0, 2, 1) // ONNX expects classes on axis 1
		}
		x = b.SoftmaxCrossEntropyLoss(y, want, IgnoreIndex)
	} else {
		want := b.InputFor(labels, format.Float32, y.Shape...)
		off := b.Sub(y, want)
		switch l.Kind {
		case SquaredError:
			x = b.Mul(off, off)
		case AbsoluteError:
			x = b.Abs(off)
		default: // -z·log σ(y) - (1-z)·log(1-σ(y)), without overflow
			x = b.Sub(b.Apply(graph.Softplus, 1, y)[0], b.Mul(y, want))
		}
		x = b.ReduceMean(x, false, axes(y.Shape)...)
	}
	b.OutputFor(loss, b.Name(loss.Name(), x))
	whole, err := b.Graph()
	if err != nil {
		return nil, err
	}
	out, _ := whole.Output(loss)
	whole.Outputs = []graph.Output{out}
	return whole, nil // with all its weights, which engines are given
}
