package attnx

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
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

// A hostile file is refused by an error that names the node, in little memory. The
// checker's own tests have recursive functions, a million nodes and deep graphs;
// those of format/npy arrays with pickles and archives that unpack to too much.
func TestHostileONNX(t *testing.T) {
	huge := hostileInts("huge", 1<<62)
	huge.Dims = nil
	thousand := hostileInts("thousand", 1000)
	thousand.Dims = nil
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
		"a loop of 2^62 rounds without nodes": {hostileModel(list(huge), loopOf("y", "huge", "x", nothing)), `node "y": Loop: functions and loops make more than 200000 nodes`},
		"loops that multiply":                 {hostileModel(list(thousand), loopOf("y", "thousand", "x", inner)), "more than 200000 nodes"},
		"a scan of 2^40 steps of nothing": {hostileModel(list(hostileInts("s", 1<<40, 0)), hostileNode("ConstantOfShape", "e", nil, "s"), hostileNode("Scan", "y", []onnx.Attribute{onnx.IntAttr("num_scan_inputs", 1), {Name: "body", Type: onnx.AttrGraph, Graph: &onnx.Graph{
			Name: "b", Inputs: []onnx.ValueInfo{{Name: "row", DataType: onnx.Float, NoShape: true}}, Outputs: []onnx.ValueInfo{{Name: "row", DataType: onnx.Float, NoShape: true}}}}}, "e")), `node "y": Scan: functions and loops make more than 200000 nodes`},
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
		}(), "within one another to a depth of 64"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(c.want, "200000") && !fixtures.Exhaustive() {
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
			if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 500 {
				t.Errorf("%d MiB allocated", got)
			}
			t.Logf("%d MiB: %v", (after.TotalAlloc-before.TotalAlloc)>>20, err)
		})
	}
}
