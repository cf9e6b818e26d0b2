package gorgonia_test

import (
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/conform"
	"github.com/attnx/attnx/runtime/ref"
)

func openForward(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
	return gorgonia.NewForward(g, weights)
}

func openOracle(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
	return ref.New(g, weights)
}

func TestForwardOps(t *testing.T) { conform.Ops(t, openForward, conform.Options{}) }

func TestForwardNetworks(t *testing.T) {
	conform.Networks(t, openForward, conform.Options{}, gorgonia.FixtureGraph, openOracle)
}
