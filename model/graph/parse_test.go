package graph_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// ofCases returns a graph of every golden case of every operator, by name.
func ofCases(t testing.TB) map[string]*graph.Graph {
	t.Helper()
	cases, err := fixtures.Ops()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*graph.Graph{}
	for _, c := range cases {
		op, err := graph.ParseOp(strings.TrimSpace(c.Op + " " + c.Attrs))
		if err != nil {
			t.Fatalf("%s/%s: %v", c.Op, c.Name, err)
		}
		b := graph.NewBuilder()
		var args []*graph.Value
		for i, x := range c.Inputs {
			dtype, _ := format.ParseDType(x.DType)
			args = append(args, b.Input(fmt.Sprint("x", i), dtype, graph.Numbers(x.Shape...)...))
		}
		for i, v := range b.Apply(op, len(c.Outputs), args...) {
			b.Output(fmt.Sprint("y", i), v)
		}
		g, err := b.Graph()
		if err != nil {
			t.Fatalf("%s/%s: %v", c.Op, c.Name, err)
		}
		all[c.Op+"/"+c.Name] = g
	}
	return all
}

// ofNetworks returns every form of both networks, by name.
func ofNetworks(t testing.TB) map[string]*graph.Graph {
	t.Helper()
	goldens, err := fixtures.Goldens()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*graph.Graph{}
	for name, golden := range goldens {
		n, err := arch.Parse(golden.Config.Arch, golden.Config.JSON())
		if err != nil {
			t.Fatal(err)
		}
		forward, err := nn.Build(n)
		if err != nil {
			t.Fatal(err)
		}
		for form, build := range map[string]func() (*graph.Graph, error){
			"forward": func() (*graph.Graph, error) { return forward, nil },
			"loss":    func() (*graph.Graph, error) { return model.WithLoss(forward) },
			"cached":  func() (*graph.Graph, error) { return model.Cached(forward, false) },
			"last":    func() (*graph.Graph, error) { return model.Cached(forward, true) },
			"step":    func() (*graph.Graph, error) { return model.Step(forward, 2, 3) },
		} {
			g, err := build()
			if err != nil {
				t.Fatalf("%s, %s: %v", name, form, err)
			}
			all[name+", "+form] = g
		}
	}
	return all
}

