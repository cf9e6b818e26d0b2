package conform

import (
	"errors"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// Open opens a session of a graph. The weights are in the order of the graph's
// parameters.
type Open func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error)

// Options configure the suite for a runtime.
type Options struct {
	// Skip maps the names of operators that the runtime cannot run to the reasons.
	Skip map[string]string
	// SkipCase returns why the runtime cannot run a case of an operator that it runs
	// otherwise; "" if it can. nil: it can run all.
	SkipCase func(op string, c fixtures.OpCase) string
	// Bind means that the runtime needs sizes for all named dimensions before a
	// session is opened. The networks then run in fewer sizes.
	Bind bool
	// MaxAbs bounds every absolute error, in addition to Limit; 0
	// means no bound.
	MaxAbs float64
}

// Limit returns how far an operator or a small network may be from its golden
// numbers in the type of its results, relative to 1 or to the number.
func Limit(d format.DType) float64 {
	switch d {
	case format.Float64:
		return 1e-9 // anything computed in float32 is off by 6e-8
	case format.Float16:
		return 4e-2 // two layers with logits up to 5 were off by 1.1e-2
	case format.BFloat16:
		return 3.2e-1 // 8 times float16's
	}
	return 1e-4 // one form of GELU is 5e-4 from the other
}

// open skips the test if the runtime is unavailable, which is not a pass.
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

// run computes the outputs and compares them, by name, with the expected ones.
func (o Options) run(t *testing.T, s runtime.Session, inputs map[string]format.Tensor, want []format.Tensor) {
	t.Helper()
	got, err := s.Run(inputs)
	if err != nil {
		t.Errorf("run: %v", err)
		return
	}
	o.compare(t, got, want)
}

// compare compares outputs with the expected ones.
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
		d := runtime.CompareWithin(Limit(g.DType), w, g.WithName(w.Name))
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

// copied returns copies of the tensors, so that a session that overwrites its
// inputs cannot spoil later runs unnoticed.
func copied(tensors map[string]format.Tensor) map[string]format.Tensor {
	c := make(map[string]format.Tensor, len(tensors))
	for name, t := range tensors {
		t.Data = append([]byte{}, t.Data...)
		c[name] = t
	}
	return c
}
