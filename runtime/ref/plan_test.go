package ref

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// chain is six values of n elements each, one made from the other; the output
// is the last of them, or all of them side by side.
func chain(t *testing.T, together bool) *graph.Graph {
	b := graph.NewBuilder()
	n := graph.Sym("N")
	values := []*graph.Value{b.Input("x", format.Float32, n)}
	for range 6 {
		values = append(values, b.Neg(values[len(values)-1]))
	}
	out := values[6]
	if together {
		out = b.Concat(0, values...)
	}
	b.Output("out", out)
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func planOf(g *graph.Graph, n int) error {
	_, err := newPlan(g, []*graph.Value{g.Outputs[0].Value}, map[string]int{"N": n})
	return err
}

// Only what is still needed counts: two values of a chain at a time, and all
// of them if they are put together in the end.
func TestPlanCountsWhatIsHeldAtATime(t *testing.T) {
	const half = MaxBytes / 2 / 8 // elements that take half of what is allowed
	if err := planOf(chain(t, false), half); err != nil {
		t.Errorf("two halves at a time: %v", err)
	}
	if err := planOf(chain(t, false), half+1); err == nil {
		t.Error("more than two halves at a time are accepted")
	}
	if err := planOf(chain(t, true), half/7); err != nil {
		t.Errorf("seven, and as much for the result: %v", err)
	}
	err := planOf(chain(t, true), half/7+1)
	if err == nil || !strings.Contains(err.Error(), `"concat_1"`) {
		t.Errorf("more than fits: %v", err)
	}
}

func TestPlanHeedsTheMemoryLimit(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	if err := planOf(chain(t, false), 1<<26); err != nil {
		t.Errorf("two times 512 MiB: %v", err)
	}
	if err := planOf(chain(t, false), 1<<26+1); err == nil || !strings.Contains(err.Error(), "more than 1073741824 bytes") {
		t.Errorf("more than the limit: %v", err)
	}
}

func TestComputeLetsGoOfWhatIsNotNeeded(t *testing.T) {
	g := chain(t, false)
	o, err := New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	wanted := []*graph.Value{o.graph.Nodes[3].Results[0], o.graph.Nodes[6].Results[0]}
	sizes := map[string]int{"N": 2}
	p, err := newPlan(o.graph, wanted, sizes)
	if err != nil {
		t.Fatal(err)
	}
	held, err := o.compute(p, map[string]format.Tensor{"x": format.FromFloat64s("x", []int{2}, []float64{1, -2})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(held) != 2 || held[wanted[0]].f == nil || held[wanted[1]].f == nil {
		t.Errorf("%d values are left: %v", len(held), held)
	}
}
