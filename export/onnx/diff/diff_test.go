package diff_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/diff"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// reported compares a model with an edited one.
func reported(t *testing.T, a, b *onnx.Model) *diff.Report {
	t.Helper()
	m, err := diff.Match(diff.File{Model: a}, diff.File{Model: b})
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Report()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// everyEdit makes edits of every kind in a model, most of them in a copy of which all
// inner names and the order of nodes are others. Each report must name exactly the
// edit.
func everyEdit(t *testing.T, name string, m *onnx.Model, each int) {
	t.Helper()
	made := map[string]int{}
	for _, kind := range slices.Sorted(maps.Keys(edits)) {
		for k := range each {
			e, want := drawn(kind, m, uint64(k))
			if e == nil {
				break
			}
			if k > 0 {
				disguise(e.Model, rand.New(rand.NewPCG(uint64(k), 2)))
			}
			made[kind]++
			if got := reported(t, m, e.Model); !exactly(want, got) {
				t.Errorf("%s: %s %d: want %+v, got %d changes", name, kind, k, want, len(got.Changes))
				for _, c := range got.Changes[:min(6, len(got.Changes))] {
					t.Errorf("   %.300s", c)
				}
			}
		}
	}
	if len(made) < 10 {
		t.Errorf("%s: only %d kinds of edits", name, len(made))
	}
}

// drawn returns a model with a drawn edit; nil if the model has no place for it.
func drawn(kind string, m *onnx.Model, seed uint64) (*editor, edited) {
	r := rand.New(rand.NewPCG(seed, uint64(len(kind))))
	for range 200 {
		e := newEditor(m, r)
		if want, ok := edits[kind](e); ok {
			return e, want
		}
	}
	return nil, edited{}
}

// exactly reports whether a report names an edit and nothing else.
func exactly(want edited, got *diff.Report) bool {
	if want.kind == "" {
		return got.Equal()
	}
	if len(got.Changes) != 1 {
		return false
	}
	c := got.Changes[0]
	return c.Kind == want.kind && (want.node == "" || want.node == c.Node) && (want.name == "" || want.name == c.Name)
}

// exported returns a network in a form.
func exported(t testing.TB, network nn.Network, p export.Profile) *onnx.Model {
	t.Helper()
	c, err := model.New(network, 1)
	if err != nil {
		t.Fatal(err)
	}
	g := c.Graph
	if _, cached := p.(export.Cache); cached {
		if g, err = model.Cached(g, false); err != nil {
			t.Fatal(err)
		}
	}
	m, err := export.Model(g, c.Weights, p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func gpt2(layers int) arch.GPT2 {
	return arch.GPT2{Vocab: 16, Context: 8, Width: 8, Layers: layers, Heads: 2, Inner: 32, Epsilon: 1e-5}
}

func TestEdits(t *testing.T) {
	each := 2
	if fixtures.Exhaustive() {
		each = 20
	}
	everyEdit(t, "plain", exported(t, gpt2(2), export.Plain{}), each)
	everyEdit(t, "cache", exported(t, gpt2(2), export.Cache{}), each)
}

// Exports of PyTorch, and models from packages, with edits.
func TestEditsInModelsOfOthers(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if !fixtures.Exhaustive() || python == "" {
		t.Skip("set ATTNX_EXHAUSTIVE=1, and ATTNX_PYTHON to a Python with PyTorch, to compare its exports")
	}
	folder := t.TempDir()
	for _, script := range []string{"torch_exports.py", "packaged_models.py"} {
		out, err := exec.Command(python, "-B", filepath.Join("..", "..", "..", "fixtures", "oracle", script), folder).CombinedOutput()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
			t.Logf("%s: %.200s", script, out)
		} else if err != nil {
			t.Fatalf("%s: %v: %.2000s", script, err, out)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "torch", "*", "model.onnx"))
	packaged, _ := filepath.Glob(filepath.Join(folder, "*.onnx"))
	if err != nil || len(files)+len(packaged) < 3 {
		t.Fatalf("%v, %v, %v", files, packaged, err)
	}
	for _, path := range append(files, packaged...) {
		m, err := onnx.ReadFileAs(path, onnx.CheckStructure)
		if err != nil {
			t.Fatal(err)
		}
		everyEdit(t, path, m, 3)
	}
}

// A file of others with control flow, functions, attributes of every type is equal to
// itself.
func TestEqualToItself(t *testing.T) {
	files, err := filepath.Glob("../../../fixtures/onnx/*.onnx")
	if err != nil || len(files) < 10 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, path := range files {
		m, err := onnx.DecodeFile(path)
		if err != nil || m.Graph == nil {
			continue
		}
		dir := diff.File{Model: m, Dir: filepath.Dir(path)}
		x, err := diff.Match(dir, dir)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if r, err := x.Report(); err != nil || !r.Equal() || r.Nodes.A != r.Nodes.Matched {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
}

// small returns a model of nodes from x to y.
func small(nodes ...*onnx.Node) *onnx.Model {
	v := func(name string) []onnx.ValueInfo {
		return []onnx.ValueInfo{{Name: name, DataType: onnx.Float, NoShape: true}}
	}
	return &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 20}}, Graph: &onnx.Graph{Name: "g", Inputs: v("x"), Outputs: v("y"), Nodes: nodes}}
}

func step(op, from, to string, attributes ...onnx.Attribute) *onnx.Node {
	return &onnx.Node{Op: op, Name: to, Inputs: strings.Fields(from), Outputs: []string{to}, Attributes: attributes}
}

// chain returns operators one behind the other, with numbers as names.
func chain(ops ...string) *onnx.Model {
	var nodes []*onnx.Node
	from := "x"
	for i, op := range ops {
		to := fmt.Sprint("v", i)
		if i == len(ops)-1 {
			to = "y"
		}
		nodes = append(nodes, step(op, from, to))
		from = to
	}
	return small(nodes...)
}

// Between two changes of a network without weights, only the neighbourhood tells
// nodes apart.
func TestSeveralChanges(t *testing.T) {
	var ops []string
	for range 50 {
		ops = append(ops, "Relu", "Sigmoid")
	}
	more := slices.Insert(slices.Clone(ops), 30, "Tanh")
	more = slices.Insert(more, 61, "Tanh")
	more[80] = "Tanh"
	r := reported(t, chain(ops...), chain(more...))
	kinds := map[diff.Kind]int{}
	for _, c := range r.Changes {
		kinds[c.Kind]++
	}
	if !maps.Equal(kinds, map[diff.Kind]int{diff.NodeAdded: 2, diff.Operator: 1}) {
		t.Errorf("%v: %v", kinds, r.Changes)
	}
	r = reported(t, chain(more...), chain(ops...))
	if len(r.Changes) != 3 || r.Changes[1].Kind != diff.NodeRemoved {
		t.Errorf("%v", r.Changes)
	}
}

// What newer versions of an operator take as an input, and what is so by default, is
// no difference.
func TestEquivalentForms(t *testing.T) {
	ints := func(name string, v ...int64) *onnx.Tensor {
		m := &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(len(v))}, Raw: []byte{}}
		for _, x := range v {
			m.Raw = append(m.Raw, byte(x), 0, 0, 0, 0, 0, 0, 0)
		}
		return m
	}
	a := small(step("ReduceMean", "x", "m", onnx.IntsAttr("axes", 1), onnx.IntAttr("keepdims", 1)), step("Transpose", "m", "t", onnx.IntsAttr("perm", 1, 0)), step("Unsqueeze", "t", "y", onnx.IntsAttr("axes", 0)))
	a.Opsets[0].Version = 11
	b := small(step("ReduceMean", "x axes", "m"), step("Transpose", "m", "t"), step("Unsqueeze", "t zero", "y"))
	b.Graph.Initializers = []*onnx.Tensor{ints("axes", 1), ints("zero", 0)}
	if r := reported(t, a, b); len(r.Changes) != 1 || r.Changes[0].Kind != diff.Opset {
		t.Errorf("%v", r.Changes)
	}
	b.Graph.Initializers[0] = ints("axes", 2)
	if r := reported(t, a, b); len(r.Changes) != 2 || r.Changes[1].Kind != diff.Attribute || r.Changes[1].Name != "axes" || r.Changes[1].To != "int64 (1) [2]" {
		t.Errorf("%v", r.Changes)
	}
	// Softmax's default is another axis since version 13.
	a, b = small(step("Softmax", "x", "y")), small(step("Softmax", "x", "y"))
	a.Opsets[0].Version = 11
	if r := reported(t, a, b); len(r.Changes) != 2 || r.Changes[1].String() != "attribute: y (Softmax); axis: 1 (the default) → -1 (the default)" {
		t.Errorf("%v", r.Changes)
	}
}

