package graph_test

import (
	"maps"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// decoder has every kind of axis: names alone, a sum, a number.
func decoder(t *testing.T) *graph.Graph {
	b := graph.NewBuilder()
	B, P, T := graph.Sym("B"), graph.Sym("P"), graph.Sym("T")
	b.Name("less", b.Neg(b.Input("seen", format.Float32, B, P.Add(T)))) // a sum before its names
	b.Input("ids", format.Int64, B, T)
	b.Input("past", format.Float32, B, graph.N(2), P)
	b.Output("ids", b.Input("step", format.Int64))
	return mustGraph(t, b)
}

func TestBindInputs(t *testing.T) {
	good := map[string][]int{"ids": {3, 4}, "past": {3, 2, 5}, "seen": {3, 9}, "step": {}}
	got, err := decoder(t).BindInputs(good)
	if want := map[string]int{"B": 3, "P": 5, "T": 4}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for name, c := range map[string]struct {
		input string
		shape []int
		want  []string
	}{
		"another number":      {"past", []int{3, 1, 5}, []string{`"past"`, "[3 1 5]", "2"}},
		"another batch":       {"past", []int{2, 2, 5}, []string{`"past"`, "B is 3"}},
		"sum does not add up": {"seen", []int{3, 8}, []string{`"seen"`, "P+T is 9"}},
		"another rank":        {"ids", []int{12}, []string{`"ids"`, "(B,T)", "[12]"}},
		"scalar has axes":     {"step", []int{1}, []string{`"step"`, "()", "[1]"}},
		"unknown":             {"mask", []int{1}, []string{`no input is called "mask"`}},
		"a value of no input": {"less", []int{3, 9}, []string{`no input is called "less"`}},
		"missing":             {"past", nil, []string{`input "past"`, "(B,2,P)", "missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			shapes := maps.Clone(good)
			shapes[c.input] = c.shape
			if c.shape == nil {
				delete(shapes, c.input)
			}
			_, err := decoder(t).BindInputs(shapes)
			wantError(t, err, c.want...)
		})
	}
}

func TestBindInputsNeedsAnInputForEveryLetter(t *testing.T) {
	b := graph.NewBuilder()
	b.Output("x", b.Input("x", format.Float32, graph.Sym("P").Add(graph.Sym("T"))))
	_, err := mustGraph(t, b).BindInputs(map[string][]int{"x": {3}})
	wantError(t, err, "P+T")
}

// Every operator has a name of its own, and attributes of the types that the
// text has.
func TestOperators(t *testing.T) {
	names := map[string]bool{}
	for _, op := range graph.Operators() {
		if name := op.Name(); name == "" || name == "unknown" || names[name] {
			t.Errorf("%T: the name %q is empty or used twice", op, name)
		}
		names[op.Name()] = true
	}
	for _, op := range []graph.Op{graph.Unary(200), graph.Binary(200), graph.Reduce{Kind: 200}} {
		if op.Name() != "unknown" {
			t.Errorf("an operator outside its table is called %q", op.Name())
		}
	}
}
