package attnx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/cut"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

// seeded is a fault put into a file: the nodes at which it may be located, and its
// kind.
type seeded struct {
	kind, what string
	at         []string // results of the nodes
}

// faultMaker puts faults into copies of a file.
type faultMaker struct {
	path   string
	values map[string]exact // of the right file, in one case
	draw   func(n int) int
}

// try alters a model by a fault of the given kind; false if the place that it drew
// has none.
func (f *faultMaker) try(kind string, m *onnx.Model) (s seeded, ok bool) {
	i := f.draw(len(m.Graph.Nodes))
	n := m.Graph.Nodes[i]
	s = seeded{kind: kind, at: n.Outputs}
	switch kind {
	case "wiring":
		return s, f.rewire(m, i, &s)
	case "attribute":
		if len(n.Attributes) == 0 || n.Op == "Constant" {
			return s, false
		}
		a := &n.Attributes[f.draw(len(n.Attributes))]
		s.what = fmt.Sprintf("%s of %s", a.Name, n.Outputs[0])
		if a.Name == "to" {
			return s, false
		}
		switch a.Type {
		case onnx.AttrInt:
			a.Int += int64(1 - 2*f.draw(2))
		case onnx.AttrFloat:
			a.Float = a.Float*1.25 + 0.125
		case onnx.AttrInts:
			if a.Ints = slices.Clone(a.Ints); len(a.Ints) > 1 && a.Ints[0] != a.Ints[len(a.Ints)-1] {
				slices.Reverse(a.Ints)
			} else if len(a.Ints) > 0 {
				a.Ints[0]++
			}
		default:
			return s, false
		}
		return s, true
	case "type":
		if n.Op == "Cast" {
			to := &n.Attributes[0].Int
			other := map[onnx.DataType]onnx.DataType{onnx.Float: onnx.Float16, onnx.Int64: onnx.Int8, onnx.Int32: onnx.Float, onnx.Bool: onnx.Int64}[onnx.DataType(*to)]
			if other == 0 {
				other = onnx.Float16
			}
			*to = int64(other)
			s.what = "Cast to " + other.String()
			return s, true
		}
		for j, in := range n.Inputs {
			if v, ok := f.values[in]; ok && v.dtype == format.Float32 { // an edge in half precision
				half, single := "half."+in, "single."+in
				cast := func(from, to string, t onnx.DataType) *onnx.Node {
					return &onnx.Node{Op: "Cast", Name: to, Inputs: []string{from}, Outputs: []string{to}, Attributes: []onnx.Attribute{onnx.IntAttr("to", int64(t))}}
				}
				n.Inputs = slices.Clone(n.Inputs)
				n.Inputs[j] = single
				m.Graph.Nodes = slices.Insert(m.Graph.Nodes, i, cast(in, half, onnx.Float16), cast(half, single, onnx.Float))
				s.what = "half precision into " + n.Outputs[0]
				return s, true
			}
		}
		return s, false
	}
	return f.reweigh(m, &s)
}

// rewire gives a node an earlier value of the same type and shape.
func (f *faultMaker) rewire(m *onnx.Model, i int, s *seeded) bool {
	n := m.Graph.Nodes[i]
	if len(n.Inputs) == 0 {
		return false
	}
	j := f.draw(len(n.Inputs))
	was, ok := f.values[n.Inputs[j]]
	if !ok {
		return false
	}
	var others []string
	for _, before := range m.Graph.Nodes[:i] {
		for _, v := range before.Outputs {
			if x, ok := f.values[v]; ok && v != n.Inputs[j] && x.dtype == was.dtype && slices.Equal(x.Shape, was.Shape) && !bytes.Equal(x.Data, was.Data) {
				others = append(others, v)
			}
		}
	}
	if len(others) == 0 {
		return false
	}
	n.Inputs = slices.Clone(n.Inputs)
	n.Inputs[j] = others[f.draw(len(others))]
	s.what = fmt.Sprintf("input %d of %s is %s", j, n.Outputs[0], n.Inputs[j])
	return true
}

