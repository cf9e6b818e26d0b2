package onnx

import (
	"math"
	"slices"
)

// Microsoft is the domain of ONNX Runtime's own operators.
const Microsoft = "com.microsoft"

// microsoftOps lists those that attnx writes, with numbers from ONNX Runtime's
// operator list (docs/ContribOperators.md). Other operators of the domain are
// not checked.
var microsoftOps = map[string]opRow{
	"BiasGelu":                         {1, 2, 2, 1, nil},
	"FastGelu":                         {1, 1, 2, 1, nil},
	"GroupQueryAttention":              {1, 1, -1, 4, []string{"num_heads", "kv_num_heads"}}, // key and value are omitted if query contains them
	"MatMulNBits":                      {1, 3, 6, 1, []string{"K", "N", "block_size"}},
	"SkipLayerNormalization":           {1, 3, 5, 4, nil},
	"SkipSimplifiedLayerNormalization": {1, 3, 4, 4, nil},
}

// blocks checks that the integers of a MatMulNBits match its attributes: a
// runtime trusts the attributes when it reads the integers.
func (c *checker) blocks(n *Node, where string, s *scope) error {
	value := map[string]int64{"bits": 4}
	for _, a := range n.Attributes {
		value[a.Name] = a.Int
	}
	k, out, bits, size := value["K"], value["N"], value["bits"], value["block_size"]
	switch {
	case k < 1 || out < 1 || k > math.MaxInt32 || out > math.MaxInt32: // the products below must fit in 63 bits
		return bad(where, "K %d and N %d", k, out)
	case !slices.Contains([]int64{2, 4, 8}, bits):
		return bad(where, "%d bits, expects 2, 4 or 8", bits)
	case size < 16 || size > 256 || size&(size-1) != 0:
		return bad(where, "block_size %d is not a power of two from 16 to 256", size)
	}
	blocks := (k + size - 1) / size
	for _, want := range []struct {
		input    int
		elements int64
		types    []DataType
	}{
		{1, out * blocks * (size * bits / 8), []DataType{Uint8}},
		{2, out * blocks, []DataType{Float, Float16, BFloat16}},
	} {
		t := s.stored[n.Inputs[want.input]]
		if t == nil {
			continue // not in the file: the runtime checks it
		}
		if !slices.Contains(want.types, t.DataType) || t.Elements() != want.elements {
			return bad(where, "input %.80q is %s%v, expects %d elements of %s", t.Name, t.DataType, t.Dims, want.elements, want.types[0])
		}
	}
	return nil
}
