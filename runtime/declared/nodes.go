package declared

import (
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of onnx.proto.
const (
	functionNode = 7 // FunctionProto.node

	nodeInput     = 1 // NodeProto
	nodeOutput    = 2
	nodeOp        = 4
	nodeAttribute = 5

	attributeName  = 1 // AttributeProto
	attributeInt   = 3
	attributeGraph = 6

	tensorDims = 1 // TensorProto.dims
)

// Node holds the parts of a NodeProto that are needed here.
type Node struct {
	Op      string
	in, out []string
	Ints    map[string]int64 // integer attributes
}

// maxDepth bounds the nesting depth of graphs.
const maxDepth = 50

// readNode reads a NodeProto and calls visit with it and with the nodes of its
// subgraphs, which have a depth greater than 0.
func readNode(r io.ReaderAt, off, end int64, depth int, visit func(n Node, depth int) error) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: graphs lie in one another more than %d deep", ErrNotONNX, maxDepth)
	}
	n := Node{Ints: map[string]int64{}}
	text := func(f field, s *string) error {
		b, err := payload(r, f.off, f.end)
		*s = string(b)
		return err
	}
	err := fields(r, off, end, func(f field) error {
		if !f.bytes {
			return nil
		}
		var s string
		switch f.num {
		case nodeInput:
			err := text(f, &s)
			n.in = append(n.in, s)
			return err
		case nodeOutput:
			err := text(f, &s)
			n.out = append(n.out, s)
			return err
		case nodeOp:
			return text(f, &n.Op)
		case nodeAttribute:
			var name string
			var x int64
			held := false
			err := fields(r, f.off, f.end, func(f field) error {
				switch {
				case f.num == attributeName && f.bytes:
					return text(f, &name)
				case f.num == attributeInt && !f.bytes:
					x, held = int64(f.x), true
				case f.num == attributeGraph && f.bytes:
					return fields(r, f.off, f.end, func(f field) error {
						if f.num != graphNode || !f.bytes {
							return nil
						}
						return readNode(r, f.off, f.end, depth+1, visit)
					})
				}
				return nil
			})
			if held {
				n.Ints[name] = x
			}
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return visit(n, depth)
}

// readTensor reads the name and shape of a weight, a TensorProto.
func readTensor(r io.ReaderAt, off, end int64) (name string, shape []int64, err error) {
	err = fields(r, off, end, func(f field) error {
		switch {
		case f.num == tensorName && f.bytes:
			b, err := payload(r, f.off, f.end)
			name = string(b)
			return err
		case f.num == tensorDims && f.bytes: // packed encoding
			b, err := payload(r, f.off, f.end)
			for len(b) > 0 && err == nil {
				x, n := protowire.ConsumeVarint(b)
				if err = protowire.ParseError(n); err == nil {
					shape, b = addDim(shape, x), b[n:]
				}
			}
			return err
		case f.num == tensorDims:
			shape = addDim(shape, f.x)
		}
		return nil
	})
	return name, shape, err
}

// addDim appends a size to a shape, up to a few dimensions.
func addDim(shape []int64, x uint64) []int64 {
	if len(shape) > 64 || x > math.MaxInt64 {
		return shape
	}
	return append(shape, int64(x))
}
