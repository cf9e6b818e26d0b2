package train

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// firstBad describes where a training step first met NaN or infinity: in a
// weight, in a value of the forward pass, which it evaluates again if the
// engine can, or in a gradient.
func (t *Trainer) firstBad() string {
	if err := t.pull(); err != nil {
		return err.Error()
	}
	for _, w := range t.weights {
		if at := notFinite(w); at != "" {
			return fmt.Sprintf("weight %.80q is %s", w.Name, at)
		}
	}
	forward := ""
	if engine, ok := t.engine.(Evaluator); ok {
		where, err := t.firstBadValue(engine)
		if err != nil {
			return fmt.Sprintf("the forward pass cannot be evaluated: %v", err)
		}
		if where != "" {
			return where
		}
		forward = "the forward pass is finite, "
	}
	for _, g := range t.grads {
		if at := notFinite(g); at != "" {
			return fmt.Sprintf("%sthe gradient of %.80q is %s", forward, g.Name, at)
		}
	}
	return "every value is finite, but the sum of the gradients' squares is not"
}

func (t *Trainer) firstBadValue(engine Evaluator) (string, error) {
	g, err := t.options.WithLoss(t.model.Graph)
	if err != nil {
		return "", err
	}
	g, err = graph.Apply(g, graph.DecomposeAll, graph.Prune, graph.MarkOutputs)
	if err != nil {
		return "", err
	}
	inputs, err := t.batch.Inputs(g)
	if err != nil {
		return "", err
	}
	values, err := engine.Evaluate(g, t.weights, inputs)
	if err != nil {
		return "", err
	}
	handed := map[*graph.Value]string{}
	for _, o := range g.Outputs {
		handed[o.Value] = o.Name
	}
	for v := range g.Values() { // in the order of computing
		if x, ok := values[handed[v]]; ok {
			if at := notFinite(x); at != "" {
				return fmt.Sprintf("value %.80q (%s) is %s", v.Name, v.Op().Name(), at), nil
			}
		}
	}
	return "", nil
}

// notFinite describes the first NaN or infinity of a float32 tensor, or
// returns "".
func notFinite(t format.Tensor) string {
	x, err := t.Float32s()
	if err != nil {
		return ""
	}
	for i, e := range x {
		if math.IsNaN(float64(e)) || math.IsInf(float64(e), 0) {
			return fmt.Sprintf("%g at %v", e, format.Index(i, t.Shape))
		}
	}
	return ""
}