// reweigh alters an initializer of floating-point numbers.
func (f *faultMaker) reweigh(m *onnx.Model, s *seeded) (seeded, bool) {
	t := m.Graph.Initializers[f.draw(len(m.Graph.Initializers))]
	if t.External != nil || len(t.Raw) == 0 || t.DataType != onnx.Float && t.DataType != onnx.Int8 && t.DataType != onnx.Uint8 {
		return *s, false
	}
	s.what, s.at = "weight "+t.Name, nil
	for _, n := range m.Graph.Nodes {
		if slices.Contains(n.Inputs, t.Name) {
			s.at = append(s.at, n.Outputs...)
		}
	}
	t.Raw = slices.Clone(t.Raw)
	k := f.draw(len(t.Raw) / int(t.DataType.Size()))
	if t.DataType == onnx.Float {
		x := math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*k:]))
		binary.LittleEndian.PutUint32(t.Raw[4*k:], math.Float32bits(x*1.5+0.5))
	} else {
		t.Raw[k] ^= 0x55
	}
	return *s, len(s.at) > 0
}

// located puts faults into a file and returns how many were put in and how many were
// located at their node. If disguise is not nil, it renames what is inside the file.
func located(t *testing.T, path string, wanted int, seed uint64, disguise func(m *onnx.Model)) (right, wrong, silent int) {
	v := &onnxVerification{options: VerifyOptions{Seed: seed}}
	defer v.close()
	if err := v.open([]string{path}); err != nil {
		t.Fatal(err)
	}
	first := v.files[0]
	inputs := v.cases[0].Inputs()
	var all []int
	for i := range first.File.Graph.Nodes {
		all = append(all, i)
	}
	values, err := first.cuts.oracle(first.cuts.results(all...), inputs)
	if err != nil {
		t.Fatal(err)
	}
	good, err := v.oracle.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if err := first.File.Encode(&data); err != nil {
		t.Fatal(err)
	}
	stream := model.NewStream(seed, "faults")
	n := uint64(0)
	f := &faultMaker{path: path, values: values, draw: func(below int) int { n++; return int(stream.IntN(n, below)) }}
	kinds := []string{"wiring", "attribute", "weight", "type"}
	for tries := 0; right+wrong < wanted && tries < 50*wanted; tries++ {
		m, err := onnx.Decode(data.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		s, ok := f.try(kinds[(right+wrong)%len(kinds)], m)
		if !ok {
			if tries%50 == 49 { // a file may have no such place
				kinds = append(kinds[1:], kinds[0])
			}
			continue
		}
		if disguise != nil {
			var at []string
			for _, n := range m.Graph.Nodes {
				was := slices.Clone(n.Outputs)
				at = append(at, was...)
			}
			disguise(m)
			for _, n := range m.Graph.Nodes {
				for _, v := range n.Outputs {
					if slices.Contains(s.at, at[0]) {
						s.at = append(s.at, v)
					}
					at = at[1:]
				}
			}
		}
		x := &ONNX{Path: path, File: m}
		if x.inputs, err = inputsOf(m); err != nil {
			t.Fatal(err)
		}
		other := &verified{ONNX: x, cuts: &cuts{cut.Of(m), filepath.Dir(path)}, at: map[uint64]runtime.Origin{}}
		if other.pair, err = paired(first.ONNX, x); err != nil {
			t.Fatal(err)
		}
		v.first = nil
		origin, err := v.locateInFile(other, inputs)
		if err != nil {
			t.Errorf("%s: %v", s.what, err)
			continue
		}
		if origin.Value == "" {
			bad, err := evaluating{x}.Run(inputs)
			for name := range good {
				if err != nil || !slices.Equal(good[name].Shape, bad[name].Shape) || !runtime.CompareWithin(1e-9, good[name], bad[name]).Within {
					t.Errorf("%s, %s: not located, and the outputs differ (%v)", s.kind, s.what, err)
					wrong++
					break
				}
			}
			silent++
			continue
		}
		if !slices.Contains(s.at, origin.Value) {
			wrong++
			t.Errorf("%s, %s: located at %s, %s; expected %v", s.kind, s.what, origin.Value, origin.Note, s.at)
			continue
		}
		right++
		if testing.Verbose() {
			t.Logf("%s, %s: %s; %s", s.kind, s.what, origin.Value, origin.Note)
		}
	}
	return right, wrong, silent
}

// Faults in three models of others, from their packages, are located at the node that
// was altered.
func TestFaultsInModelsOfOthers(t *testing.T) {
	if !fixtures.Exhaustive() {
		t.Skip("set ATTNX_EXHAUSTIVE=1 to locate faults in models from packages")
	}
	models, err := filepath.Glob(filepath.Join(packagedModels(t), "*.onnx"))
	if err != nil || len(models) < 3 {
		t.Fatalf("%v, %v", models, err)
	}
	for i, path := range models {
		for name, disguise := range disguises {
			wanted := 34
			if disguise != nil {
				wanted = 8
			}
			right, wrong, silent := located(t, path, wanted, uint64(i), disguise)
			t.Logf("%s, %s: %d of %d faults located; %d more changed nothing", filepath.Base(path), name, right, right+wrong, silent)
			if right+wrong < wanted {
				t.Errorf("only %d faults were put in", right+wrong)
			}
		}
	}
}

// packagedModels returns a folder with the models of three packages.
func packagedModels(t *testing.T) string {
	t.Helper()
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON to a Python with pip, which fetches models in packages")
	}
	folder := t.TempDir()
	out, err := exec.Command(python, "-B", filepath.Join("fixtures", "oracle", "packaged_models.py"), folder).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skipf("%.200s", out)
	}
	if err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	return folder
}