// A change inside a subgraph or a function is named there, and nowhere else.
func TestInnerGraphs(t *testing.T) {
	branch := func(op, name string) *onnx.Graph {
		return &onnx.Graph{Name: name, Nodes: []*onnx.Node{step(op, "x", name+"1"), step("Add", name+"1 scale", name+"2")}, Outputs: []onnx.ValueInfo{{Name: name + "2", NoShape: true}}}
	}
	with := func(op, prefix string) *onnx.Model {
		m := small(step("ReduceMax", "x", "c"), step("Cast", "c", "condition", onnx.IntAttr("to", 9)),
			step("If", "condition", "r", onnx.Attribute{Name: "then_branch", Type: onnx.AttrGraph, Graph: branch(op, prefix+"t")},
				onnx.Attribute{Name: "else_branch", Type: onnx.AttrGraph, Graph: branch("Neg", prefix+"e")}),
			&onnx.Node{Op: "Twice", Name: "y", Domain: "mine", Inputs: []string{"r"}, Outputs: []string{"y"}})
		m.Graph.Initializers = []*onnx.Tensor{{Name: "scale", DataType: onnx.Float, Dims: []int64{}, Raw: []byte{0, 0, 128, 63}}}
		m.Functions = []*onnx.Function{{Name: "Twice", Domain: "mine", Inputs: []string{"a"}, Outputs: []string{prefix + "b"}, Nodes: []*onnx.Node{step("Add", "a a", prefix+"b")}}}
		return m
	}
	a := with("Relu", "")
	if r := reported(t, a, with("Relu", "other.")); !r.Equal() || r.Nodes.Matched != 9 {
		t.Errorf("%+v", r)
	}
	if r := reported(t, a, with("Exp", "other.")); len(r.Changes) != 1 || r.Changes[0].Kind != diff.Operator || r.Changes[0].Where != "then_branch of r (If)" {
		t.Errorf("%+v", r.Changes)
	}
	b := with("Relu", "other.")
	b.Functions[0].Nodes[0].Op = "Mul"
	if r := reported(t, a, b); len(r.Changes) != 1 || r.Changes[0].Kind != diff.Operator || r.Changes[0].Where != "function mine.Twice" {
		t.Errorf("%+v", r.Changes)
	}
	b = with("Relu", "")
	b.Functions[0].Name, b.Graph.Nodes[3].Op = "Double", "Double"
	if r := reported(t, a, b); !r.Equal() {
		t.Errorf("%+v", r.Changes)
	}
	b = with("Relu", "")
	b.Graph.Initializers[0].Raw = []byte{0, 0, 0, 64}
	if r := reported(t, a, b); len(r.Changes) != 1 || r.Changes[0].Kind != diff.Elements || r.Changes[0].Tensor.Changed != 1 {
		t.Errorf("%+v", r.Changes)
	}
}

