package export_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/flat"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/onnxgo"
	"github.com/attnx/attnx/runtime/ort"
)

// llama is a network that attnx does not ship: RMS norms, rotary positions,
// queries that share keys and values, SwiGLU, a head of its own.
type llama struct {
	Heads, Groups int
	HeadWidth     int // D
	Rotary        nn.Rotary
	Window        int
}

func (llama) Architecture() string { return "somebody/llama" }

func (n llama) Forward(b *nn.Builder) {
	const layers, epsilon, inner = 2, 1e-5, 40
	d, normal := n.HeadWidth, graph.Normal(0.2)
	width := n.Heads * d
	x := b.Embedding("embed", b.Tokens(longest), vocab, width, normal) // (B,T,C)
	for i := range layers {
		b := b.Scope(fmt.Sprintf("layers.%d", i))
		y := b.RMSNorm("input_norm", x, width, epsilon)
		q := b.Project("q", y, width, width, normal)      // (B,T,H·D)
		k := b.Project("k", y, width, n.Groups*d, normal) // (B,T,G·D)
		v := b.Project("v", y, width, n.Groups*d, normal) // (B,T,G·D)
		heads := nn.Attention{Heads: n.Heads, KVHeads: n.Groups, Width: d, Causal: true, Window: n.Window, Rotary: &n.Rotary}
		y = b.Project("o", b.Attention("attn", heads, q, k, v), width, width, normal)
		x = b.Name("attended", b.Add(x, y)) // (B,T,C)
		y = b.RMSNorm("post_norm", x, width, epsilon)
		gate := b.SiLU(b.Project("gate", y, width, inner, normal))              // (B,T,F)
		y = b.Mul(gate, b.Project("up", y, width, inner, normal))               // (B,T,F)
		x = b.Name("out", b.Add(x, b.Project("down", y, inner, width, normal))) // (B,T,C)
	}
	b.Logits(b.Project("head", b.RMSNorm("norm", x, width, epsilon), width, vocab, normal)) // (B,T,V)
}

// llamas are its forms.
var llamas = map[string]llama{
	"grouped queries":                {Heads: 4, Groups: 2, HeadWidth: 8, Rotary: nn.Rotary{Theta: 10000}},
	"one head of keys":               {Heads: 3, Groups: 1, HeadWidth: 16, Rotary: nn.Rotary{Theta: 10000}},
	"a key for each query, a window": {Heads: 2, Groups: 2, HeadWidth: 8, Rotary: nn.Rotary{Theta: 500}, Window: 3},
	"neighbours, half of a head":     {Heads: 2, Groups: 1, HeadWidth: 32, Rotary: nn.Rotary{Theta: 10000, Width: 16, Interleaved: true, Scale: 1.25}},
}

func (n llama) shape(shared bool) runtime.CacheShape {
	return runtime.CacheShape{Layers: 2, Heads: n.Groups, HeadWidth: n.HeadWidth, Context: longest, Positions: true, Window: n.Window > 0, Shared: shared, DType: format.Float32}
}

// A network of somebody else's runs in every profile and gives the oracle's
// logits.
func TestNetworkOfSomebodyElse(t *testing.T) {
	for name, n := range llamas {
		t.Run(name, func(t *testing.T) {
			g, w := network(t, n)
			whole := oracle(t, g, w)
			cases := someOf(runtime.Cases(vocab, longest, 1))
			for _, opset := range []int{17, 21} {
				t.Run(fmt.Sprintf("plain-%d", opset), func(t *testing.T) {
					s := open(t, written(t, g, w, export.Plain{Opset: opset}))
					for _, c := range cases {
						within(t, c.String(), run(t, whole, c.Inputs())["logits"], run(t, s, c.Inputs())["logits"])
					}
				})
			}
			for _, fuse := range []bool{false, true} {
				t.Run(map[bool]string{false: "cache", true: "fused"}[fuse], func(t *testing.T) {
					n.cached(t, g, w, fuse, cases)
				})
			}
			for _, length := range []int{1, 8, longest} {
				t.Run(fmt.Sprintf("flat-%d", length), func(t *testing.T) { flatAgrees(t, g, w, length) })
			}
		})
	}
}

