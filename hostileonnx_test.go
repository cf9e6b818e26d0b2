package attnx

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	attnxruntime "github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/openvino"
	"github.com/attnx/attnx/runtime/ort"
)

// hostileModel returns a model with an input x float (2,2), the given nodes, and the
// output y.
func hostileModel(initializers []*onnx.Tensor, nodes ...*onnx.Node) *onnx.Model {
	square := []onnx.Dim{{Value: 2}, {Value: 2}}
	return &onnx.Model{IRVersion: 10, Opsets: []onnx.Opset{{Version: 21}, {Domain: "my", Version: 1}}, Graph: &onnx.Graph{
		Name: "g", Nodes: nodes, Initializers: initializers, Inputs: []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: square}},
		Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
	}}
}

func hostileNode(op, out string, attributes []onnx.Attribute, inputs ...string) *onnx.Node {
	return &onnx.Node{Op: op, Inputs: inputs, Outputs: []string{out}, Attributes: attributes}
}

func hostileInts(name string, numbers ...int64) *onnx.Tensor {
	t := &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(len(numbers))}}
	for _, v := range numbers {
		for i := range 8 {
			t.Raw = append(t.Raw, byte(v>>(8*i)))
		}
	}
	return t
}

func hostileFloats(name string, dims ...int64) *onnx.Tensor {
	n := int64(4)
	for _, d := range dims {
		n *= d
	}
	return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims, Raw: make([]byte, n)}
}

// loopOf is a Loop with a trip count and a body.
func loopOf(out, count, state string, body *onnx.Graph) *onnx.Node {
	return hostileNode("Loop", out, []onnx.Attribute{{Name: "body", Type: onnx.AttrGraph, Graph: body}}, count, "", state)
}

// body returns the graph of a loop that carries a value s to the value next.
func bodyOf(next string, nodes ...*onnx.Node) *onnx.Graph {
	return &onnx.Graph{Name: "body", Nodes: nodes, Inputs: []onnx.ValueInfo{
		{Name: next + "_i", DataType: onnx.Int64, Dims: []onnx.Dim{}}, {Name: next + "_going", DataType: onnx.Bool, Dims: []onnx.Dim{}}, {Name: next + "_s", DataType: onnx.Float, NoShape: true},
	}, Outputs: []onnx.ValueInfo{{Name: next + "_going", DataType: onnx.Bool, Dims: []onnx.Dim{}}, {Name: next, DataType: onnx.Float, NoShape: true}}}
}

// multiplying returns a model of 30 functions, each of which calls the one before twice.
func multiplying() *onnx.Model {
	call := func(i int, in, out string) *onnx.Node {
		return &onnx.Node{Op: fmt.Sprintf("F%d", i), Domain: "my", Inputs: []string{in}, Outputs: []string{out}}
	}
	m := hostileModel(nil, call(30, "x", "y"))
	for i := range 31 {
		f := &onnx.Function{Name: fmt.Sprintf("F%d", i), Domain: "my", Inputs: []string{"a"}, Outputs: []string{"c"}, Opsets: m.Opsets}
		if i == 0 {
			f.Nodes = []*onnx.Node{hostileNode("Neg", "c", nil, "a")}
		} else {
			f.Nodes = []*onnx.Node{call(i-1, "a", "b"), call(i-1, "b", "c")}
		}
		m.Functions = append(m.Functions, f)
	}
	return m
}