// wantSame checks that Parse reads what Print writes of g.
func wantSame(t *testing.T, name string, g *graph.Graph, more ...graph.Op) {
	t.Helper()
	text := printed(t, g)
	again, err := graph.Parse(text, more...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	if got := printed(t, again); got != text {
		t.Errorf("%s: printed again\n%s\nwas\n%s", name, got, text)
	}
	if graph.Fingerprint(again) != graph.Fingerprint(g) {
		t.Errorf("%s: the fingerprint changes", name)
	}
	if again.Context != g.Context || len(again.Inputs) != len(g.Inputs) || len(again.Params) != len(g.Params) || len(again.Outputs) != len(g.Outputs) {
		t.Errorf("%s: its context, inputs, parameters or outputs change", name)
	}
}

func TestParseReadsEveryOperator(t *testing.T) {
	seen := map[string]bool{}
	for name, g := range ofCases(t) {
		for _, n := range g.Nodes {
			seen[n.Op.Name()] = true
		}
		wantSame(t, name, g)
		d := mustApply(t, g, graph.DecomposeAll)
		wantSame(t, name+", decomposed", d)
	}
	for _, op := range graph.Operators() {
		switch op.(type) {
		case graph.Input, graph.Param, graph.Const:
			continue
		}
		if !seen[op.Name()] {
			t.Errorf("%s has no golden case", op.Name())
		}
	}
}

func TestParseReadsTheNetworks(t *testing.T) {
	for name, g := range ofNetworks(t) {
		wantSame(t, name, g)
	}
}

// Constants of every element type, short and long, and numbers at the edges of
// their range, under names that need quotes.
func TestParseReadsConstants(t *testing.T) {
	long := make([]float32, 40)
	long[7] = 0.1
	for i, c := range []format.Tensor{
		format.FromFloat32s("a", []int{}, []float32{1e-45}),
		format.FromFloat32s("a b", []int{2, 2}, []float32{0.1, -0, 3.4028235e38, 1e20}),
		format.FromFloat32s("\xff\n\"", []int{40}, long),
		format.FromFloat32s("output", []int{0}, []float32{}),
		format.FromFloat64s("context", []int{1}, []float64{5e-324}),
		format.FromInt64s("x=y", []int{2}, []int64{-1 << 63, 1<<63 - 1}),
		{Name: "(,)", DType: format.Bool, Shape: []int{3}, Data: []byte{0, 1, 1}},
		{Name: "half", DType: format.Float16, Shape: []int{2}, Data: []byte{1, 2, 3, 4}},
		{Name: "nan", DType: format.Float32, Shape: []int{1}, Data: []byte{1, 0, 0xc0, 0x7f}},
		{Name: "infinite", DType: format.Float32, Shape: []int{2}, Data: []byte{0, 0, 0x80, 0x7f, 0, 0, 0x80, 0xff}},
	} {
		b := graph.NewBuilder()
		b.Output(c.Name, b.Const(c))
		g := mustGraph(t, b)
		wantSame(t, fmt.Sprint(i), g)
		again, _ := graph.Parse(printed(t, g))
		if got, ok := again.Nodes[0].Results[0].Constant(); !ok || string(got.Data) != string(c.Data) {
			t.Errorf("%s: the elements are %v, were %v", c.Name, got.Data, c.Data)
		}
	}
}

// A text that a graph prints as is read; each of these departs from one in one
// place.
func TestParseRefuses(t *testing.T) {
	const head = "attnx graph 1\nx F32(2,B) = Input\nids I64(B) = Input\n" // lines 1 to 3
	deep := head + "y F32(2,B,1) = Reshape(x) shape=(2,B,1)\n"
	for name, c := range map[string]struct {
		text string
		line int
		says string
	}{
		"empty":                            {"", 0, "cut short"},
		"no header":                        {"x F32() = Input\noutput x = x\n", 1, "attnx graph 1"},
		"another version":                  {"attnx graph 2\n", 1, "attnx graph 1"},
		"only a header":                    {"attnx graph 1\n", 0, "no outputs"},
		"cut within a line":                {head + "y F32(2,B) = Neg(x", 0, "cut short"},
		"cut between lines":                {head, 0, "no outputs"},
		"an empty line":                    {head + "\noutput y = x\n", 4, "expected a name"},
		"windows line breaks":              {strings.ReplaceAll(head, "\n", "\r\n") + "output y = x\r\n", 1, "begins with"},
		"a context later":                  {head + "context 4\noutput y = x\n", 4, "line 2"},
		"a context of nothing":             {"attnx graph 1\ncontext 0\n", 2, "number of tokens"},
		"a context beyond ints":            {"attnx graph 1\ncontext 99999999999999999999\n", 2, "number of tokens"},
		"a context with a sign":            {"attnx graph 1\ncontext +4\n", 2, "form that attnx writes"},
		"a forward reference":              {head + "y F32(2,B) = Neg(z)\nz F32(2,B) = Neg(x)\noutput y = y\n", 4, `no value is called "z"`},
		"itself":                           {head + "y F32(2,B) = Neg(y)\noutput y = y\n", 4, `no value is called "y"`},
		"an unknown operator":              {head + "y F32(2,B) = Frob(x)\noutput y = y\n", 4, `no operator "Frob"`},
		"an operator that is gone":         {head + "y F32(2,B) = Sum(x)\noutput y = y\n", 4, `no operator "Sum"`},
		"a name twice":                     {head + "x F32(2,B) = Neg(x)\noutput y = x\n", 4, `two values are called "x"`},
		"a name twice in a node":           {head + "y F32(1,B), y F32(1,B) = Split(x) axis=0 sizes=[1,1]\noutput y = y\n", 4, `two values are called "y"`},
		"a quoted name that is plain":      {head + "\"y\" F32(2,B) = Neg(x)\noutput y = y\n", 4, "form that attnx writes"},
		"a name that needs quotes":         {head + "y* F32(2,B) = Neg(x)\noutput y = y*\n", 4, "form that attnx writes"},
		"a quote without end":              {head + "\"y F32(2,B) = Neg(x)\n", 4, "does not end"},
		"an empty name":                    {head + "\"\" F32(2,B) = Neg(x)\noutput y = x\n", 0, "empty"},
		"too few arguments":                {head + "y F32(2,B) = Add(x)\noutput y = y\n", 4, "takes 2 arguments"},
		"too many results":                 {head + "y F32(2,B), z F32(2,B) = Neg(x)\noutput y = y\n", 4, "1 results, the graph has 2"},
		"too few results":                  {head + "y F32(1,B) = Split(x) axis=0 sizes=[1,1]\noutput y = y\n", 4, "2 results, the graph has 1"},
		"another type":                     {head + "y F64(2,B) = Neg(x)\noutput y = y\n", 4, "said to be F64(2,B)"},
		"another shape":                    {head + "y F32(B,2) = Neg(x)\noutput y = y\n", 4, "said to be F32(B,2)"},
		"arguments of another type":        {head + "y F32(2,B) = Add(x, ids)\noutput y = y\n", 4, "I64"},
		"an unknown type":                  {head + "y F33(2,B) = Neg(x)\noutput y = y\n", 4, `no element type "F33"`},
		"a negative size":                  {"attnx graph 1\nx F32(-1) = Input\noutput y = x\n", 2, "negative size -1"},
		"a size beyond ints":               {"attnx graph 1\nx F32(99999999999999999999) = Input\noutput y = x\n", 2, "99999999999999999999"},
		"a size with a leading zero":       {"attnx graph 1\nx F32(02) = Input\noutput y = x\n", 2, "canonical"},
		"a sum in another order":           {"attnx graph 1\nx F32(T+P) = Input\noutput y = x\n", 2, "canonical"},
		"an open parameter":                {"attnx graph 1\nw F32(N) = Param init=normal(0,1)\noutput y = w\n", 2, "expected numbers"},
		"a parameter with no start":        {"attnx graph 1\nw F32(2) = Param\noutput y = w\n", 2, `"init" is missing`},
		"a start that is no number":        {"attnx graph 1\nw F32(2) = Param init=normal(NaN,1)\noutput y = w\n", 2, "distribution"},
		"an attribute is missing":          {head + "y F32(2,B) = Softmax(x)\noutput y = y\n", 4, `"axis" is missing`},
		"an attribute too many":            {head + "y F32(2,B) = Neg(x) axis=1\noutput y = y\n", 4, `no attribute "axis"`},
		"an attribute twice":               {head + "y F32(2,B) = Softmax(x) axis=1 axis=1\noutput y = y\n", 4, "given twice"},
		"an attribute without a value":     {head + "y F32(2,B) = Softmax(x) axis\noutput y = y\n", 4, "key=value"},
		"attributes in another order":      {head + "y F32(1,B) = ReduceSum(x) keepdims=true axes=[0]\noutput y = y\n", 4, "form that attnx writes"},
		"an axis from the end":             {head + "y F32(2,B) = Softmax(x) axis=-1\noutput y = y\n", 4, "axis -1"},
		"an axis that is not there":        {head + "y F32(2,B) = Softmax(x) axis=2\noutput y = y\n", 4, "axis 2"},
		"an axis beyond ints":              {head + "y F32(2,B) = Softmax(x) axis=99999999999999999999\noutput y = y\n", 4, "out of range"},
		"a number in another spelling":     {head + "y F32(2,B) = Swish(x) alpha=1.0\noutput y = y\n", 4, "form that attnx writes"},
		"a hexadecimal number":             {head + "y F32(2,B) = Swish(x) alpha=0x1p0\noutput y = y\n", 4, "form that attnx writes"},
		"not a number":                     {head + "y F32(2,B) = Swish(x) alpha=NaN\noutput y = y\n", 4, "not a number"},
		"a zero that is left out":          {deep + "y2 F32(2,B) = Identity(x)\nz F32(2,B,1,1) = Attention(x, x, x) scale=1 causal=false\n", 6, "Attention"},
		"spaces":                           {head + "y F32(2,B) = Neg( x)\noutput y = y\n", 4, "expected a name"},
		"a space at the end":               {head + "y F32(2,B) = Neg(x) \noutput y = y\n", 4, "key=value"},
		"an argument list without end":     {head + "y F32(2,B) = Neg(x\noutput y = y\n", 4, `expected ", "`},
		"a constant that is short":         {"attnx graph 1\nc F32(3) = Const value=[1,2]\noutput y = c\n", 2, "value"},
		"a constant that is no number":     {"attnx graph 1\nc F32(1) = Const value=[one]\noutput y = c\n", 2, "not a float32"},
		"a constant beyond float32":        {"attnx graph 1\nc F32(1) = Const value=[1e39]\noutput y = c\n", 2, "not a float32"},
		"a constant in other digits":       {"attnx graph 1\nc F32(1) = Const value=[0.50]\noutput y = c\n", 2, "form that attnx writes"},
		"a short constant in base64":       {"attnx graph 1\nc F32(1) = Const value=base64:AAAAPw==\noutput y = c\n", 2, "form that attnx writes"},
		"a truth that is 2":                {"attnx graph 1\nc BOOL(1) = Const value=[2]\noutput y = c\n", 2, "neither 0 nor 1"},
		"base64 that is none":              {"attnx graph 1\nc F32(1) = Const value=base64:?\noutput y = c\n", 2, "base64"},
		"a constant of an open shape":      {"attnx graph 1\nc F32(N) = Const value=[1]\noutput y = c\n", 2, "shape (N)"},
		"a constant of petabytes":          {"attnx graph 1\nc F32(1000000,1000000,1000) = Const value=[1]\noutput y = c\n", 2, "value"},
		"a constant beyond all memory":     {"attnx graph 1\nc F32(4294967296,4294967296,4294967296) = Const value=base64:\noutput y = c\n", 2, "value"},
		"an unknown role":                  {"attnx graph 1\nx F32(2) = Input role=boss\noutput y = x\n", 2, "boss"},
		"a role twice":                     {"attnx graph 1\nx F32(2) = Input role=tokens\nz F32(2) = Input role=tokens\noutput y = x\n", 0, "two inputs have the role"},
		"an output of nothing":             {head + "output y = z\n", 4, `no value is called "z"`},
		"an output twice":                  {head + "output y = x\noutput y = ids\n", 0, `"y"`},
		"an attribute of an output":        {head + "output y = x axis=1\n", 4, `no attribute "axis"`},
		"a value after the outputs":        {head + "output y = x\nz F32(2,B) = Neg(x)\n", 5, "after the outputs"},
		"a rank beyond the most":           {head + "y F32(2,B" + strings.Repeat(",1", 40) + ") = Reshape(x) shape=(2,B" + strings.Repeat(",1", 40) + ")\noutput y = y\n", 4, "more than 32 dimensions"},
		"a slice beyond the end":           {head + "y F32(5,B) = Slice(x) axis=0 start=0 limit=5\noutput y = y\n", 4, "positions 0 to 5"},
		"a split that does not add up":     {head + "y F32(1,B), z F32(2,B) = Split(x) axis=0 sizes=[1,2]\noutput y = y\n", 4, "Split"},
		"a permutation with one twice":     {head + "y F32(2,2) = Transpose(x) perm=[0,0]\noutput y = y\n", 4, "Transpose"},
		"a reshape to more elements":       {head + "y F32(3,B) = Reshape(x) shape=(3,B)\noutput y = y\n", 4, "Reshape"},
		"a reshape to the wrong dimension": {head + "y F32(2,C) = Reshape(x) shape=(2,C)\noutput y = y\n", 4, "Reshape"},
	} {
		_, err := graph.Parse(c.text)
		var at *graph.ParseError
		switch {
		case err == nil:
			t.Errorf("%s: accepted", name)
		case !errors.As(err, &at) || at.Line != c.line || !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v, want line %d and %q", name, err, c.line, c.says)
		case strings.Contains(err.Error(), "\n") || len(err.Error()) > 600:
			t.Errorf("%s: the message is %d bytes, or has a line break", name, len(err.Error()))
		}
	}
}

// Sizes say nothing of memory: shapes of billions of elements are types alone.
func TestParseDoesNotAllocateWhatShapesSay(t *testing.T) {
	text := "attnx graph 1\nw F32(1000000,1000000) = Param init=normal(0,1)\n" +
		"f F32(1000000,1000000) = ConstantOfShape() shape=(1000000,1000000) fill=0\n" +
		"r I64(9000000000000000000) = Range() start=0 limit=9000000000000000000\n" +
		"o F32(9000000000000000000,1000000000) = OneHot(r) depth=1000000000\n" +
		"s F32(1000000,1000000) = Add(w, f)\noutput y = s\noutput o = o\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	g, err := graph.Parse(text)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes for a text of %d", used, len(text))
	}
	wantSame(t, "huge", g)
	for _, pass := range []graph.Pass{graph.Fold, graph.Merge, graph.Precompute(1 << 30), graph.Bind(nil), graph.Prune} {
		runtime.ReadMemStats(&before)
		if _, err := pass(g); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("a pass takes %d bytes for a text of %d", used, len(text))
		}
	}
}

