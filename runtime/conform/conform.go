package conform

import (
	"errors"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// Open makes a session of a graph. The weights stand in the order of the
// graph's parameters.
type Open func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error)

// Options says what a runtime is held to.
type Options struct {
	// Skip holds the operators that the runtime cannot run, by name, and why.
	Skip map[string]string
	// Bind says that the runtime needs sizes for all letters before a session
	// is made. The networks are then run in fewer sizes.
	Bind bool
	// MaxAbs is an absolute bound on every error, beside the one that
	// runtime.ToleranceOf gives; 0 for none.
	MaxAbs float64
}

// open skips the test where the runtime is not there, which is not a pass.
func open(t *testing.T, f Open, g *graph.Graph, weights []format.Tensor) runtime.Session {
	t.Helper()
	s, err := f(g, weights)
	if errors.Is(err, runtime.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("opening a session: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the session: %v", err)
		}
	})
	return s
}

// run computes the outputs and holds them against those that are wanted, whose
// names say which is which.
func (o Options) run(t *testing.T, s runtime.Session, inputs map[string]format.Tensor, want []format.Tensor) {
	t.Helper()
	got, err := s.Run(inputs)
	if err != nil {
		t.Errorf("run: %v", err)
		return
	}
	o.compare(t, got, want)
}

// compare holds outputs against those that are wanted.
func (o Options) compare(t *testing.T, got map[string]format.Tensor, want []format.Tensor) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("the session gives %d outputs, the graph has %d", len(got), len(want))
	}
	for _, w := range want {
		g, ok := got[w.Name]
		if !ok {
			t.Errorf("output %q is missing", w.Name)
			continue
		}
		d := runtime.Compare(w, g.WithName(w.Name))
		switch {
		case d.Reason != "":
			t.Error(d.Reason)
		case d.FirstBad != nil:
			t.Error(d.FirstBad)
		case !d.Within:
			t.Errorf("%s is not within the tolerance", w.Name)
		case o.MaxAbs > 0 && d.MaxAbs > o.MaxAbs:
			t.Errorf("%s%v is off by %.3g, more than %g", w.Name, d.WorstIndex, d.MaxAbs, o.MaxAbs)
		}
	}
}

// copied returns the tensors with memory of their own, so that a session which
// writes into its inputs spoils no later run unseen.
func copied(tensors map[string]format.Tensor) map[string]format.Tensor {
	c := make(map[string]format.Tensor, len(tensors))
	for name, t := range tensors {
		t.Data = append([]byte{}, t.Data...)
		c[name] = t
	}
	return c
}
