package onnx_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/attnx/attnx/export/onnx"
)

var types = []onnx.DataType{onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16, onnx.Int64, onnx.Int32, onnx.Int16, onnx.Int8,
	onnx.Uint64, onnx.Uint32, onnx.Uint16, onnx.Uint8, onnx.Bool, onnx.Complex128, onnx.Float8E8M0, onnx.Int4, onnx.Uint2, onnx.Float6E2M3}

var names = rapid.StringMatching(`[a-zA-Z0-9_./é ]{0,12}`)

// list draws up to most values; an empty list is nil, as it is after decoding.
func list[T any](t *rapid.T, most int, label string, draw func(i int) T) []T {
	var out []T
	for i := range rapid.IntRange(0, most).Draw(t, label) {
		out = append(out, draw(i))
	}
	return out
}

func drawTensor(t *rapid.T) *onnx.Tensor {
	x := &onnx.Tensor{Name: names.Draw(t, "name"), DataType: rapid.SampledFrom(types).Draw(t, "type"), DocString: names.Draw(t, "doc")}
	x.Dims = list(t, 3, "rank", func(int) int64 {
		return rapid.Int64Range(0, 24).Draw(t, "dim") // past 4096 bytes now and then, where Encode refers instead of copying
	})
	x.Metadata = drawEntries(t)
	n := x.Bytes()
	if rapid.IntRange(0, 3).Draw(t, "external") == 0 {
		x.External = &onnx.External{Location: "w", Offset: rapid.Int64Range(0, 1<<40).Draw(t, "offset"), Length: n, Checksum: names.Draw(t, "sum")}
		if rapid.Bool().Draw(t, "whole") {
			x.External.Length = -1
		}
		return x
	}
	x.Raw = bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, int(n))
	return x
}

func drawEntries(t *rapid.T) []onnx.Entry {
	return list(t, 2, "entries", func(int) onnx.Entry { return onnx.Entry{Key: names.Draw(t, "key"), Value: names.Draw(t, "value")} })
}

func drawSparse(t *rapid.T) *onnx.SparseTensor {
	return &onnx.SparseTensor{Values: drawTensor(t), Indices: drawTensor(t), Dims: []int64{rapid.Int64Range(0, 9).Draw(t, "dim")}}
}

func drawType(t *rapid.T, depth int) *onnx.Type {
	kinds := []onnx.TypeKind{onnx.TensorType, onnx.SparseTensorType, onnx.OpaqueType, onnx.SequenceType, onnx.OptionalType, onnx.MapType}
	if depth > 2 {
		kinds = kinds[:3]
	}
	x := &onnx.Type{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Denotation: names.Draw(t, "denotation"), NoShape: true}
	switch x.Kind {
	case onnx.TensorType, onnx.SparseTensorType:
		v := drawShape(t)
		x.DataType, x.Dims, x.NoShape = v.DataType, v.Dims, v.NoShape
	case onnx.OpaqueType:
		x.Domain, x.Name = names.Draw(t, "domain"), names.Draw(t, "name")
	case onnx.MapType:
		x.DataType, x.Elem = onnx.Int64, drawType(t, depth+1)
	default:
		x.Elem = drawType(t, depth+1)
	}
	return x
}

func drawValue(t *rapid.T) onnx.ValueInfo {
	v := drawShape(t)
	if rapid.IntRange(0, 4).Draw(t, "other") == 0 {
		if x := drawType(t, 1); x.Kind != onnx.TensorType {
			x.Denotation = ""
			v = onnx.ValueInfo{NoShape: true, Other: x}
		}
	}
	v.Name, v.DocString, v.Denotation, v.Metadata = names.Draw(t, "name"), names.Draw(t, "doc"), names.Draw(t, "denotation"), drawEntries(t)
	return v
}

// drawShape draws the type and shape of a tensor.
func drawShape(t *rapid.T) onnx.ValueInfo {
	v := onnx.ValueInfo{DataType: rapid.SampledFrom(types).Draw(t, "type"), NoShape: rapid.Bool().Draw(t, "no shape")}
	if v.NoShape {
		v.DataType *= onnx.DataType(rapid.IntRange(0, 1).Draw(t, "typed"))
		return v
	}
	v.Dims = list(t, 4, "rank", func(int) onnx.Dim {
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return onnx.Dim{Open: true}
		case 1:
			return onnx.Dim{Open: true, Param: "p" + names.Draw(t, "param")}
		}
		return onnx.Dim{Value: rapid.Int64Range(0, 1<<50).Draw(t, "size")}
	})
	return v
}

