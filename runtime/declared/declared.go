package declared

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// This file walks a model's top two levels and skips weights without reading
// them.

// Field numbers of onnx.proto.
const (
	modelGraph    = 7 // ModelProto
	modelFunction = 25

	graphNode              = 1 // GraphProto
	graphInitializer       = 5
	graphInput             = 11
	graphOutput            = 12
	graphSparseInitializer = 15

	tensorName = 8 // TensorProto.name

	sparseValues = 1 // SparseTensorProto.values

	valueName = 1 // ValueInfoProto
	valueType = 2

	typeTensor = 1 // TypeProto.tensor_type

	tensorElem  = 1 // TypeProto.Tensor
	tensorShape = 2

	shapeDim = 1 // TensorShapeProto.dim

	dimValue = 1 // TensorShapeProto.Dimension
	dimParam = 2
)

// maxHeader bounds the bytes of one input or output declaration. Names and
// dimensions take far less.
const maxHeader = 1 << 20

// ErrNotONNX matches, by errors.Is, errors about the bytes of a file.
var ErrNotONNX = errors.New("not a valid ONNX model")

// Refuse returns an error for a node that would crash a runtime.
type Refuse func(Node) error

// ReadFile reads the inputs and outputs of the model file at path.
func ReadFile(path string, refuse Refuse) (Signature, error) {
	info, err := os.Stat(path) // before opening: opening a pipe would block
	if err != nil {
		return Signature{}, err
	}
	if !info.Mode().IsRegular() {
		return Signature{}, fmt.Errorf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return Signature{}, err
	}
	defer f.Close()
	s, err := Read(f, info.Size(), refuse)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// KindError reports an input or output that is not a tensor of numbers. ReadFile and
// Read return what is declared with it, where such values have DType Invalid.
type KindError struct{ Name string }

func (e *KindError) Error() string {
	return fmt.Sprintf("%.80q is not a tensor of numbers: only ONNX Runtime runs such a file, alone", e.Name)
}

// Read reads the inputs and outputs of a model of the given size. It asks refuse
// about every node, those of functions and subgraphs included.
func Read(r io.ReaderAt, size int64, refuse Refuse) (Signature, error) {
	var s Signature
	r = &window{r: r}
	stored := make(map[string]bool) // names of weights; up to IR 3 they are also listed as inputs
	tables := newLookups()
	err := fields(r, 0, size, func(f field) error {
		if f.num == modelFunction && f.bytes {
			return fields(r, f.off, f.end, func(f field) error {
				if f.num != functionNode || !f.bytes {
					return nil
				}
				return readNode(r, f.off, f.end, 1, func(n Node, _ int) error { return refuse(n) })
			})
		}
		if f.num != modelGraph || !f.bytes {
			return nil
		}
		return fields(r, f.off, f.end, func(f field) error {
			if !f.bytes {
				return nil
			}
			switch f.num {
			case graphNode:
				return readNode(r, f.off, f.end, 0, func(n Node, depth int) error {
					if depth == 0 {
						tables.node(n)
					}
					return refuse(n)
				})
			case graphInitializer:
				name, shape, err := readTensor(r, f.off, f.end)
				stored[name], tables.shapes[name] = true, shape
				return err
			case graphSparseInitializer:
				return fields(r, f.off, f.end, func(f field) error {
					if f.num != sparseValues || !f.bytes {
						return nil
					}
					name, _, err := readTensor(r, f.off, f.end)
					stored[name] = true
					return err
				})
			case graphInput, graphOutput:
				v, err := readValue(r, f.off, f.end)
				if err != nil {
					return err
				}
				if f.num == graphInput {
					s.Inputs = append(s.Inputs, v)
				} else {
					s.Outputs = append(s.Outputs, v)
				}
			}
			return nil
		})
	})
	if err != nil {
		return Signature{}, err
	}
	var asked []runtime.Value
	for _, v := range s.Inputs {
		if !stored[v.Name] {
			asked = append(asked, v)
		}
	}
	s.Inputs = asked
	for _, v := range asked {
		tables.input(v)
	}
	s.Limits = tables.limits(asked)
	for _, v := range append(s.Inputs[:len(s.Inputs):len(s.Inputs)], s.Outputs...) {
		if v.DType == format.Invalid {
			return s, &KindError{Name: v.Name}
		}
	}
	return s, nil
}

// window reads a file in pieces, because declarations are many and short.
type window struct {
	r     io.ReaderAt
	at    int64
	bytes []byte
}

func (w *window) ReadAt(p []byte, off int64) (int, error) {
	const size = 64 << 10
	if len(p) > size {
		return w.r.ReadAt(p, off)
	}
	if off < w.at || off+int64(len(p)) > w.at+int64(len(w.bytes)) {
		if cap(w.bytes) == 0 {
			w.bytes = make([]byte, size)
		}
		n, err := w.r.ReadAt(w.bytes[:size], off)
		w.at, w.bytes = off, w.bytes[:n]
		if n < len(p) {
			return copy(p, w.bytes), err
		}
	}
	return copy(p, w.bytes[off-w.at:]), nil
}

// field is one field of a message: a number, or a length-delimited field whose
// payload is the bytes off to end.
type field struct {
	num      protowire.Number
	bytes    bool
	off, end int64
	x        uint64
}

// fields calls visit with every length-delimited field and every varint of the
// message in r from off to end. It skips other fields.
func fields(r io.ReaderAt, off, end int64, visit func(f field) error) error {
	var window [2 * binary.MaxVarintLen64]byte // a tag and a length, or a tag and a number
	for off < end {
		head := window[:min(int64(len(window)), end-off)]
		if n, err := r.ReadAt(head, off); n < len(head) {
			return fmt.Errorf("%w: byte %d: %v", ErrNotONNX, off, err)
		}
		num, typ, n := protowire.ConsumeTag(head)
		if n < 0 {
			return fmt.Errorf("%w: byte %d: %v", ErrNotONNX, off, protowire.ParseError(n))
		}
		if typ != protowire.BytesType {
			skip := protowire.ConsumeFieldValue(num, typ, head[n:])
			if skip < 0 || typ == protowire.StartGroupType {
				return fmt.Errorf("%w: byte %d: field %d is broken", ErrNotONNX, off, num)
			}
			off += int64(n + skip)
			if typ == protowire.VarintType {
				x, _ := protowire.ConsumeVarint(head[n:])
				if err := visit(field{num: num, x: x}); err != nil {
					return err
				}
			}
			continue
		}
		length, m := protowire.ConsumeVarint(head[n:])
		if m < 0 {
			return fmt.Errorf("%w: byte %d: %v", ErrNotONNX, off, protowire.ParseError(m))
		}
		start := off + int64(n+m)
		if length > uint64(end-start) {
			return fmt.Errorf("%w: byte %d: field %d claims %d bytes, %d are left", ErrNotONNX, off, num, length, end-start)
		}
		off = start + int64(length)
		if err := visit(field{num: num, bytes: true, off: start, end: off}); err != nil {
			return err
		}
	}
	return nil
}

func payload(r io.ReaderAt, off, end int64) ([]byte, error) {
	if end-off > maxHeader {
		return nil, fmt.Errorf("%w: byte %d: a declaration of %d bytes", ErrNotONNX, off, end-off)
	}
	b := make([]byte, end-off)
	if n, err := r.ReadAt(b, off); n < len(b) {
		return nil, fmt.Errorf("%w: byte %d: %v", ErrNotONNX, off, err)
	}
	return b, nil
}

// readValue reads a ValueInfoProto.
func readValue(r io.ReaderAt, off, end int64) (runtime.Value, error) {
	b, err := payload(r, off, end)
	if err != nil {
		return runtime.Value{}, err
	}
	v := runtime.Value{}
	err = walk(b, func(num protowire.Number, b []byte, _ uint64) error {
		switch num {
		case valueName:
			v.Name = string(b)
		case valueType:
			return walk(b, func(num protowire.Number, b []byte, _ uint64) error {
				if num != typeTensor {
					return nil
				}
				return walk(b, func(num protowire.Number, b []byte, x uint64) error { return tensorType(&v, num, b, x) })
			})
		}
		return nil
	})
	if err != nil {
		return runtime.Value{}, fmt.Errorf("%w: byte %d: %v", ErrNotONNX, off, err)
	}
	return v, nil
}

// tensorType reads one field of a TypeProto.Tensor.
func tensorType(v *runtime.Value, num protowire.Number, b []byte, x uint64) error {
	switch num {
	case tensorElem:
		if x < uint64(len(ElementTypes)) {
			v.DType = ElementTypes[x]
		}
	case tensorShape:
		v.Ranked = true
		return walk(b, func(num protowire.Number, b []byte, _ uint64) error {
			if num != shapeDim {
				return nil
			}
			d := runtime.Dim{Name: "?"}
			err := walk(b, func(num protowire.Number, b []byte, x uint64) error {
				switch {
				case num == dimValue && x < 1<<62:
					d = runtime.Dim{Size: int(x)}
				case num == dimParam && len(b) > 0:
					d = runtime.Dim{Name: string(b)}
				}
				return nil
			})
			v.Shape = append(v.Shape, d)
			return err
		})
	}
	return nil
}

// walk calls visit with every field of the message b: the payload of a
// length-delimited field, or the number of a varint.
func walk(b []byte, visit func(num protowire.Number, b []byte, x uint64) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(num, typ, b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		var err error
		switch typ {
		case protowire.BytesType:
			sub, _ := protowire.ConsumeBytes(b)
			err = visit(num, sub, 0)
		case protowire.VarintType:
			x, _ := protowire.ConsumeVarint(b)
			err = visit(num, nil, x)
		}
		if err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// ElementTypes maps the numbers of TensorProto.DataType to types. Types without a counterpart are Invalid.
var ElementTypes = [...]format.DType{
	1: format.Float32, 2: format.Uint8, 3: format.Int8, 4: format.Uint16, 5: format.Int16,
	6: format.Int32, 7: format.Int64, 9: format.Bool, 10: format.Float16, 11: format.Float64,
	12: format.Uint32, 13: format.Uint64, 16: format.BFloat16,
}
