package graph_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

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
	for _, want := range []string{"0", "64", "T", "P+T", "T+1", "P+T+12", "2*T", "B*T", "-P+T", "2*B*T*T-3*P-1"} {
		d, err := graph.ParseDim(want)
		if got := d.String(); got != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

// Arithmetic on polynomials commutes with their evaluation, and what is equal
// as a polynomial is ==, in whatever order it was computed.
func TestDimArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := map[string]int{"B": rapid.IntRange(0, 9).Draw(t, "B"), "P": rapid.IntRange(0, 9).Draw(t, "P"), "T": rapid.IntRange(0, 9).Draw(t, "T")}
		var draw func(depth int) (graph.Dim, int)
		draw = func(depth int) (graph.Dim, int) {
			kind := rapid.IntRange(0, 4).Draw(t, "kind")
			if depth == 0 {
				kind %= 2
			}
			switch kind {
			case 0:
				n := rapid.IntRange(-5, 5).Draw(t, "n")
				return graph.N(n), n
			case 1:
				name := rapid.SampledFrom([]string{"B", "P", "T"}).Draw(t, "name")
				return graph.Sym(name), sizes[name]
			}
			x, a := draw(depth - 1)
			y, b := draw(depth - 1)
			z, c := draw(depth - 1)
			switch kind {
			case 2:
				if x.Add(y).Add(z) != z.Add(y).Add(x) {
					t.Fatalf("%s + %s + %s depends on the order", x, y, z)
				}
				return x.Add(y), a + b
			case 3:
				if x.Sub(y).Add(y) != x {
					t.Fatalf("%s - %s + %[2]s is not %[1]s", x, y)
				}
				return x.Sub(y), a - b
			}
			if x.Mul(y.Add(z)) != x.Mul(y).Add(z.Mul(x)) {
				t.Fatalf("%s * (%s + %s) is not distributed", x, y, z)
			}
			return x.Mul(y).Add(z), a*b + c
		}
		d, want := draw(2)
		if got, err := d.Eval(sizes); err != nil || got != want {
			t.Fatalf("%s for %v is %d, %v, want %d", d, sizes, got, err, want)
		}
		if again, err := graph.ParseDim(d.String()); err != nil || again != d {
			t.Fatalf("%s is read as %s, %v", d, again, err)
		}
		if d.NonNegative() && want < 0 {
			t.Fatalf("%s is called nonnegative and is %d for %v", d, want, sizes)
		}
	})
}

func TestDimRefuses(t *testing.T) {
	big, T := graph.N(math.MaxInt), graph.Sym("T")
	square := T.Mul(T)
	for name, d := range map[string]graph.Dim{
		"sum": big.Add(graph.N(1)), "product": big.Mul(T).Mul(graph.N(2)), "least": graph.N(math.MinInt).Mul(graph.N(-1)),
		"degree": square.Mul(square).Mul(square).Mul(square).Mul(T), "empty name": graph.Sym(""), "name": graph.Sym("2T"), "operator": graph.Sym("P+T"),
	} {
		if d.Valid() || d.Add(graph.N(1)).Valid() || d.Mul(graph.N(0)).Valid() || d.NonNegative() {
			t.Errorf("%s: %s passes for a size", name, d)
		}
		if _, err := d.Eval(map[string]int{"T": 1}); err == nil {
			t.Errorf("%s: it has a size", name)
		}
		if _, ok := d.Number(); ok {
			t.Errorf("%s: it is a number", name)
		}
	}
	many := graph.N(0)
	for i := range 33 {
		many = many.Add(graph.Sym("d" + strings.Repeat("x", i)))
	}
	if many.Valid() {
		t.Errorf("%s passes for a size", many)
	}
	for _, text := range []string{"", "+", "-", "T+", "+T", "T--1", "T+-1", "T*", "*T", "T*2", "1*T", "0*T", "T+T", "T+P", "T+0", "007", "2**T", "9223372036854775808", "T T", "T ", "invalid dimension", strings.Repeat("T", 5000)} {
		if d, err := graph.ParseDim(text); err == nil {
			t.Errorf("%q is read as %s", text, d)
		}
	}
}

func FuzzParseDim(f *testing.F) {
	for _, text := range []string{"64", "T", "P+T-1", "2*B*T", "-P+T", "9223372036854775807", "-9223372036854775808", "a.b_c*d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := graph.ParseDim(text); err == nil && d.String() != text {
			t.Errorf("%q is read and printed as %q", text, d)
		}
	})
}

func TestDimNumberAndEval(t *testing.T) {
	sizes := map[string]int{"P": 3, "T": 4}
	for _, c := range []struct {
		d    string
		want int
	}{{"7", 7}, {"T", 4}, {"P+T", 7}, {"2*T+1", 9}, {"P*T-2*P", 6}} {
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
		t.Error("a shape with names passes for numbers")
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

// The least int is a coefficient like any other, and what is printed can be read
// whatever the length of the names.
func TestDimAtItsBounds(t *testing.T) {
	d, err := graph.ParseDim("-9223372036854775808*T")
	if err != nil {
		t.Fatal(err)
	}
	if terms := d.Terms(); terms[0].Coefficient != math.MinInt || d.Symbols()[0] != "T" {
		t.Errorf("%s has the terms %v", d, terms)
	}
	if n, err := d.Eval(map[string]int{"T": 1}); err != nil || n != math.MinInt {
		t.Errorf("%s of T 1 is %d, %v", d, n, err)
	}
	long := graph.N(0)
	for _, letter := range "abcdefghijklmnopqrst" {
		long = long.Add(graph.Sym(strings.Repeat(string(letter), 250)))
	}
	if _, err := graph.ParseDim(long.String()); long.Valid() && err != nil {
		t.Errorf("a valid size is printed and not read: %v", err)
	}
}
