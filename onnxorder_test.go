package attnx

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// A TopK with sorted=0 gives its results in any order: they are compared as sets; what depends
// on the order has no bound, and what does not is compared as ever. A file that leaves the order
// open is not equal to one that does not.
func TestOpenOrder(t *testing.T) {
	topK := func(sorted int64, largest int64) *onnx.Node {
		return &onnx.Node{Op: "TopK", Inputs: []string{"a", "k"}, Outputs: []string{"v", "i"}, Attributes: []onnx.Attribute{onnx.IntAttr("sorted", sorted), onnx.IntAttr("largest", largest)}}
	}
	outputs := func(names ...string) func(g *onnx.Graph) {
		return func(g *onnx.Graph) {
			g.Outputs = nil
			for _, name := range names {
				of := onnx.Float
				if name == "i" {
					of = onnx.Int64
				}
				g.Outputs = append(g.Outputs, onnx.ValueInfo{Name: name, DataType: of, NoShape: true})
			}
			g.Initializers = append(g.Initializers, hostileInts("k", 3), hostileInts("axis", 2))
		}
	}
	sum := hostileNode("ReduceSum", "y", nil, "v", "axis")
	running := hostileNode("CumSum", "y", nil, "v", "axis")
	for name, c := range map[string]struct {
		edit  func(g *onnx.Graph)
		nodes []*onnx.Node
		want  runtime.Verdict
		says  string
	}{
		"both":      {outputs("v", "i"), []*onnx.Node{topK(0, 1)}, runtime.Pass, ""},
		"smallest":  {outputs("v", "i"), []*onnx.Node{topK(0, 0)}, runtime.Pass, ""},
		"elements":  {outputs("v"), []*onnx.Node{topK(0, 1)}, runtime.Pass, ""},
		"a sum":     {outputs("y"), []*onnx.Node{topK(0, 1), sum}, runtime.Pass, ""},
		"its order": {outputs("y"), []*onnx.Node{topK(0, 1), running}, runtime.Fail, "which ONNX leaves open"},
		"in order":  {outputs("y"), []*onnx.Node{topK(1, 1), running}, runtime.Pass, ""},
		"its middle": {func(g *onnx.Graph) { outputs("y")(g); g.Initializers = append(g.Initializers, hostileInts("one", 1)) },
			[]*onnx.Node{topK(0, 1), hostileNode("Gather", "y", []onnx.Attribute{onnx.IntAttr("axis", 2)}, "v", "one")}, runtime.Fail, "which ONNX leaves open"},
	} {
		t.Run(name, func(t *testing.T) {
			path := smallPair(t, "a.onnx", c.edit, c.nodes...)
			r := judgedFiles(t, path)
			if r.Verdict != c.want || !strings.Contains(r.Results[0].Reason, c.says) {
				t.Errorf("%s: %+v", r.Verdict, r.Results[0])
			}
			if c.want == runtime.Pass {
				if r := judgedFiles(t, path, path); r.Verdict != runtime.Pass || r.Files[0].Layer != runtime.IdenticalLayer {
					t.Errorf("with itself: %s: %+v", r.Verdict, r.Files[0])
				}
			}
		})
	}
	sorted, open := smallPair(t, "a.onnx", outputs("v", "i"), topK(1, 1)), smallPair(t, "b.onnx", outputs("v", "i"), topK(0, 1))
	if r := judgedFiles(t, sorted, open); r.Verdict != runtime.Fail || r.Files[0].Layer != runtime.DifferentLayer || !strings.Contains(r.Files[0].Reason, "sorted=0) open") {
		t.Errorf("%s: %+v", r.Verdict, r.Files[0])
	}
	if r := judgedFiles(t, open, sorted); r.Verdict != runtime.Pass {
		t.Errorf("more than the first file says: %s: %+v", r.Verdict, r.Files[0])
	}
}

// A Slice that ends beyond an axis ends with it, as ONNX says, at any size; a file that cuts
// an axis differs from one that does not, whether a sample is that long or not.
func TestSliceBeyondAnAxis(t *testing.T) {
	slice := []*onnx.Node{hostileNode("Slice", "y", nil, "a", "from", "to", "axis")}
	range3 := func(from, to, axis int64) func(g *onnx.Graph) {
		return with(hostileInts("from", from), hostileInts("to", to), hostileInts("axis", axis))
	}
	whole := smallPair(t, "whole.onnx", nil, hostileNode("Identity", "y", nil, "a"))
	for _, c := range []struct {
		from, to, axis int64
		same           bool // as the file without it
	}{{0, 100, 1, false}, {0, 100, 0, false}, {1, 100, 1, false}, {-100, 100, 1, false}, {-100, 1 << 40, 1, false}, {0, 1 << 40, 1, true}, {0, 100, 2, true}} {
		path := smallPair(t, "cut.onnx", range3(c.from, c.to, c.axis), slice...)
		if r := judgedFiles(t, path); r.Verdict != runtime.Pass {
			t.Errorf("%v: %s: %s", c, r.Verdict, r.Reason)
		}
		r := judgedFiles(t, whole, path)
		if (r.Verdict == runtime.Pass) != c.same || !c.same && r.Files[0].Layer != runtime.DifferentLayer {
			t.Errorf("%v: %s: %+v", c, r.Verdict, r.Files[0])
		}
		again := smallPair(t, "again.onnx", range3(c.from, c.to, c.axis), slice...)
		if proved := judgedFiles(t, path, again).Files[0].Layer == runtime.IdenticalLayer; proved != c.same {
			t.Errorf("%v: a copy is proved: %v", c, proved) // it was read for long enough axes alone
		}
	}
}

// Recorded results without an order are a set too, and equal elements go with their places.
func TestRecordedOpenOrder(t *testing.T) {
	dir := t.TempDir()
	m := hostileModel([]*onnx.Tensor{hostileInts("k", 2)}, &onnx.Node{Op: "TopK", Inputs: []string{"x", "k"}, Outputs: []string{"y", "i"}, Attributes: []onnx.Attribute{onnx.IntAttr("sorted", 0)}})
	m.Graph.Outputs = append(m.Graph.Outputs, onnx.ValueInfo{Name: "i", DataType: onnx.Int64, NoShape: true})
	saved(t, filepath.Join(dir, "model.onnx"), m)
	set := filepath.Join(dir, "test_data_set_0")
	recordedTensor(t, filepath.Join(set, "input_0.pb"), "x", []int{2, 2}, 1, 2, 7, 7)
	recordedTensor(t, filepath.Join(set, "output_0.pb"), "y", []int{2, 2}, 1, 2, 7, 7)
	places := format.FromInt64s("i", []int{2, 2}, []int64{0, 1, 1, 0})
	var b bytes.Buffer
	if err := errors.Join(proto(places).Encode(&b), os.WriteFile(filepath.Join(set, "output_1.pb"), b.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
	if r := verifiedIn(t, "ort-cpu", dir); r.Verdict != runtime.Pass || len(r.Results) < 3 {
		t.Errorf("%s: %s: %+v", r.Verdict, r.Reason, r.Results)
	}
}
