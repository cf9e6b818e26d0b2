//go:build cgo

package ort_test

import (
	"context"
	"errors"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx/emit"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/conform"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
	"github.com/attnx/attnx/runtime/ref"
)

// Every operator and both networks in ONNX Runtime, by way of the plain
// profile: what the exporter writes means what the graph says.
func TestConform(t *testing.T) {
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	open := func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
		data, err := export.Bytes(g, weights, export.Plain{})
		if err != nil {
			return nil, err
		}
		return ort.OpenBytes(data, ort.Options{Library: lib.Path, Sleep: !fixtures.Exhaustive()})
	}
	build := func(c fixtures.Config) (*graph.Graph, error) {
		n, err := arch.Parse(c.Arch, c.JSON())
		if err != nil {
			return nil, err
		}
		return nn.Build(n)
	}
	oracle := func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) { return ref.New(g, weights) }
	t.Run("ops", func(t *testing.T) { conform.Ops(t, open, conform.Options{}) })
	t.Run("networks", func(t *testing.T) { conform.Networks(t, open, conform.Options{}, build, oracle) })
}

// Both networks with a past, as the file has them, optimized a little and in
// full, and with ONNX Runtime's own operators.
func TestConformCached(t *testing.T) {
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	open := func(p export.Cache, level ort.Optimization) conform.Open {
		return func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) {
			data, err := export.Bytes(g, weights, p)
			if width := new(emit.HeadWidthError); errors.As(err, &width) {
				t.Logf("not run: %v", err)
				return nil, &runtime.UnavailableError{Runtime: "ort-cpu", Reason: err.Error(), Remedy: "a network with wider heads"}
			}
			if err != nil {
				return nil, err
			}
			return ort.OpenBytes(data, ort.Options{Library: lib.Path, Optimization: level, Sleep: !fixtures.Exhaustive()})
		}
	}
	full := func(c fixtures.Config) (*graph.Graph, error) {
		n, err := arch.Parse(c.Arch, c.JSON())
		if err != nil {
			return nil, err
		}
		return nn.Build(n)
	}
	cached := func(c fixtures.Config, last bool) (*graph.Graph, error) {
		g, err := full(c)
		if err != nil {
			return nil, err
		}
		return model.Cached(g, last)
	}
	oracle := func(g *graph.Graph, weights []format.Tensor) (runtime.Session, error) { return ref.New(g, weights) }
	for name, c := range map[string]struct {
		profile export.Cache
		level   ort.Optimization
	}{
		"as written": {level: ort.OptimizeNone},
		"basic":      {level: ort.OptimizeBasic},
		"all":        {},
		"opset 17":   {profile: export.Cache{Opset: 17}},
		"fused":      {profile: export.Cache{Fuse: true}},
	} {
		if name == "basic" && !fixtures.Exhaustive() {
			continue // between the two others
		}
		t.Run(name, func(t *testing.T) {
			conform.CachedNetworks(t, open(c.profile, c.level), conform.Options{}, c.profile.Fuse, cached, full, oracle)
		})
	}
}

// Operators that are made from open sizes.
func TestOpenSizes(t *testing.T) {
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	b := graph.NewBuilder()
	rows := graph.Sym("T")
	b.Input("x", format.Float32, rows, graph.N(2))
	b.Output("range", b.Range(graph.N(0), rows))
	b.Output("later", b.Range(graph.N(1), rows.Add(graph.N(1))))
	b.Output("mask", b.TriluUpper(b.ConstantOfShape(-2.5, rows, rows), graph.N(1)))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	data, err := export.Bytes(g, nil, export.Plain{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ort.OpenBytes(data, ort.Options{Library: lib.Path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	oracle, err := ref.New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 3} {
		in := map[string]format.Tensor{"x": format.FromFloat32s("x", []int{n, 2}, make([]float32, 2*n))}
		want, err := oracle.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		for name := range want {
			if d := runtime.CompareWithin(conform.Limit(got[name].DType), want[name], got[name]); !d.Within {
				t.Errorf("%s for T = %d: %s %v", name, n, d.Reason, d.FirstBad)
			}
		}
	}
}