// smallModel writes a network with a convolution, an image that is flattened by
// arithmetic on its shape, and two layers.
func smallModel(t *testing.T) string {
	t.Helper()
	stream, drawn := model.NewStream(5, "small"), uint64(0)
	weight := func(name string, dims ...int64) *onnx.Tensor {
		w := &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims}
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		for range n {
			drawn++
			w.Raw = binary.LittleEndian.AppendUint32(w.Raw, math.Float32bits(float32(stream.IntN(drawn, 2001))/1000-1))
		}
		return w
	}
	integers := func(name string, v ...int64) *onnx.Tensor {
		w := &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(len(v))}}
		for _, x := range v {
			w.Raw = binary.LittleEndian.AppendUint64(w.Raw, uint64(x))
		}
		return w
	}
	node := func(op, out string, inputs ...string) *onnx.Node {
		return &onnx.Node{Op: op, Name: "n_" + out, Inputs: inputs, Outputs: []string{out}}
	}
	with := func(n *onnx.Node, attributes ...onnx.Attribute) *onnx.Node { n.Attributes = attributes; return n }
	return writeModel(t, filepath.Join(t.TempDir(), "small.onnx"), &onnx.Graph{Name: "small",
		Inputs:       []onnx.ValueInfo{{Name: "image", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true, Param: "N"}, {Value: 3}, {Value: 6}, {Value: 7}}}},
		Initializers: []*onnx.Tensor{weight("filter", 4, 3, 3, 3), weight("offset", 4), weight("w1", 90, 8), weight("b1", 8), weight("w2", 8, 8), weight("b2", 8), weight("scale", 8), weight("shift", 8), integers("zero", 0), integers("rest", -1)},
		Nodes: []*onnx.Node{
			with(node("Conv", "conv", "image", "filter", "offset"), onnx.IntsAttr("pads", 1, 0, 1, 1), onnx.IntsAttr("strides", 1, 1)),
			with(node("LeakyRelu", "active", "conv"), onnx.FloatAttr("alpha", 0.3)),
			with(node("MaxPool", "pooled", "active"), onnx.IntsAttr("kernel_shape", 2, 2), onnx.IntsAttr("strides", 1, 1)),
			node("Shape", "sizes", "pooled"),
			with(node("Gather", "batch", "sizes", "zero"), onnx.IntAttr("axis", 0)),
			with(node("Concat", "flat", "batch", "rest"), onnx.IntAttr("axis", 0)),
			with(node("Transpose", "turned", "pooled"), onnx.IntsAttr("perm", 0, 2, 3, 1)),
			node("Reshape", "row", "turned", "flat"),
			node("Slice", "some", "row", "zero", "length", "one"),
			node("MatMul", "h1", "some", "w1"),
			node("Add", "h2", "h1", "b1"),
			node("Tanh", "h3", "h2"),
			node("MatMul", "h4", "h3", "w2"),
			node("Add", "h5", "h4", "b2"),
			node("Relu", "h6", "h5"),
			node("Add", "h7", "h6", "h3"),
			with(node("LayerNormalization", "normal", "h7", "scale", "shift"), onnx.FloatAttr("epsilon", 1e-5)),
			with(node("Cast", "single", "normal"), onnx.IntAttr("to", int64(onnx.Float))),
			with(node("Softmax", "p", "single"), onnx.IntAttr("axis", -1)),
		},
		Outputs: []onnx.ValueInfo{{Name: "p", DataType: onnx.Float, NoShape: true}},
	}, integers("length", 90), integers("one", 1))
}

