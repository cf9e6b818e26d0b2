package conform

import (
	"fmt"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// The names of the tokens and the logits.
var idsName, logitsName = role.Tokens.Name(), role.Logits.Name()

// Networks runs GPT-2 and the textbook model, tiny, with the weights of their
// golden files. It compares the golden ids with PyTorch's logits and all sizes
// with the oracle. Ids outside the vocabulary must give a *format.RangeError.
// build builds the graph of a network.
func Networks(t *testing.T, f Open, o Options, build func(fixtures.Config) (*graph.Graph, error), oracle Open) {
	eachNetwork(t, func(t *testing.T, golden fixtures.Golden, weights []format.Tensor) {
		g, err := build(golden.Config)
		if err != nil {
			t.Fatal(err)
		}
		n := network{options: o, open: f, graph: g, weights: weights}
		t.Run("golden", func(t *testing.T) { n.golden(t, golden) })
		t.Run("ids", func(t *testing.T) { n.ids(t, golden.Config) })
		t.Run("sizes", func(t *testing.T) { n.sizes(t, golden.Config, open(t, oracle, g, weights)) })
	})
}

// eachNetwork calls f with every network that has golden numbers.
func eachNetwork(t *testing.T, f func(t *testing.T, golden fixtures.Golden, weights []format.Tensor)) {
	networks, err := fixtures.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	for name, golden := range networks {
		t.Run(name, func(t *testing.T) {
			weights, err := named(golden.Weights)
			if err != nil {
				t.Fatal(err)
			}
			f(t, golden, weights)
		})
	}
}

// network is one model on one runtime.
type network struct {
	options Options
	open    Open
	graph   *graph.Graph
	weights []format.Tensor
	session runtime.Session // nil before the first run, and if every size needs a new session
}

// ids runs ids outside the vocabulary.
func (n *network) ids(t *testing.T, c fixtures.Config) {
	ids := format.FromInt64s(idsName, []int{2, 3}, make([]int64, 6))
	g, weights := n.graph, n.weights
	if n.options.Bind {
		var err error
		if g, weights, err = bind(g, weights, ids.Shape); err != nil {
			t.Fatal(err)
		}
	}
	refuses(t, open(t, n.open, g, weights), map[string]format.Tensor{idsName: ids}, idsName, outside(c.Vocab)...)
}

// golden runs the ids of the golden file.
func (n *network) golden(t *testing.T, g fixtures.Golden) {
	ids, err := tensor(idsName, g.InputIDs)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := tensor(logitsName, g.Logits)
	if err != nil {
		t.Fatal(err)
	}
	n.run(t, ids, logits)
}

// sizes runs batch sizes 1 to 8 with lengths 1 to the context, from the largest
// to the smallest, so that data left over from an earlier run shows up. A
// runtime with Options.Bind runs the standard cases.
func (n *network) sizes(t *testing.T, c fixtures.Config, oracle runtime.Session) {
	cases := runtime.Cases(c.Vocab, c.Context, 1)
	if !n.options.Bind {
		for batch := 8; batch >= 1; batch-- {
			for length := c.Context; length >= 1; length-- {
				cases = append(cases, runtime.NewCase(batch, length, c.Vocab, uint64(batch*c.Context+length)))
			}
		}
	}
	n.session = nil // its subtest is over, and it is closed
	for _, c := range cases {
		want, err := oracle.Run(c.Inputs())
		if err != nil {
			t.Fatalf("%s: the oracle: %v", c, err)
		}
		n.run(t, c.Inputs()[idsName], want[logitsName])
		if t.Failed() {
			t.Fatalf("on %s", c)
		}
	}
}

func (n *network) run(t *testing.T, ids, logits format.Tensor) {
	t.Helper()
	s := n.session
	if s == nil {
		g, weights := n.graph, n.weights
		if n.options.Bind {
			var err error
			if g, weights, err = bind(g, weights, ids.Shape); err != nil {
				t.Fatal(err)
			}
		}
		s = open(t, n.open, g, weights)
		if !n.options.Bind {
			n.session = s
		}
	}
	n.options.run(t, s, copied(map[string]format.Tensor{idsName: ids}), []format.Tensor{logits.WithName(logitsName)})
}

// bind sets the named dimensions of g to the sizes of ids (B,T), and returns
// the weights that are still parameters.
func bind(g *graph.Graph, weights []format.Tensor, shape []int) (*graph.Graph, []format.Tensor, error) {
	sizes, err := g.BindInputs(map[string][]int{idsName: shape})
	if err != nil {
		return nil, nil, err
	}
	bound, err := graph.Bind(sizes)(g)
	if err != nil {
		return nil, nil, err
	}
	byName := map[string]format.Tensor{}
	for _, w := range weights {
		byName[w.Name] = w
	}
	kept := make([]format.Tensor, len(bound.Params))
	for i, p := range bound.Params {
		w, ok := byName[p.Name]
		if !ok {
			return nil, nil, fmt.Errorf("binding made the parameter %q", p.Name)
		}
		kept[i] = w
	}
	return bound, kept, nil
}