// Weights that were joined are named as such.
func TestJoined(t *testing.T) {
	floats := func(name string, dims []int64, from byte) *onnx.Tensor {
		n := dims[0] * dims[1]
		x := &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims}
		for i := range n {
			x.Raw = append(x.Raw, 0, byte(i), from, 63)
		}
		return x
	}
	a := small(step("MatMul", "x q", "a"), step("MatMul", "x k", "b"), step("Add", "a b", "y"))
	q, k := floats("q", []int64{2, 3}, 1), floats("k", []int64{2, 3}, 9)
	a.Graph.Initializers = []*onnx.Tensor{q, k}
	split := &onnx.Node{Op: "Split", Name: "split", Inputs: []string{"qk"}, Outputs: []string{"a", "b"}, Attributes: []onnx.Attribute{onnx.IntAttr("axis", -1), onnx.IntAttr("num_outputs", 2)}}
	b := small(step("MatMul", "x w", "qk"), split, step("Add", "a b", "y"))
	w := floats("w", []int64{2, 6}, 0)
	w.Raw = slices.Concat(q.Raw[:12], k.Raw[:12], q.Raw[12:], k.Raw[12:])
	b.Graph.Initializers = []*onnx.Tensor{w}
	for _, pair := range []struct {
		a, b *onnx.Model
		kind diff.Kind
	}{{a, b, diff.Joined}, {b, a, diff.Parted}} {
		r := reported(t, pair.a, pair.b)
		if !slices.ContainsFunc(r.Changes, func(c diff.Change) bool { return c.Kind == pair.kind }) {
			t.Errorf("%v", r.Changes)
		}
	}
}

