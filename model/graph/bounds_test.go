package graph_test

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/model/graph"
)

// greedy are texts of graphs that ask for much more than they hold.
func greedy() map[string]string {
	const head = "attnx graph 1\nids I64(B,T) = Input role=tokens\nw F32(8) = Param init=normal(0,1)\n"
	texts := map[string]string{}
	write := func(name string, lines func(add func(format string, args ...any))) {
		var values, outputs strings.Builder
		lines(func(format string, args ...any) {
			to := &values
			if strings.HasPrefix(format, "output ") {
				to = &outputs
			}
			fmt.Fprintf(to, format+"\n", args...)
		})
		texts[name] = head + values.String() + outputs.String()
	}
	write("constants of a million", func(add func(string, ...any)) {
		for i := range 40 {
			add("r%d I64(1048576) = Range() start=%d limit=%d", i, i, i+1<<20)
			add("f%d F32(1048576) = ConstantOfShape() shape=(1048576) fill=%d", i, i)
			add("e%d F32(1048576) = Cast(r%d) to=F32", i, i)
			add("s%d F32(1048576) = Add(e%d, f%d)", i, i, i)
			add("output s%d = s%d", i, i)
		}
	})
	write("slices of one constant", func(add func(string, ...any)) {
		add("c F32(65536) = Const value=base64:%s", base64.StdEncoding.EncodeToString(make([]byte, 4*65536)))
		for i := range 2000 {
			add("s%d F32(65000) = Slice(c) axis=0 start=%d limit=%d", i, i%500, 65000+i%500)
			add("output s%d = s%d", i, i)
		}
	})
	write("masks of a long text", func(add func(string, ...any)) {
		add("q F32(1,1,1024,1) = Input")
		for i := range 50 {
			add("a%d F32(1,1,1024,1) = Attention(q, q, q) scale=1 causal=true window=%d", i, i+1)
			add("output a%d = a%d", i, i)
		}
	})
	write("a concatenation of rank 32", func(add func(string, ...any)) {
		ones := strings.Repeat(",1", 31)
		add("x F32(1%s) = Input", ones)
		add("y F32(20000%s) = Concat(x%s) axis=0", ones, strings.Repeat(", x", 19999))
		add("output y = y")
	})
	write("a split into many", func(add func(string, ...any)) {
		add("x F32(5000) = Input")
		var sb strings.Builder
		for i := range 5000 {
			if i > 0 {
				sb.WriteString(", ")
			}
			fmt.Fprintf(&sb, "p%d F32(1)", i)
		}
		add("%s = Split(x) axis=0 sizes=[1%s]", sb.String(), strings.Repeat(",1", 4999))
		add("output y = p4999")
	})
	write("long sizes", func(add func(string, ...any)) {
		var terms []string
		for i := range 32 {
			terms = append(terms, fmt.Sprintf("%s%02d*B*T", strings.Repeat("n", 60), i))
		}
		size := strings.Join(terms, "+")
		add("x F32(%s) = Input", size)
		before := "x"
		for i := range 50 {
			add("y%d F32(%s) = Neg(%s)", i, size, before)
			before = fmt.Sprint("y", i)
		}
		add("output y = " + before)
	})
	write("a loss of many weights", func(add func(string, ...any)) {
		add("c F32() = ReduceSum(w) axes=[0] keepdims=false")
		before := "c"
		for i := range 3000 {
			add("w%d F32() = Param init=normal(0,1)", i)
			add("l%d F32() = Mul(%s, w%d)", i, before, i)
			before = fmt.Sprint("l", i)
		}
		add("output loss = " + before)
	})
	return texts
}

// What a graph of somebody else makes any pass allocate is bounded: by its text,
// and by what a pass computes ahead.
func TestPassesAreBounded(t *testing.T) {
	sizes := map[string]int{"B": 1, "T": 1024}
	passes := map[string]graph.Pass{
		"Parse": func(g *graph.Graph) (*graph.Graph, error) { return graph.Parse(printed(t, g)) },
		"Fold":  graph.Fold, "Bind": graph.Bind(sizes), "Precompute": graph.Precompute(1 << 20),
		"Merge": graph.Merge, "DecomposeAll": graph.DecomposeAll, "SliceRanges": graph.SliceRanges, "Rows": graph.Rows,
		"Grad": graph.Grad("loss"), "Cached": graph.Cached, "LastToken": graph.LastToken,
		"Fingerprint": func(g *graph.Graph) (*graph.Graph, error) { graph.Fingerprint(g); return g, nil },
		"decomposed, folded": func(g *graph.Graph) (*graph.Graph, error) {
			return graph.Apply(g, graph.DecomposeAll, graph.Bind(sizes), graph.Fold)
		},
	}
	for name, text := range greedy() {
		g, err := graph.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for pass, f := range passes {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := f(g)
			runtime.ReadMemStats(&after)
			used, most := after.TotalAlloc-before.TotalAlloc, uint64(80<<20+250*len(text))
			if used > most {
				t.Errorf("%s, %s: %d bytes for a text of %d (%v)", name, pass, used, len(text), err)
			}
		}
	}
}

// endless is an operator that a user has written with itself.
type endless struct{}

func (endless) Name() string                                  { return "Endless" }
func (endless) Infer(args []graph.Type) ([]graph.Type, error) { return args, nil }
func (endless) Decompose(b *graph.Builder, args []*graph.Value) []*graph.Value {
	return b.Apply(endless{}, 1, b.Neg(args[0]))
}

// An operator that is written with itself is refused by its name and not
// followed without end.
func TestEndlessDecomposition(t *testing.T) {
	b := graph.NewBuilder()
	b.Output("loss", b.ReduceSum(b.Apply(endless{}, 1, b.Param("w", graph.Normal(1), 3))[0], false, 0))
	g := mustGraph(t, b)
	for name, pass := range map[string]graph.Pass{"DecomposeAll": graph.DecomposeAll, "Grad": graph.Grad("loss")} {
		_, err := pass(g)
		t.Log(name)
		wantError(t, err, `"Endless" is written with itself`)
	}
}