// ONNX Runtime's own operators take the rotation of queries and keys where they
// can, which they cannot in heads of 8, and all norms of sums.
func TestFusedNetworkOfSomebodyElse(t *testing.T) {
	for name, n := range llamas {
		g, w := network(t, n)
		count := map[string]int{}
		for _, node := range written(t, g, w, export.Cache{Fuse: true}).Graph.Nodes {
			count[node.Op]++
			for _, a := range node.Attributes {
				if a.Name == "do_rotary" {
					count["rotary"]++
				}
			}
		}
		rotary, outside := 2, 0
		if n.HeadWidth < 16 {
			rotary, outside = 0, 1
		}
		if count["GroupQueryAttention"] != 2 || count["rotary"] != rotary || count["Cos"] != outside || count["SkipSimplifiedLayerNormalization"] != 4 || count["Sqrt"] != 1 {
			t.Errorf("%s: %v", name, count)
		}
	}
}

// someOf returns the first cases, of single tokens and of the full context, and every
// eighth of the others; where every case is tried, all.
func someOf(cases []runtime.Case) []runtime.Case {
	some := slices.Clone(cases[:4])
	for i := 4; i < len(cases); i += fixtures.Stride(8) {
		some = append(some, cases[i])
	}
	return some
}

// flatAgrees compares the flat form of a network with the oracle: its logits in
// ONNX Runtime and in onnx-go, and its form.
func flatAgrees(t *testing.T, g *graph.Graph, w []format.Tensor, length int) {
	t.Helper()
	m := written(t, g, w, export.Flat{Length: length})
	flatForm(t, m)
	c := runtime.NewCase(1, length, vocab, 3)
	want := run(t, oracle(t, g, w), c.Inputs())["logits"]
	var file bytes.Buffer
	if err := m.Encode(&file); err != nil {
		t.Fatal(err)
	}
	other, err := onnxgo.OpenBytes(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	within(t, "onnx-go", want, run(t, other, c.Inputs())["logits"])
	want.Shape = want.Shape[1:] // (T,V)
	within(t, "ONNX Runtime", want, run(t, open(t, m), map[string]format.Tensor{flat.OneHotInput: oneHot(c.IDs)})["logits"])
}

// cached runs the network with a past in every way that a text can be computed
// then: its logits, and the keys and values that it hands on.
func (n llama) cached(t *testing.T, g *graph.Graph, w []format.Tensor, fuse bool, cases []runtime.Case) {
	present, err := graph.KeysAndValues(g)
	if err != nil {
		t.Fatal(err)
	}
	whole := oracle(t, present, w)
	for _, last := range []bool{false, true} {
		c, err := model.Cached(g, last)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, written(t, c, w, export.Cache{Fuse: fuse}))
		shape := n.shape(fuse)
		for _, way := range shape.Ways() {
			session := runtime.Cached(s, shape, way)
			for _, k := range cases {
				want, got := run(t, whole, k.Inputs()), run(t, session, k.Inputs())
				want["logits"] = runtime.LastRows(want["logits"], got["logits"])
				if len(got) != len(want) {
					t.Fatalf("%d results, expected %d", len(got), len(want))
				}
				for name, x := range want {
					within(t, fmt.Sprintf("%s, last alone %v, %s: %s", way, last, k, name), x.WithName(name), got[name].WithName(name))
				}
			}
		}
	}
}