// A long text takes memory in proportion: twice the lines, about twice the
// bytes.
func TestParseGrowsWithTheText(t *testing.T) {
	chain := func(lines int) string {
		var sb strings.Builder
		sb.WriteString("attnx graph 1\nx0 F32(B,T) = Input\n")
		for i := range lines {
			fmt.Fprintf(&sb, "x%d F32(B,T) = Add(x%d, x%d)\n", i+1, i, i/2)
		}
		fmt.Fprintf(&sb, "output y = x%d\n", lines)
		return sb.String()
	}
	used := func(lines int) uint64 {
		var before, after runtime.MemStats
		text := chain(lines)
		runtime.ReadMemStats(&before)
		g, err := graph.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		graph.Fingerprint(g) // of a graph as deep as it is long
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := used(10_000), used(100_000)
	if large > 15*small {
		t.Errorf("100000 lines take %d bytes, 10000 take %d", large, small)
	}
}

// No chain of operators makes the rank grow without end.
func TestRankIsBounded(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Int64, graph.Numbers(1, 1, 1, 1, 1, 1, 1, 1)...)
	for range 10 { // each adds the rank of its ids
		x = b.Gather(x, x)
	}
	b.Output("y", x)
	_, err := b.Graph()
	wantError(t, err, "parse_test.go:", "dimensions, at most 32")
	b = graph.NewBuilder()
	b.Output("y", b.Input("x", format.Float32, graph.Numbers(make([]int, 33)...)...))
	_, err = b.Graph()
	wantError(t, err, "33 dimensions, at most 32")
}

