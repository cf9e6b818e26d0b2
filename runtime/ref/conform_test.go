package ref_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/conform"
	"github.com/attnx/attnx/runtime/ref"
)

// The golden numbers are float64 too: the two differ by the order of sums and
// the last place of exp and tanh. Sums of the operators' cases have at most 8
// terms of size 10, sums of the networks 64; a dozen steps of 1e-16 times
// these stay below 1e-12, and a single rounding to float32 would be 6e-8.
const exact = 1e-12

func open(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
	return ref.New(g, weights)
}

func TestOps(t *testing.T) { conform.Ops(t, open, conform.Options{MaxAbs: exact}) }