// A network of many equal layers without weights of its own, in which a node is
// missing, one is more, and one has another attribute: three changes. Two cores take
// seconds for 100,000 nodes.
func TestManyNodes(t *testing.T) {
	layers := 400
	if fixtures.Exhaustive() {
		layers = 20000
	}
	build := func(edit func(layer int, nodes []*onnx.Node) []*onnx.Node) *onnx.Model {
		var nodes []*onnx.Node
		from := "x"
		for i := range layers {
			v := func(name string) string { return fmt.Sprint(name, i) }
			to := v("y")
			if i == layers-1 {
				to = "y"
			}
			nodes = append(nodes, edit(i, []*onnx.Node{
				step("Relu", from, v("a")), step("LeakyRelu", v("a"), v("b"), onnx.FloatAttr("alpha", 0.1)), step("Sigmoid", v("a"), v("c")),
				step("Mul", v("b")+" "+v("c"), v("d")), step("Add", v("d")+" "+from, to),
			})...)
			from = to
		}
		return small(nodes...)
	}
	a := build(func(_ int, nodes []*onnx.Node) []*onnx.Node { return nodes })
	b := build(func(layer int, nodes []*onnx.Node) []*onnx.Node {
		switch layer {
		case layers / 4:
			nodes[3].Inputs[0] = nodes[1].Inputs[0]
			return slices.Delete(nodes, 1, 2)
		case layers / 2:
			nodes[1].Attributes[0].Float = 0.2
		case layers * 3 / 4:
			nodes[3].Inputs[1] = "extra"
			return slices.Insert(nodes, 3, step("Tanh", nodes[2].Outputs[0], "extra"))
		}
		return nodes
	})
	disguise(b, rand.New(rand.NewPCG(1, 1)))
	r := reported(t, a, b)
	var kinds []string
	for _, c := range r.Changes {
		kinds = append(kinds, string(c.Kind))
	}
	if slices.Sort(kinds); !slices.Equal(kinds, []string{"attribute", "node added", "node removed"}) || r.Nodes.Matched != r.Nodes.A-1 {
		t.Errorf("%d changes, %+v: %.2000v", len(r.Changes), r.Nodes, r.Changes[:min(10, len(r.Changes))])
	}
}
