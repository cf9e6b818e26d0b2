package attnx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
)

// written writes a model to a file and returns its path.
func written(t *testing.T, m *onnx.Model) string {
	t.Helper()
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// integerModel is hostileModel with an input x and an output y of integers, (2).
func integerModel(d onnx.DataType, initializers []*onnx.Tensor, nodes ...*onnx.Node) *onnx.Model {
	m := hostileModel(initializers, nodes...)
	m.Graph.Inputs[0].DataType, m.Graph.Inputs[0].Dims, m.Graph.Outputs[0].DataType = d, []onnx.Dim{{Value: 2}}, d
	return m
}

// The least integer divided by -1 ends the process of ONNX Runtime 1.30 (SIGFPE), so it is
// refused beforehand, whatever holds or computes it; and nothing else is.
func TestDivides(t *testing.T) {
	ints := func(d onnx.DataType, name string, numbers ...int64) *onnx.Tensor {
		x := hostileInts(name, numbers...)
		if d == onnx.Int32 {
			x.DataType, x.Raw = d, nil
			for _, v := range numbers {
				x.Raw = binary.LittleEndian.AppendUint32(x.Raw, uint32(v))
			}
		}
		return x
	}
	list := func(all ...*onnx.Tensor) []*onnx.Tensor { return all }
	fmod := []onnx.Attribute{onnx.IntAttr("fmod", 1)}
	for _, d := range []onnx.DataType{onnx.Int32, onnx.Int64} {
		least, dtype := int64(math.MinInt32), format.Int32
		if d == onnx.Int64 {
			least, dtype = math.MinInt64, format.Int64
		}
		for name, c := range map[string]struct {
			m       *onnx.Model
			x       []int64
			refused bool
		}{
			"a stored divisor":         {integerModel(d, list(ints(d, "k", -1)), hostileNode("Div", "y", nil, "x", "k")), []int64{5, least}, true},
			"a remainder":              {integerModel(d, list(ints(d, "k", -1)), hostileNode("Mod", "y", nil, "x", "k")), []int64{5, least}, true},
			"a remainder of floats":    {integerModel(d, list(ints(d, "k", -1)), hostileNode("Mod", "y", fmod, "x", "k")), []int64{5, least}, false},
			"a stored dividend":        {integerModel(d, list(ints(d, "k", least)), hostileNode("Div", "y", nil, "k", "x")), []int64{5, -1}, true},
			"a computed dividend":      {integerModel(d, list(ints(d, "k", -1)), hostileNode("Sub", "s", nil, "x", "one"), hostileNode("Div", "y", nil, "s", "k")), []int64{5, least + 1}, true},
			"elements that never meet": {integerModel(d, list(ints(d, "k", 3, -1)), hostileNode("Div", "y", nil, "x", "k")), []int64{least, -1}, false},
			"another dividend":         {integerModel(d, list(ints(d, "k", -1)), hostileNode("Div", "y", nil, "x", "k")), []int64{5, least + 1}, false},
			"constants alone":          {integerModel(d, list(ints(d, "k", -1), ints(d, "l", least)), hostileNode("Div", "q", nil, "l", "k"), hostileNode("Add", "y", nil, "q", "x")), nil, true},
		} {
			c.m.Graph.Initializers = append(c.m.Graph.Initializers, ints(d, "one", 1))
			x, err := readONNX(written(t, c.m))
			if err != nil {
				t.Fatal(err)
			}
			var inputs map[string]format.Tensor
			if c.x != nil {
				inputs = map[string]format.Tensor{"x": {Name: "x", DType: dtype, Shape: []int{2}, Data: ints(d, "x", c.x...).Raw}}
			}
			var found *DivisionError
			if err := x.bounded(inputs); errors.As(err, &found) != c.refused || found != nil && (found.DType != dtype || found.Node == "") {
				t.Errorf("%s of %s: %v", name, dtype, err)
			}
		}
	}
}

// No zero is drawn for an input that the file divides by.
func TestDrawDivisors(t *testing.T) {
	m := integerModel(onnx.Int32, nil, hostileNode("Identity", "d", nil, "z"), hostileNode("Div", "y", nil, "x", "d"))
	m.Graph.Inputs = append(m.Graph.Inputs, onnx.ValueInfo{Name: "z", DataType: onnx.Int32, Dims: []onnx.Dim{{Value: 64}, {Value: 2}}})
	x, err := readONNX(written(t, m))
	if err != nil {
		t.Fatal(err)
	}
	inputs, how, err := x.Draw(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if z := integersOf(inputs["z"]); slices.Min(z) != 1 || slices.Max(z) != 2 || how["z"] != "drawn from 1 to 2, as a divisor" {
		t.Errorf("%v, %s", z, how["z"])
	}
	if x := integersOf(inputs["x"]); slices.Max(x) > 1 {
		t.Errorf("x is no divisor: %v", x)
	}
}