func drawAttribute(t *rapid.T, i, depth int) onnx.Attribute {
	a := onnx.Attribute{Name: fmt.Sprintf("a%d", i), Type: onnx.AttributeType(rapid.IntRange(1, 14).Draw(t, "type")), DocString: names.Draw(t, "doc")}
	if depth > 2 && (a.Type == onnx.AttrGraph || a.Type == onnx.AttrGraphs) {
		a.Type = onnx.AttrInt
	}
	switch a.Type {
	case onnx.AttrFloat:
		a.Float = rapid.Float32().Draw(t, "float")
	case onnx.AttrInt:
		a.Int = rapid.Int64().Draw(t, "int")
	case onnx.AttrString:
		a.String = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "string")...)
	case onnx.AttrTensor:
		a.Tensor = drawTensor(t)
	case onnx.AttrGraph:
		a.Graph = drawGraph(t, depth+1)
	case onnx.AttrFloats:
		a.Floats = list(t, 3, "floats", func(int) float32 { return rapid.Float32().Draw(t, "float") })
	case onnx.AttrInts:
		a.Ints = list(t, 3, "ints", func(int) int64 { return rapid.Int64().Draw(t, "int") })
	case onnx.AttrTensors:
		a.Tensors = list(t, 2, "tensors", func(int) *onnx.Tensor { return drawTensor(t) })
	case onnx.AttrGraphs:
		a.Graphs = list(t, 2, "graphs", func(int) *onnx.Graph { return drawGraph(t, depth+1) })
	case onnx.AttrSparse:
		a.Sparse = []*onnx.SparseTensor{drawSparse(t)}
	case onnx.AttrSparses:
		a.Sparse = list(t, 2, "sparse", func(int) *onnx.SparseTensor { return drawSparse(t) })
	case onnx.AttrType:
		a.Types = []*onnx.Type{drawType(t, 1)}
	case onnx.AttrTypes:
		a.Types = list(t, 2, "types", func(int) *onnx.Type { return drawType(t, 1) })
	case onnx.AttrStrings:
		a.Strings = list(t, 3, "strings", func(int) []byte { return []byte(names.Draw(t, "string")) })
	}
	return a
}

func drawNodes(t *rapid.T, depth int) []*onnx.Node {
	name := func(int) string { return names.Draw(t, "name") }
	return list(t, 3, "nodes", func(int) *onnx.Node {
		return &onnx.Node{
			Inputs: list(t, 3, "inputs", name), Outputs: list(t, 3, "outputs", name),
			Name: name(0), Op: name(0), DocString: name(0), Domain: name(0), Overload: name(0), Metadata: drawEntries(t),
			Attributes: list(t, 3, "attributes", func(i int) onnx.Attribute { return drawAttribute(t, i, depth) }),
			Devices: list(t, 1, "devices", func(int) onnx.NodeDevices {
				stage := rapid.Int32Range(0, 9).Draw(t, "stage")
				return onnx.NodeDevices{Configuration: name(0), Sharding: [][]byte{{0x10, 7}}, Stage: &stage}
			}),
		}
	})
}

func drawFunction(t *rapid.T) *onnx.Function {
	name := func(int) string { return names.Draw(t, "name") }
	return &onnx.Function{
		Name: name(0), Domain: name(0), Overload: name(0), DocString: name(0), Inputs: list(t, 2, "inputs", name), Outputs: list(t, 2, "outputs", name),
		Attributes: list(t, 2, "attributes", name), Defaults: list(t, 2, "defaults", func(i int) onnx.Attribute { return drawAttribute(t, i, 2) }),
		Nodes: drawNodes(t, 2), Opsets: []onnx.Opset{{Version: 3}}, Values: []onnx.ValueInfo{drawValue(t)}, Metadata: drawEntries(t),
	}
}

func drawGraph(t *rapid.T, depth int) *onnx.Graph {
	name := func(int) string { return names.Draw(t, "name") }
	value := func(int) onnx.ValueInfo { return drawValue(t) }
	return &onnx.Graph{
		Name: names.Draw(t, "graph"), DocString: names.Draw(t, "doc"),
		Nodes:    drawNodes(t, depth),
		Metadata: drawEntries(t),
		Sparse:   list(t, 1, "sparse", func(int) *onnx.SparseTensor { return drawSparse(t) }),
		Annotations: list(t, 1, "annotations", func(int) onnx.Annotation {
			return onnx.Annotation{Tensor: name(0), Parameters: drawEntries(t)}
		}),
		Initializers: list(t, 2, "initializers", func(int) *onnx.Tensor { return drawTensor(t) }),
		Inputs:       list(t, 2, "inputs", value), Outputs: list(t, 2, "outputs", value), Values: list(t, 2, "values", value),
	}
}

