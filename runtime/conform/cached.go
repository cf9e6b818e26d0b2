package conform

import (
	"math"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// Constructors of the networks with a past that CachedNetworks runs.
type (
	// Build builds the graph of a network.
	Build func(fixtures.Config) (*graph.Graph, error)
	// CachedBuild builds the same network with a past. With last, it outputs only
	// the logits of the last token.
	CachedBuild func(c fixtures.Config, last bool) (*graph.Graph, error)
)

// CachedNetworks runs the networks of Networks with a past, in every way that a
// text can be computed then. It compares the golden ids with PyTorch's logits,
// and the standard cases with the oracle, keys and values included. The outputs
// of full's graph other than the logits must equal those that the oracle
// computes with a past. shared means that past and present are one buffer in
// f's sessions.
func CachedNetworks(t *testing.T, f Open, o Options, shared bool, cached CachedBuild, full Build, oracle Open) {
	eachNetwork(t, func(t *testing.T, golden fixtures.Golden, weights []format.Tensor) {
		c := golden.Config
		shape := runtime.CacheShape{
			Layers: c.Layers, Heads: c.Heads, HeadWidth: c.Width / c.Heads, Context: c.Context,
			Positions: c.Positions, Shared: shared, DType: format.Float32,
		}
		graphs := map[bool]*graph.Graph{}
		for _, last := range []bool{false, true} {
			var err error
			if graphs[last], err = cached(c, last); err != nil {
				t.Fatal(err)
			}
		}
		g, err := full(c)
		if err != nil {
			t.Fatal(err)
		}
		whole := open(t, oracle, g, weights)
		apart := shape
		apart.Shared = false
		past := runtime.Cached(open(t, oracle, graphs[false], weights), apart, runtime.Whole)
		for last, g := range graphs {
			s := open(t, f, g, weights)
			if !shared {
				t.Run("ids", func(t *testing.T) {
					inputs, err := step(g)
					if err != nil {
						t.Fatal(err)
					}
					refuses(t, s, inputs, idsName, outside(c.Vocab)...)
					refuses(t, s, inputs, role.AttentionMask.Name(), -1, 2, math.MaxInt64)
					if c.Positions {
						refuses(t, s, inputs, role.Positions.Name(), outside(c.Context)...)
					}
				})
			}
			for _, way := range shape.Ways() {
				name := string(way)
				if last {
					name += ", last logits"
				}
				t.Run(name, func(t *testing.T) {
					n := cachedNetwork{o, runtime.Cached(s, shape, way), whole, past}
					n.golden(t, golden)
					for _, k := range runtime.Cases(c.Vocab, c.Context, 1) {
						if n.run(t, k); t.Failed() {
							t.Fatalf("on %s", k)
						}
					}
				})
			}
		}
	})
}

type cachedNetwork struct {
	options     Options
	session     runtime.Session
	whole, past runtime.Session // the oracles of the logits and of the keys and values
}

// golden runs the ids of the golden file and compares with PyTorch's logits.
func (n cachedNetwork) golden(t *testing.T, g fixtures.Golden) {
	t.Helper()
	ids, err := tensor(idsName, g.InputIDs)
	if err != nil {
		t.Fatal(err)
	}
	logits, err := tensor(logitsName, g.Logits)
	if err != nil {
		t.Fatal(err)
	}
	n.compare(t, map[string]format.Tensor{idsName: ids}, map[string]format.Tensor{logitsName: logits})
}

// run runs a case and compares it with the oracle.
func (n cachedNetwork) run(t *testing.T, c runtime.Case) {
	t.Helper()
	want, err := n.past.Run(c.Inputs())
	if err != nil {
		t.Fatalf("the oracle with a past: %v", err)
	}
	whole, err := n.whole.Run(c.Inputs())
	if err != nil {
		t.Fatalf("the oracle: %v", err)
	}
	for name, x := range whole {
		if d := runtime.CompareWithin(Limit(want[name].DType), x, want[name].WithName(x.Name)); !d.Within {
			t.Fatalf("the oracle with a past and without: %s: %v %v", name, d.Reason, d.FirstBad)
		}
	}
	n.compare(t, c.Inputs(), want)
}

func (n cachedNetwork) compare(t *testing.T, inputs, want map[string]format.Tensor) {
	t.Helper()
	got, err := n.session.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	var tensors []format.Tensor
	for name, x := range want {
		x = x.WithName(name)
		if name == logitsName {
			x = runtime.LastRows(x, got[name])
		}
		tensors = append(tensors, x)
	}
	if _, all := want[role.PresentKey.Name()]; !all {
		got = map[string]format.Tensor{logitsName: got[logitsName]}
	}
	n.options.compare(t, got, tensors)
}
