package graph_test

import (
	"testing"

	"github.com/attnx/attnx/model/graph"
)

func TestDimSumsAreEqualHoweverTheyWereAdded(t *testing.T) {
	p, tt := graph.Sym("P"), graph.Sym("T")
	for _, c := range []struct{ a, b graph.Dim }{
		{p.Add(tt), tt.Add(p)},
		{p.Add(graph.N(1)).Add(tt), tt.Add(p.Add(graph.N(1)))},
		{graph.N(2).Add(graph.N(3)), graph.N(5)},
		{tt.Add(graph.N(0)), tt},
	} {
		if c.a != c.b {
			t.Errorf("%s != %s", c.a, c.b)
		}
	}
	for _, c := range []struct{ a, b graph.Dim }{{p, tt}, {tt.Add(tt), tt}, {tt.Add(graph.N(1)), tt}, {graph.N(1), tt}} {
		if c.a == c.b {
			t.Errorf("%s == %s", c.a, c.b)
		}
	}
}

func TestDimString(t *testing.T) {
	for _, want := range []string{"0", "64", "T", "P+T", "T+1", "P+T+12", "T+T"} {
		if got := dim(want).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestDimNumberAndEval(t *testing.T) {
	sizes := map[string]int{"P": 3, "T": 4}
	for _, c := range []struct {
		d    string
		want int
	}{{"7", 7}, {"T", 4}, {"P+T", 7}, {"T+T+1", 9}} {
		if got, err := dim(c.d).Eval(sizes); err != nil || got != c.want {
			t.Errorf("%s is %d, %v, want %d", c.d, got, err, c.want)
		}
	}
	if n, ok := graph.N(7).Number(); !ok || n != 7 {
		t.Errorf("7 is %d, %t", n, ok)
	}
	if _, ok := dim("T+1").Number(); ok {
		t.Error("T+1 passes for a number")
	}
	_, err := dim("B+T").Eval(sizes)
	wantError(t, err, "B+T", "bind B")
}

func TestShape(t *testing.T) {
	s := graph.Shape{dim("B"), dim("P+T"), dim("64")}
	if got := s.String(); got != "(B,P+T,64)" {
		t.Errorf("printed as %s", got)
	}
	if !s.Equal(graph.Shape{dim("B"), dim("T+P"), dim("64")}) || s.Equal(s[:2]) || s.Equal(graph.Numbers(1, 2, 64)) {
		t.Error("Equal is wrong")
	}
	if _, ok := s.Numbers(); ok {
		t.Error("a shape with letters passes for numbers")
	}
	if got, ok := graph.Numbers(2, 3).Numbers(); !ok || got[0] != 2 || got[1] != 3 {
		t.Errorf("Numbers gives %v, %t", got, ok)
	}
	got, err := s.Eval(map[string]int{"B": 2, "P": 0, "T": 5})
	if err != nil || len(got) != 3 || got[0] != 2 || got[1] != 5 || got[2] != 64 {
		t.Errorf("Eval gives %v, %v", got, err)
	}
	_, err = s.Eval(map[string]int{"B": 2})
	wantError(t, err, "P+T")
}