// writeModel writes a model of opset 17 with more initializers.
func writeModel(t *testing.T, path string, g *onnx.Graph, more ...*onnx.Tensor) string {
	t.Helper()
	g.Initializers = append(g.Initializers, more...)
	m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: g}
	if err := writeTo(path, m.Encode); err != nil {
		t.Fatal(err)
	}
	return path
}

// disguises are what an exporter may do besides.
var disguises = map[string]func(m *onnx.Model){
	"as it is": nil,
	"renamed":  func(m *onnx.Model) { renamed(m, true, true) },
}

// Faults in a small file are located at the node that was altered.
func TestFaultsInAFile(t *testing.T) {
	for name, disguise := range disguises {
		right, wrong, silent := located(t, smallModel(t), 60/fixtures.Stride(2), 1, disguise)
		if wrong > 0 || right < 25 {
			t.Errorf("%s: %d faults located, %d not, %d changed nothing", name, right, wrong, silent)
		}
	}
}

// faulty is a runtime that is the oracle in float32, with faults: alter changes the
// model that it runs.
func faulty(alter func(m *onnx.Model) error) opener {
	return func(f runtime.File) (runtime.Session, error) {
		m, err := onnx.Decode(f.Data)
		if err == nil {
			err = alter(m)
		}
		if err != nil {
			return nil, err
		}
		x := &ONNX{Path: "part", File: m}
		if x.inputs, err = inputsOf(m); err != nil {
			return nil, err
		}
		return rounded{evaluating{x}}, nil
	}
}

// wrongAt multiplies the result of a node by 1.01.
func wrongAt(m *onnx.Model, n *onnx.Node) {
	s := &surgeon{Model: m, n: 7}
	out := n.Outputs[0]
	n.Outputs = []string{out + ".right"}
	i := slices.Index(m.Graph.Nodes, n)
	m.Graph.Nodes = slices.Insert(m.Graph.Nodes, i+1, &onnx.Node{Op: "Mul", Name: "wrong", Inputs: []string{out + ".right", s.number(1.01)}, Outputs: []string{out}})
}

// chain finds nodes of the given operators, each the only reader of the one before, of
// which no result but the last is an output: what an optimizer fuses.
func chain(m *onnx.Model, ops ...string) (last *onnx.Node) {
	readers := map[string][]*onnx.Node{}
	for _, n := range m.Graph.Nodes {
		for _, in := range n.Inputs {
			readers[in] = append(readers[in], n)
		}
	}
	for _, n := range m.Graph.Nodes {
		for i, op := range ops {
			if n.Op != op {
				break
			}
			if i == len(ops)-1 {
				return n
			}
			next := readers[n.Outputs[0]]
			if len(next) != 1 || slices.ContainsFunc(m.Graph.Outputs, func(o onnx.ValueInfo) bool { return o.Name == n.Outputs[0] }) {
				break
			}
			n = next[0]
		}
	}
	return nil
}