// A hostile file is refused by an error that names the node, in little memory. The
// checker's own tests have recursive functions, a million nodes and deep graphs;
// those of format/npy arrays with pickles and archives that unpack to too much. The runtimes
// that are there refuse it too, or attnx does before they see it.
func TestHostileONNX(t *testing.T) {
	huge := hostileInts("huge", 1<<62)
	huge.Dims = nil
	thousand := hostileInts("thousand", 1000)
	thousand.Dims = nil
	million := hostileInts("million", 1_000_000)
	million.Dims = nil
	ints := func(name string, list ...int64) []onnx.Attribute {
		return []onnx.Attribute{{Name: name, Type: onnx.AttrInts, Ints: list}}
	}
	list := func(all ...*onnx.Tensor) []*onnx.Tensor { return all }
	nothing := bodyOf("n") // passes its state on: no node
	nothing.Outputs[1].Name = "n_s"
	inner := bodyOf("b", loopOf("b", "thousand", "b_s", bodyOf("c", hostileNode("Neg", "c", nil, "c_s"))))
	chained := []*onnx.Node{hostileNode("Concat", "v0", []onnx.Attribute{onnx.IntAttr("axis", 0)}, "x", "x")}
	for i := range 60 { // each twice as large as the one before
		from, to := "v"+string(rune('0'+i)), "v"+string(rune('1'+i))
		chained = append(chained, hostileNode("Concat", to, []onnx.Attribute{onnx.IntAttr("axis", 0)}, from, from))
	}
	chained = append(chained, hostileNode("Neg", "y", nil, chained[60].Outputs[0]))
	for name, c := range map[string]struct {
		m    *onnx.Model
		want string
	}{
		"a loop of 2^62 rounds":               {hostileModel(list(huge), loopOf("y", "huge", "x", bodyOf("z", hostileNode("Neg", "z", nil, "z_s")))), `"y"`},
		"a loop of 2^62 rounds without nodes": {hostileModel(list(huge), loopOf("y", "huge", "x", nothing)), `node "y": Loop: it makes 4.61e+18 rounds`},
		"loops that multiply":                 {hostileModel(list(thousand), loopOf("y", "thousand", "x", inner)), "more than 200000 nodes: only a runtime can run it"},
		"loops of 10^12 rounds together":      {hostileModel(list(million), loopOf("y", "million", "x", bodyOf("b", loopOf("b", "million", "b_s", bodyOf("c", hostileNode("Neg", "c", nil, "c_s")))))), `node "y": Loop: it makes 1e+12 rounds`},
		"a loop that never ends":              {hostileModel(nil, loopOf("y", "", "x", bodyOf("z", hostileNode("Neg", "z", nil, "z_s")))), `node "y": Loop: it never ends`},
		"functions that multiply":             {multiplying(), "functions make more than 20000000 nodes"},
		"a scan of 2^40 steps of nothing": {hostileModel(list(hostileInts("s", 1<<40, 0)), hostileNode("ConstantOfShape", "e", nil, "s"), hostileNode("Scan", "y", []onnx.Attribute{onnx.IntAttr("num_scan_inputs", 1), {Name: "body", Type: onnx.AttrGraph, Graph: &onnx.Graph{
			Name: "b", Inputs: []onnx.ValueInfo{{Name: "row", DataType: onnx.Float, NoShape: true}}, Outputs: []onnx.ValueInfo{{Name: "row", DataType: onnx.Float, NoShape: true}}}}}, "e")), `node "y": Scan: it makes 1.1e+12 rounds`},
		"a shape beyond memory":     {hostileModel(list(hostileInts("s", 1<<20, 1<<20, 1<<10)), hostileNode("ConstantOfShape", "y", nil, "s")), `"y"`},
		"a shape that overflows":    {hostileModel(list(hostileInts("s", 1<<31, 1<<31, 1<<31)), hostileNode("ConstantOfShape", "y", nil, "s")), `"y"`},
		"an expansion":              {hostileModel(list(hostileInts("s", 1<<40, 2, 2)), hostileNode("Expand", "y", nil, "x", "s")), `"y"`},
		"a tile":                    {hostileModel(list(hostileInts("s", 1<<20, 1<<20)), hostileNode("Tile", "y", nil, "x", "s")), `"y.expand`},
		"a product of two vectors":  {hostileModel(list(hostileInts("s", 1<<18, 1), hostileInts("t", 1, 1<<18)), hostileNode("ConstantOfShape", "a", nil, "s"), hostileNode("ConstantOfShape", "b", nil, "t"), hostileNode("MatMul", "y", nil, "a", "b")), `"y"`},
		"concatenations that grow":  {hostileModel(nil, chained...), "too large"},
		"rows without elements":     {hostileModel(list(hostileInts("s", 1<<40, 0), hostileInts("k", 0)), hostileNode("ConstantOfShape", "e", nil, "s"), &onnx.Node{Op: "TopK", Inputs: []string{"e", "k"}, Outputs: []string{"y", "ids"}}), "too many rows"},
		"pads":                      {hostileModel(list(hostileInts("p", 0, 1<<40, 0, 0)), hostileNode("Pad", "y", nil, "x", "p")), `"y"`},
		"a kernel between elements": {hostileModel(list(hostileFloats("w", 1, 1, 2, 2), hostileInts("s", 1, 1, 2, 2)), hostileNode("Reshape", "r", nil, "x", "s"), hostileNode("ConvTranspose", "y", ints("dilations", 1<<40, 1<<40), "r", "w")), `"y"`},
		"an image of strides":       {hostileModel(list(hostileFloats("w", 1, 1, 2, 2), hostileInts("s", 1, 1, 2, 2)), hostileNode("Reshape", "r", nil, "x", "s"), hostileNode("ConvTranspose", "y", ints("strides", 1<<30, 1<<30), "r", "w")), `"y"`},
		"a resize":                  {hostileModel(list(hostileInts("s", 1<<30, 1<<30)), hostileNode("Resize", "y", nil, "x", "", "", "s")), `"y"`},
		"a one-hot of 2^40":         {hostileModel(list(hostileInts("ids", 1, 2), hostileInts("depth", 1<<40), hostileFloats("v", 2)), hostileNode("OneHot", "y", nil, "ids", "depth", "v")), `"y.range`},
		"a function of itself": {func() *onnx.Model {
			m := hostileModel(nil, &onnx.Node{Op: "F", Domain: "my", Inputs: []string{"x"}, Outputs: []string{"y"}})
			m.Functions = []*onnx.Function{{Name: "F", Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}, Opsets: []onnx.Opset{{Domain: "my", Version: 1}},
				Nodes: []*onnx.Node{{Op: "F", Domain: "my", Inputs: []string{"a"}, Outputs: []string{"b"}}}}}
			return m
		}(), "the function calls itself"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(c.want, "more than 200000 ") && !fixtures.Exhaustive() {
				t.Skip("set ATTNX_EXHAUSTIVE=1 to unroll loops up to their bound")
			}
			path := filepath.Join(t.TempDir(), "model.onnx")
			f, err := os.Create(path)
			if err == nil {
				err = c.m.Encode(f)
			}
			if err == nil {
				err = f.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = RunONNX(path, RunOptions{Options: Options{Runtime: Oracle}})
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			for _, name := range []string{"ort", "openvino"} {
				if err := (row{Runtime: map[string]attnxruntime.Runtime{"ort": ort.Runtime, "openvino": openvino.Runtime}[name]}).available(attnxruntime.Options{}); err != nil {
					continue
				}
				// A million rounds are long for the oracle only.
				may := strings.Contains(c.want, "only a runtime can run it")
				if _, err := RunONNX(path, RunOptions{Options: Options{Runtime: name}}); err == nil && !may || err != nil && strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: got %v", name, err)
				} else {
					t.Logf("%s: %v", name, err)
				}
			}
			if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 500 {
				t.Errorf("%d MiB allocated", got)
			}
			t.Logf("%d MiB: %v", (after.TotalAlloc-before.TotalAlloc)>>20, err)
		})
	}
}
