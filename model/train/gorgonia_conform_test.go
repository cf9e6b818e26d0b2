package train_test

import (
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/conform"
	"github.com/attnx/attnx/runtime/ref"
)

func openForward(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
	return train.NewForward(g, weights)
}

func openOracle(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
	return ref.New(g, weights)
}

func buildFixture(c fixtures.Config) (*graph.Graph, error) {
	n, err := arch.Parse(c.Arch, c.JSON())
	if err != nil {
		return nil, err
	}
	return nn.Build(n)
}

func TestForwardOps(t *testing.T) { conform.Ops(t, openForward, conform.Options{}) }

func TestForwardNetworks(t *testing.T) {
	conform.Networks(t, openForward, conform.Options{}, buildFixture, openOracle)
}