// Whatever a model holds comes back, and encodes to the same bytes.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &onnx.Model{
			IRVersion: rapid.Int64().Draw(t, "ir"), ProducerName: names.Draw(t, "producer"), ProducerVersion: names.Draw(t, "version"),
			Domain: names.Draw(t, "domain"), ModelVersion: rapid.Int64().Draw(t, "model"), DocString: names.Draw(t, "doc"),
			Graph: drawGraph(t, 1),
			Opsets: list(t, 2, "opsets", func(int) onnx.Opset {
				return onnx.Opset{Domain: names.Draw(t, "domain"), Version: rapid.Int64().Draw(t, "version")}
			}),
			Metadata:  rapid.MapOfN(names, names, 0, 6).Draw(t, "metadata"),
			Functions: list(t, 2, "functions", func(int) *onnx.Function { return drawFunction(t) }),
			Training: list(t, 1, "training", func(int) *onnx.Training {
				return &onnx.Training{Initialization: drawGraph(t, 2), Algorithm: drawGraph(t, 2), InitializationBinding: drawEntries(t), UpdateBinding: drawEntries(t)}
			}),
			Devices: list(t, 1, "devices", func(int) onnx.Devices {
				return onnx.Devices{Name: names.Draw(t, "name"), Count: 2, Names: []string{"a"}}
			}),
		}
		var first, second bytes.Buffer
		if err := m.Encode(&first); err != nil {
			t.Fatal(err)
		}
		if int64(first.Len()) != m.EncodedSize() {
			t.Fatalf("EncodedSize says %d of %d bytes", m.EncodedSize(), first.Len())
		}
		back, err := onnx.Decode(first.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m, back) {
			t.Fatalf("went in as\n%+v\ncame out as\n%+v", m, back)
		}
		if err := back.Encode(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("another encoding (%v)", err)
		}
	})
}

// Metadata live in a map, whose order changes from one walk to the next.
func TestEncodeSameBytes(t *testing.T) {
	m := small()
	for i := range 30 {
		m.Metadata[fmt.Sprint("key ", i)] = fmt.Sprint(i)
	}
	want := encoded(t, m)
	for range 10 {
		if !bytes.Equal(want, encoded(t, m)) {
			t.Fatal("two encodings of one model differ")
		}
	}
}

// Other writers keep elements in typed lists, packed or one by one. Expected
// bytes are little-endian two's complement and IEEE 754, written out by hand.
func TestTypedElements(t *testing.T) {
	minus1 := ^uint64(0)
	single := protowire.AppendFixed64(protowire.AppendTag(nil, 10, protowire.Fixed64Type), 0x4000000000000000)
	for _, c := range []struct {
		name string
		typ  onnx.DataType
		dims uint64
		data []byte
		want []byte
	}{
		{"floats packed", onnx.Float, 2, sub(4, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}), []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}},
		{"floats one by one", onnx.Float, 2, pb(float(4, 1), float(4, -2)), []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}},
		{"int32", onnx.Int32, 2, sub(5, packed(minus1, 258)), []byte{0xff, 0xff, 0xff, 0xff, 2, 1, 0, 0}},
		{"int8 in int32", onnx.Int8, 2, pb(vint(5, minus1), vint(5, 3)), []byte{0xff, 3}},
		{"float16 in int32", onnx.Float16, 1, sub(5, packed(0x3c00)), []byte{0, 0x3c}},
		{"bool in int32", onnx.Bool, 3, sub(5, packed(1, 0, 1)), []byte{1, 0, 1}},
		{"int64 in two pieces", onnx.Int64, 2, pb(sub(7, packed(minus1)), vint(7, 1)), []byte{255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0}},
		{"double", onnx.Double, 1, single, []byte{0, 0, 0, 0, 0, 0, 0, 0x40}},
		{"uint64", onnx.Uint64, 1, sub(11, packed(minus1)), []byte{255, 255, 255, 255, 255, 255, 255, 255}},
		{"uint32 in uint64", onnx.Uint32, 1, sub(11, packed(0xffffffff)), []byte{255, 255, 255, 255}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The elements come before the type: nobody promises an order.
			m, err := onnx.Decode(modelWith(sub(5, c.data, vint(1, c.dims), vint(2, uint64(c.typ)), text(8, "x"))))
			if err != nil {
				t.Fatal(err)
			}
			if x := m.Graph.Initializers[0]; !bytes.Equal(x.Raw, c.want) || x.Elements() != int64(c.dims) {
				t.Errorf("got % x for %d elements, want % x", x.Raw, x.Elements(), c.want)
			}
		})
	}
}

// The Python package onnx wrote an initializer of every element type, once as a
// typed list and once as raw bytes (fixtures/oracle/onnx_view.py): both are read
// as the same bytes.
func TestEveryElementType(t *testing.T) {
	m, err := onnx.DecodeFile("../../fixtures/onnx/types.onnx")
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string]*onnx.Tensor{}
	for _, x := range m.Graph.Initializers {
		raw[x.Name] = x
	}
	pairs := 0
	for name, x := range raw {
		other := raw[strings.TrimSuffix(name, "_typed")+"_raw"]
		if !strings.HasSuffix(name, "_typed") || other == nil {
			continue
		}
		pairs++
		if !bytes.Equal(x.Raw, other.Raw) || int64(len(x.Raw)) != x.Bytes() || len(x.Raw) == 0 {
			t.Errorf("%s: % x as a list, % x as raw bytes", name, x.Raw, other.Raw)
		}
	}
	if pairs < 27 {
		t.Errorf("%d types", pairs)
	}
}