// A runtime that computes one operator wrongly, fuses nodes to a wrong one, or does not
// take an operator is found out.
func TestFaultsInARuntime(t *testing.T) {
	x, err := readONNX(smallModel(t))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := x.cases(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	search := func(open opener) *runSearch {
		return &runSearch{cuts: &cuts{cut.Of(x.File), ""}, open: open, computed: format.Float32}
	}
	for _, c := range []struct {
		name  string
		alter func(m *onnx.Model) error
		value string
		nodes int
	}{
		{"right", func(*onnx.Model) error { return nil }, "", 0},
		{"one operator", func(m *onnx.Model) error {
			if n := chain(m, "Tanh"); n != nil {
				wrongAt(m, n)
			}
			return nil
		}, "h3", 1},
		{"a fusion", func(m *onnx.Model) error {
			if n := chain(m, "MatMul", "Add", "Relu"); n != nil {
				wrongAt(m, n)
			}
			return nil
		}, "h6", 3},
		{"a fusion of two", func(m *onnx.Model) error {
			if n := chain(m, "Conv", "LeakyRelu"); n != nil {
				wrongAt(m, n)
			}
			return nil
		}, "active", 2},
		{"a fusion within", func(m *onnx.Model) error { // the wrong result is not the last one
			if n := chain(m, "Gather", "Concat"); n != nil && chain(m, "MaxPool") != nil {
				wrongAt(m, chain(m, "MaxPool"))
			}
			return nil
		}, "row", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := search(faulty(c.alter))
			f, err := s.find(cases[0].Inputs())
			switch {
			case err != nil:
				t.Fatal(err)
			case f == nil && c.value != "" || f != nil && (f.value != c.value || len(f.nodes) != c.nodes):
				t.Errorf("found %+v, expected %s of %d nodes", f, c.value, c.nodes)
			case f != nil:
				t.Log(f.origin())
			}
		})
	}
	refusing := search(faulty(func(m *onnx.Model) error {
		if chain(m, "Softmax") != nil {
			return errors.New("no kernel")
		}
		return nil
	}))
	f, err := refusing.findRefused(cases[0].Inputs())
	if err != nil || f == nil || f.value != "p" || !strings.Contains(f.origin().Note, "no kernel") {
		t.Errorf("%+v, %v", f, err)
	}
}

// A node of float64 that a runtime computes in float32 is found: its bound is that of
// float64, though the file has no weights that tell.
func TestFaultInFloat64(t *testing.T) {
	m := hostileModel(nil, hostileNode("Exp", "e", nil, "x"), hostileNode("Neg", "y", nil, "e"))
	m.Graph.Inputs[0].DataType, m.Graph.Outputs[0].DataType = onnx.Double, onnx.Double
	runs := faulty(func(m *onnx.Model) error {
		if n := chain(m, "Exp"); n != nil {
			m.Graph.Initializers = append(m.Graph.Initializers, &onnx.Tensor{Name: "c", DataType: onnx.Double, Raw: binary.LittleEndian.AppendUint64(nil, math.Float64bits(1+1e-7))})
			out := n.Outputs[0]
			n.Outputs = []string{"right"}
			m.Graph.Nodes = slices.Insert(m.Graph.Nodes, slices.Index(m.Graph.Nodes, n)+1, &onnx.Node{Op: "Mul", Name: "wrong", Inputs: []string{"right", "c"}, Outputs: []string{out}})
		}
		return nil
	})
	s := &runSearch{cuts: &cuts{cut.Of(m), ""}, computed: format.Float32, open: func(f runtime.File) (runtime.Session, error) {
		s, err := runs(f)
		if err != nil {
			return nil, err
		}
		return s.(rounded).Session, nil // in float64
	}}
	f, err := s.find(map[string]format.Tensor{"x": format.FromFloat64s("x", []int{2, 2}, []float64{1, 2, 3, 4})})
	if err != nil || f == nil || f.value != "e" {
		t.Errorf("%+v, %v", f, err)
	}
}

