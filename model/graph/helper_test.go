package graph_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// input declares an input described as Print shows it: "F32(B,P+T,64)".
func input(b *graph.Builder, text string) *graph.Value {
	name, list, ok := strings.Cut(strings.TrimSuffix(text, ")"), "(")
	t, known := format.ParseDType(name)
	if !ok || !known {
		panic("no type: " + text)
	}
	var s graph.Shape
	for _, d := range strings.Split(list, ",") {
		if d != "" {
			s = append(s, dim(d))
		}
	}
	inputs++
	return b.Input(fmt.Sprintf("in%d", inputs), t, s...)
}

var inputs int // makes names of inputs unique

// dim reads a polynomial whose terms are in any order.
func dim(text string) (d graph.Dim) {
	for _, term := range strings.Split(strings.TrimPrefix(strings.ReplaceAll(text, "-", "+-"), "+"), "+") {
		t, err := graph.ParseDim(term)
		if err != nil {
			panic(err)
		}
		d = d.Add(t)
	}
	return d
}

// text describes a value as input does.
func text(v *graph.Value) string { return v.DType.String() + v.Shape.String() }

func mustGraph(t *testing.T, b *graph.Builder) *graph.Graph {
	t.Helper()
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mustApply(t *testing.T, g *graph.Graph, passes ...graph.Pass) *graph.Graph {
	t.Helper()
	g, err := graph.Apply(g, passes...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func printed(t *testing.T, g *graph.Graph) string {
	t.Helper()
	var sb strings.Builder
	if err := graph.Print(&sb, g); err != nil {
		t.Fatal(err)
	}
	return sb.String()
}

// wantError checks that err is one line and holds every part.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q is more than one line", err)
	}
}

// network is a small graph that has most of what graphs have: named dimensions, a
// constant, parameters, a composite, a value used twice and one not used.
func network() *graph.Builder {
	b := graph.NewBuilder()
	B, T := graph.Sym("B"), graph.Sym("T")
	ids := b.Input("ids", format.Int64, B, T)
	table := b.Param("table", graph.Normal(0.02), 5, 4)
	x := b.Name("x", b.Gather(table, ids)) // (B,T,4)
	s := b.Scope("layer")
	y := s.LayerNormalization(x, s.Param("scale", graph.Constant(1), 4), s.Param("bias", graph.Constant(0), 4), 1e-5)
	y = s.Name("sum", s.Add(s.GeluTanh(y), x)) // (B,T,4)
	b.Name("unused", b.Exp(x))
	b.Output("out", b.Mul(y, b.Scalar(0.5)))
	return b
}
