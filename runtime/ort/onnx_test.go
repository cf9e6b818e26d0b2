package ort

import (
	"encoding/binary"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// This file writes the small models of the tests, byte by byte after
// onnx.proto: the package under test must not be shown only files that the
// project's own exporter wrote.

// Numbers of TensorProto.DataType.
const (
	protoFloat, protoUint8, protoInt32, protoInt64 = 1, 2, 6, 7
	protoBool, protoHalf, protoDouble              = 9, 10, 11
	protoBFloat16                                  = 16
)

type testNode struct {
	op      string
	in, out []string
	ints    map[string]int64 // attributes that hold one integer
}

// testValue declares a value; a dim is a number, or a name. Nil dims declare
// no shape, empty ones a scalar.
type testValue struct {
	name string
	elem uint64
	dims []string
}

// testWeight is an initializer of float32s.
type testWeight struct {
	name string
	dims []int64
	vals []float32
}

type testModel struct {
	nodes    []testNode
	inputs   []testValue
	outputs  []testValue
	weights  []testWeight
	metadata [][2]string
	opset    uint64 // 0 means 17
}

func message(b []byte, num protowire.Number, sub []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	return protowire.AppendBytes(b, sub)
}

func number(b []byte, num protowire.Number, x uint64) []byte {
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, x)
}

func text(b []byte, num protowire.Number, s string) []byte { return message(b, num, []byte(s)) }

func (v testValue) bytes() []byte {
	tensor := number(nil, 1, v.elem)
	if v.dims != nil {
		var shape []byte
		for _, d := range v.dims {
			var dim []byte
			if n, err := strconv.ParseUint(d, 10, 63); err == nil {
				dim = number(nil, 1, n)
			} else if d != "" {
				dim = text(nil, 2, d)
			}
			shape = message(shape, 1, dim)
		}
		tensor = message(tensor, 2, shape)
	}
	return message(text(nil, 1, v.name), 2, message(nil, 1, tensor))
}

// nodeBytes returns a NodeProto without a name.
func nodeBytes(n testNode) []byte {
	var node []byte
	for _, s := range n.in {
		node = text(node, 1, s)
	}
	for _, s := range n.out {
		node = text(node, 2, s)
	}
	node = text(node, 4, n.op)
	for name, x := range n.ints {
		a := text(nil, 1, name)
		a = number(a, 3, uint64(x))
		a = number(a, 20, 2) // INT
		node = message(node, 5, a)
	}
	return node
}

func (m testModel) bytes() []byte {
	var graph []byte
	for i, n := range m.nodes {
		name := "the_" + n.op // a name is one node's
		if i > 0 {
			name += strconv.Itoa(i)
		}
		node := append(nodeBytes(n), text(nil, 3, name)...)
		graph = message(graph, 1, node)
	}
	graph = text(graph, 2, "test")
	for _, w := range m.weights {
		var t []byte
		for _, d := range w.dims {
			t = number(t, 1, uint64(d))
		}
		t = number(t, 2, protoFloat)
		t = text(t, 8, w.name)
		var raw []byte
		for _, x := range w.vals {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		graph = message(graph, 5, message(t, 9, raw))
	}
	for _, v := range m.inputs {
		graph = message(graph, 11, v.bytes())
	}
	for _, v := range m.outputs {
		graph = message(graph, 12, v.bytes())
	}
	opset := m.opset
	if opset == 0 {
		opset = 17
	}
	b := number(nil, 1, 8) // ir_version
	b = text(b, 2, "attnx test")
	b = message(b, 7, graph)
	b = message(b, 8, number(text(nil, 1, ""), 2, opset))
	for _, kv := range m.metadata {
		b = message(b, 14, text(text(nil, 1, kv[0]), 2, kv[1]))
	}
	return b
}

// addModel computes sum = a + b.
func addModel(elem uint64, dims ...string) testModel {
	return testModel{
		nodes:   []testNode{{op: "Add", in: []string{"a", "b"}, out: []string{"sum"}}},
		inputs:  []testValue{{"a", elem, dims}, {"b", elem, dims}},
		outputs: []testValue{{"sum", elem, dims}},
	}
}

// embedModel looks ids (B,T) up in a table (3,2) whose row i is 10i, 10i+1.
func embedModel() testModel {
	return testModel{
		nodes:    []testNode{{op: "Gather", in: []string{"table", "ids"}, out: []string{"rows"}}},
		inputs:   []testValue{{"ids", protoInt64, []string{"B", "T"}}},
		outputs:  []testValue{{"rows", protoFloat, []string{"B", "T", "2"}}},
		weights:  []testWeight{{"table", []int64{3, 2}, []float32{0, 1, 10, 11, 20, 21}}},
		metadata: [][2]string{{"fingerprint", "abc"}, {"empty", ""}},
	}
}
