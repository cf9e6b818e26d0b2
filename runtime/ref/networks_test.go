package ref_test

import (
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/conform"
)

func build(c fixtures.Config) (*graph.Graph, error) {
	n, err := arch.Parse(c.Arch, c.JSON())
	if err != nil {
		return nil, err
	}
	return nn.Build(n)
}

func TestNetworks(t *testing.T) {
	conform.Networks(t, open, conform.Options{MaxAbs: exact}, build, open)
}

func TestNetworksBound(t *testing.T) {
	conform.Networks(t, open, conform.Options{MaxAbs: exact, Bind: true}, build, open)
}

func buildCached(c fixtures.Config, last bool) (*graph.Graph, error) {
	g, err := build(c)
	if err != nil {
		return nil, err
	}
	return model.Cached(g, last)
}

// buildPresent builds the network with its keys and values.
func buildPresent(c fixtures.Config) (*graph.Graph, error) {
	g, err := build(c)
	if err == nil {
		g, err = graph.KeysAndValues(g)
	}
	return g, err
}

func TestCachedNetworks(t *testing.T) {
	conform.CachedNetworks(t, open, conform.Options{MaxAbs: exact}, false, buildCached, buildPresent, open)
}
