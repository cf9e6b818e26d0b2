//go:build cgo

package openvino_test

import (
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/conform"
	"github.com/attnx/attnx/runtime/openvino"
	"github.com/attnx/attnx/runtime/ref"
)

// in returns the function that opens a graph in OpenVINO, by way of a profile.
func in(p export.Profile) conform.Open {
	return func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
		data, err := export.Bytes(g, weights, p)
		if err != nil {
			return nil, err
		}
		return openvino.Runtime.Open(runtime.File{Data: data}, runtime.Options{Turns: true})
	}
}

func full(c fixtures.Config) (*graph.Graph, error) {
	n, err := arch.Parse(c.Arch, c.JSON())
	if err != nil {
		return nil, err
	}
	return nn.Build(n)
}

func oracle(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
	return ref.New(g, weights)
}

// needLibrary skips a test where OpenVINO is not installed.
func needLibrary(t *testing.T) {
	t.Helper()
	if err := openvino.Runtime.Available(runtime.Options{}); err != nil {
		t.Skip(err)
	}
}

// peepholes finds the cases that OpenVINO computes as if they had no peepholes.
func peepholes(op string, c fixtures.OpCase) string {
	if op == "LSTM" && len(c.Inputs) == 8 {
		return "OpenVINO ignores the peepholes of an LSTM"
	}
	return ""
}

// Every operator and both networks in OpenVINO, by way of the plain profile.
func TestConform(t *testing.T) {
	needLibrary(t)
	if fixtures.Exhaustive() { // it compiles some 800 models
		t.Run("ops", func(t *testing.T) { conform.Ops(t, in(export.Plain{}), conform.Options{SkipCase: peepholes}) })
	}
	t.Run("networks", func(t *testing.T) { conform.Networks(t, in(export.Plain{}), conform.Options{}, full, oracle) })
}

// Both networks with a past. (attnx verify runs one in every way by default too.)
func TestConformCached(t *testing.T) {
	if !fixtures.Exhaustive() {
		t.Skip("set ATTNX_EXHAUSTIVE=1")
	}
	needLibrary(t)
	cached := func(c fixtures.Config, last bool) (*graph.Graph, error) {
		g, err := full(c)
		if err != nil {
			return nil, err
		}
		return model.Cached(g, last)
	}
	conform.CachedNetworks(t, in(export.Cache{}), conform.Options{}, false, cached, full, oracle)
}
