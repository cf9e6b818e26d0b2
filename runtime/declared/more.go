package declared

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Protocol buffers merge a message that occurs twice. So bytes that are appended to
// a model's, with a second graph, add to its graph.

// MoreInput returns what adds an input of shape [1] in float32 to a model.
func MoreInput(name string) []byte {
	shape := message(1, varint(1, 1))                                    // TensorShapeProto: dim { dim_value: 1 }
	tensor := message(1, slices.Concat(varint(1, 1), message(2, shape))) // TypeProto: tensor_type { elem_type: FLOAT, shape }
	input := slices.Concat(message(1, []byte(name)), message(2, tensor)) // ValueInfoProto: name, type
	return message(7, message(11, input))                                // ModelProto: graph { input }
}

// MoreFloat returns what adds an output to a model: a value of it, cast to float32.
func MoreFloat(value, name string) []byte {
	to := slices.Concat(message(1, []byte("to")), varint(3, 1), varint(20, 2)) // AttributeProto: name, i: FLOAT, type: INT
	node := slices.Concat(message(1, []byte(value)), message(2, []byte(name)), message(3, []byte(name)), message(4, []byte("Cast")), message(5, to))
	tensor := message(1, varint(1, 1))
	output := slices.Concat(message(1, []byte(name)), message(2, tensor))
	return message(7, slices.Concat(message(1, node), message(12, output))) // ModelProto: graph { node, output }
}

func message(number protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
}

func varint(number protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), n)
}
