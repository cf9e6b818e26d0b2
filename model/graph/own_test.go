package graph_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Operators of a user's own whose text would be read as something else.
type (
	fakeTanh  struct{ own }
	hidden    struct{ factor float64 }
	pointed   struct{ Factor float64 }
	spaced    struct{}
	list      []float64
	first     struct{}
	second    struct{}
	own       struct{}
	fakeGelu  struct{ Approximate string }
	fakeInput struct{}
)

func same(args []graph.Type) ([]graph.Type, error) { return args, nil }

func (own) Infer(args []graph.Type) ([]graph.Type, error)       { return same(args) }
func (hidden) Infer(args []graph.Type) ([]graph.Type, error)    { return same(args) }
func (*pointed) Infer(args []graph.Type) ([]graph.Type, error)  { return same(args) }
func (spaced) Infer(args []graph.Type) ([]graph.Type, error)    { return same(args) }
func (list) Infer(args []graph.Type) ([]graph.Type, error)      { return same(args) }
func (first) Infer(args []graph.Type) ([]graph.Type, error)     { return same(args) }
func (second) Infer(args []graph.Type) ([]graph.Type, error)    { return same(args) }
func (fakeGelu) Infer(args []graph.Type) ([]graph.Type, error)  { return same(args) }
func (fakeInput) Infer(args []graph.Type) ([]graph.Type, error) { return same(args) }

func (fakeTanh) Name() string  { return "Tanh" }
func (hidden) Name() string    { return "Hidden" }
func (*pointed) Name() string  { return "Pointed" }
func (spaced) Name() string    { return "Gelu approximate" }
func (list) Name() string      { return "List" }
func (first) Name() string     { return "Twin" }
func (second) Name() string    { return "Twin" }
func (fakeGelu) Name() string  { return "Gelu" }
func (fakeInput) Name() string { return "Input" }

// The text of a graph has an operator's name and exported fields. What would be
// read back as another operator, or with other fields, is refused where it is
// recorded.
func TestOperatorsThatTheTextWouldChange(t *testing.T) {
	for _, c := range []struct {
		op   graph.Op
		says string
	}{
		{fakeTanh{}, `called "Tanh", as one of attnx: give it another name`},
		{fakeGelu{"none"}, `called "Gelu", as one of attnx`},
		{fakeInput{}, `called "Input", as one of attnx`},
		{hidden{2}, `the field "factor", which the text of a graph would leave out: export it`},
		{&pointed{2}, "is a ptr, and the text of a graph would leave out its parts"},
		{list{1}, "is a slice"},
		{spaced{}, `an operator is called "Gelu approximate"`},
	} {
		b := graph.NewBuilder()
		b.Output("y", b.Apply(c.op, 1, b.Input("x", format.Float32, graph.N(2)))[0])
		_, err := b.Graph()
		wantError(t, err, "own_test.go:", c.says)
	}
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.N(2))
	b.Output("y", b.Apply(second{}, 1, b.Apply(first{}, 1, x)[0])[0])
	_, err := b.Graph()
	wantError(t, err, `two operators are called "Twin", graph_test.first and graph_test.second`)
}