func TestParseOp(t *testing.T) {
	for _, text := range []string{"Softmax axis=1", "Neg", "Reshape shape=(B,-T+8)", `Gelu approximate="tanh"`} {
		op, err := graph.ParseOp(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if name, _, _ := strings.Cut(text, " "); op.Name() != name {
			t.Errorf("%s: it is called %s", text, op.Name())
		}
	}
	for text, says := range map[string]string{
		"": "no operator", "Frob": "no operator", "Softmax": "missing", "Softmax axis=": "invalid syntax", "Softmax  axis=1": "missing", "Neg axis=1": "no attribute",
	} {
		_, err := graph.ParseOp(text)
		wantError(t, err, says)
	}
}

// FuzzParse: what is accepted is printed as it was.
func FuzzParse(f *testing.F) {
	for _, g := range ofCases(f) {
		var sb strings.Builder
		if err := graph.Print(&sb, g); err != nil {
			f.Fatal(err)
		}
		if sb.Len() < 1000 {
			f.Add(sb.String())
		}
	}
	f.Add(networkText)
	f.Add("attnx graph 1\ncontext 4\nids I64(B,T) = Input role=tokens\nc F32(2) = Const value=[0.5,-0]\n\"a b\" F32(2) = Neg(c)\noutput y = ids role=hidden\n")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := graph.Parse(text)
		if err != nil {
			var at *graph.ParseError
			if !errors.As(err, &at) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		var sb strings.Builder
		if err := graph.Print(&sb, g); err != nil || sb.String() != text {
			t.Errorf("accepted %q, printed %q (%v)", text, sb.String(), err)
		}
		graph.Fingerprint(g)
	})
}