// The ONNX project's checker accepts it in every profile.
func TestPythonCheckerNetworkOfSomebodyElse(t *testing.T) {
	interpreter, script := python(t, "onnx", "check_onnx.py")
	dir := t.TempDir()
	args := []string{script}
	for name, n := range llamas {
		g, w := network(t, n)
		past, err := model.Cached(g, false)
		if err != nil {
			t.Fatal(err)
		}
		for profile, c := range map[string]struct {
			graph *graph.Graph
			form  export.Profile
		}{
			"plain-17": {g, export.Plain{}},
			"plain-21": {g, export.Plain{Opset: 21}},
			"cache":    {past, export.Cache{}},
			"fused":    {past, export.Cache{Fuse: true}},
			"flat":     {g, export.Flat{}},
			"flat-9":   {g, export.Flat{Length: 8, Opset: 9}},
		} {
			path := filepath.Join(dir, name+"-"+profile+".onnx")
			writeModel(t, path, written(t, c.graph, w, c.form))
			args = append(args, path)
		}
	}
	if out, err := exec.Command(interpreter, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// In 16 bits it stays within their bound too: at places that float16 cannot
// tell apart, and with numbers whose squares it does not have. ONNX Runtime's
// CPU computes in float32 whatever the file says, so the file's types are looked
// at as well.
func TestHalfOfSomebodyElse(t *testing.T) {
	n := llamas["grouped queries"]
	g, w := network(t, n)
	for i, x := range w {
		if x.Name == "embed.weight" {
			v, err := x.Float32s()
			if err != nil {
				t.Fatal(err)
			}
			for j := range v {
				v[j] *= 2000
			}
			w[i] = format.FromFloat32s(x.Name, x.Shape, v)
		}
	}
	past, err := model.Cached(g, false)
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]format.Tensor{
		"input_ids":      format.FromInt64s("input_ids", []int{1, 4}, []int64{1, 2, 3, 4}),
		"attention_mask": format.FromInt64s("attention_mask", []int{1, 4}, []int64{1, 1, 1, 1}),
		"position_ids":   format.FromInt64s("position_ids", []int{1, 4}, []int64{7001, 7002, 7003, 7004}),
	}
	half := map[string]format.Tensor{}
	for _, v := range past.Inputs {
		if x, given := in[v.Name]; given {
			half[v.Name] = x
			continue
		}
		in[v.Name] = format.FromFloat32s(v.Name, []int{1, n.Groups, 0, 8}, nil)
		half[v.Name] = format.Tensor{Name: v.Name, DType: format.Float16, Shape: []int{1, n.Groups, 0, 8}, Data: []byte{}}
	}
	want := run(t, oracle(t, past, w), in)["logits"]
	m := written(t, past, w, export.Cache{DType: format.Float16})
	types := typesOf(m)
	found := map[string]int{}
	for _, n := range m.Graph.Nodes {
		switch n.Op {
		case "Sin", "Cos", "ReduceMean", "Sqrt", "Softmax":
			found[n.Op]++
			if types[n.Inputs[0]] != onnx.Float || types[n.Outputs[0]] != onnx.Float {
				t.Errorf("%s %s reads %s and gives %s", n.Op, n.Name, types[n.Inputs[0]], types[n.Outputs[0]])
			}
		}
	}
	if len(found) != 5 {
		t.Errorf("of five operators there are %v", found)
	}
	for name, want := range map[string]onnx.DataType{
		"embed.weight": onnx.Float16, "layers.0.q.weight": onnx.Float16, "layers.0.attended": onnx.Float16, "past_key_values.1.value": onnx.Float16,
		"layers.0.input_norm.normalized": onnx.Float, "layers.0.input_norm": onnx.Float, "layers.0.rotaryembedding_1.angles": onnx.Float,
		"layers.0.rotaryembedding_1.cast_1": onnx.Float,
		"layers.1.attn.scores":              onnx.Float16, "layers.1.attn.masked": onnx.Float, "logits": onnx.Float,
	} {
		if types[name] != want {
			t.Errorf("%s is %s, expected %s", name, types[name], want)
		}
	}
	if d := runtime.CompareWithin(4e-2, want, run(t, openAt(t, m, ort.OptimizeNone), half)["logits"]); !d.Within {
		t.Errorf("%v %s", d.FirstBad, d.Reason)
	} else {
		t.Logf("largest error %.2e", d.MaxAbs)
	}
}

// What ArgMax gives are integers, in 16 bits too.
func TestHalfOfArgMax(t *testing.T) {
	g, w := network(t, made(func(b *nn.Builder) {
		x := b.Embedding("table", b.Tokens(longest), vocab, 16, graph.Normal(0.5))
		largest := b.Apply(graph.ArgMax{Axis: 2}, 1, x)[0] // (B,T)
		y := b.Project("head", x, 16, vocab, graph.Normal(0.5))
		b.Logits(b.Add(y, b.Gather(b.Param("by_largest", graph.Normal(1), 16, vocab), largest)))
	}))
	c := runtime.NewCase(2, 5, vocab, 1)
	want := run(t, oracle(t, g, w), c.Inputs())["logits"]
	got := run(t, open(t, written(t, g, w, export.Plain{DType: format.Float16})), c.Inputs())["logits"]
	if d := runtime.CompareWithin(4e-2, want, got); !d.Within {
		t.Errorf("%v %s", d.FirstBad, d.Reason)
	}
}

// typesOf returns the element types that a model declares, and those of casts.
func typesOf(m *onnx.Model) map[string]onnx.DataType {
	types := map[string]onnx.DataType{}
	for _, v := range slices.Concat(m.Graph.Inputs, m.Graph.Outputs, m.Graph.Values) {
		types[v.Name] = v.DataType
	}
	for _, x := range m.Graph.Initializers {
		types[x.Name] = x.DataType
	}
	for _, n := range m.Graph.Nodes {
		for _, a := range n.Attributes {
			if n.Op == "Cast" && a.Name == "to" {
				types[n.Outputs[0]] = onnx.DataType(a.Int)
			}
		}
	}
	return types
}