// Another file is compared with the first one under its own names; the part that
// departs is kept as a folder that can be verified.
func TestVerifyOtherFile(t *testing.T) {
	path := smallModel(t)
	dir := t.TempDir()
	write := func(name string, alter func(m *onnx.Model)) string {
		m, err := onnx.DecodeFile(path)
		if err != nil {
			t.Fatal(err)
		}
		alter(m)
		if err := writeTo(filepath.Join(dir, name), m.Encode); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	renamed := write("renamed.onnx", func(m *onnx.Model) {
		m.Graph.Inputs[0].Name, m.Graph.Outputs[0].Name = "x", "y"
		m.Graph.Nodes[0].Inputs[0], m.Graph.Nodes[len(m.Graph.Nodes)-1].Outputs[0] = "x", "y"
	})
	wrong := write("wrong.onnx", func(m *onnx.Model) { m.Graph.Nodes[1].Attributes[0].Float = 0.31 })
	keep := filepath.Join(dir, "kept")
	report, err := VerifyONNX(t.Context(), []string{path, renamed, wrong}, VerifyOptions{Seed: 1, Keep: keep, Runtimes: []string{"ort-cpu"}})
	if err != nil {
		t.Fatal(err)
	}
	byFile := map[string][]runtime.Result{}
	for _, r := range report.Results {
		byFile[r.File] = append(byFile[r.File], r)
	}
	if r := byFile[renamed][0]; r.Status != runtime.StatusOK || r.Runtime != runtime.OracleName || r.Against != path || !strings.Contains(report.Checks[0].Reason, `"x" is "image" of the first file`) {
		t.Errorf("%+v, %+v", r, report.Checks)
	}
	for _, r := range byFile[wrong] {
		if r.Status != runtime.StatusUnavailable && (r.Status != runtime.StatusFail || r.FirstDifference != "active" || r.Node != "n_active (LeakyRelu)") {
			t.Errorf("%+v", r)
		}
	}
	if report.Verdict != runtime.Fail || report.Kept != keep {
		t.Errorf("%s, kept %q", report.Verdict, report.Kept)
	}
	again, err := VerifyFiles(t.Context(), []string{keep}, nil, VerifyOptions{Seed: 1, Runtimes: []string{"ort-cpu"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range again.Results {
		if r.Status == runtime.StatusUnavailable {
			continue
		}
		recorded := r.Against == recordedOutputs
		if recorded && (strings.Contains(r.Reason, "oracle") || !strings.Contains(r.Reason, "recorded is")) {
			t.Errorf("%s: %s", r.Runtime, r.Reason)
		}
		if recorded != (r.Status == runtime.StatusFail) || recorded && r.FirstDifference == "" || again.Cases != 1 {
			t.Errorf("%+v", r)
		}
	}
	kept, err := onnx.DecodeFile(filepath.Join(keep, "model.onnx"))
	if err != nil || len(kept.Graph.Nodes) != 1 || kept.Graph.Nodes[0].Op != "LeakyRelu" {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, err := os.Stat(filepath.Join(keep, "test_data_set_0", "actual_0.pb")); err != nil {
		t.Error(err)
	}
	other := write("other.onnx", func(m *onnx.Model) {
		m.Graph.Inputs = append(m.Graph.Inputs, onnx.ValueInfo{Name: "more", DataType: onnx.Int64})
	})
	if _, err := VerifyONNX(t.Context(), []string{path, other}, VerifyOptions{}); err == nil || !strings.Contains(err.Error(), "compare files with the same inputs") {
		t.Errorf("%v", err)
	}
}

// onnx-go runs what it takes of a file of others; what it lacks is named.
func TestOnnxGoOnAnyFile(t *testing.T) {
	w := &onnx.Tensor{Name: "w", DataType: onnx.Float, Dims: []int64{3, 2}}
	for i := range 6 {
		w.Raw = binary.LittleEndian.AppendUint32(w.Raw, math.Float32bits(float32(i)/4-1))
	}
	path := writeModel(t, filepath.Join(t.TempDir(), "dense.onnx"), &onnx.Graph{Name: "g",
		Inputs:       []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Open: true}, {Value: 3}}}},
		Initializers: []*onnx.Tensor{w},
		Nodes:        []*onnx.Node{{Op: "MatMul", Inputs: []string{"x", "w"}, Outputs: []string{"h"}}, {Op: "Tanh", Inputs: []string{"h"}, Outputs: []string{"y"}}},
		Outputs:      []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
	})
	report, err := VerifyONNX(t.Context(), []string{path}, VerifyOptions{Runtimes: []string{"onnx-go"}, Seed: 1})
	if err != nil || report.Verdict != runtime.Pass || report.Results[0].Cases != len(foreignCases) {
		t.Errorf("%+v, %v", report, err)
	}
	report, err = VerifyONNX(t.Context(), []string{smallModel(t)}, VerifyOptions{Runtimes: []string{"onnx-go"}, Seed: 1})
	if err != nil || report.Results[0].Status != runtime.StatusUnavailable || !strings.Contains(report.Results[0].Reason, "onnx-go does not take the attribute pads of Conv") {
		t.Errorf("%+v, %v", report, err)
	}
}
