package diff

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/attnx/attnx/export/onnx"
)

// digest identifies elements with their type and shape.
type digest [sha256.Size]byte

// constantOf returns what a Constant node holds, nil for another node.
func constantOf(n *onnx.Node) *stored {
	if n.Op != "Constant" || standard(n.Domain) != "" || len(n.Inputs) != 0 || len(n.Outputs) != 1 || len(n.Attributes) != 1 {
		return nil
	}
	c := &stored{name: n.Outputs[0], constant: true}
	a := &n.Attributes[0]
	if a.Ref != "" {
		return nil
	}
	if a.Name == "sparse_value" && len(a.Sparse) == 1 {
		c.sparse = a.Sparse[0]
		return c
	}
	if c.tensor = tensorOf(a); c.tensor == nil || a.Name != "value" && a.Type == onnx.AttrTensor {
		return nil
	}
	return c
}

// tensorOf returns the value of an attribute as a tensor; nil if it is none.
func tensorOf(a *onnx.Attribute) *onnx.Tensor {
	list := func(n int) []int64 { return []int64{int64(n)} }
	switch a.Type {
	case onnx.AttrTensor:
		return a.Tensor
	case onnx.AttrFloat:
		return &onnx.Tensor{DataType: onnx.Float, Dims: []int64{}, Raw: floatBytes(a.Float)}
	case onnx.AttrFloats:
		return &onnx.Tensor{DataType: onnx.Float, Dims: list(len(a.Floats)), Raw: floatBytes(a.Floats...)}
	case onnx.AttrInt:
		return &onnx.Tensor{DataType: onnx.Int64, Dims: []int64{}, Raw: intBytes(a.Int)}
	case onnx.AttrInts:
		return &onnx.Tensor{DataType: onnx.Int64, Dims: list(len(a.Ints)), Raw: intBytes(a.Ints...)}
	case onnx.AttrString:
		return &onnx.Tensor{DataType: onnx.String, Dims: []int64{}, Strings: [][]byte{a.String}}
	case onnx.AttrStrings:
		return &onnx.Tensor{DataType: onnx.String, Dims: list(len(a.Strings)), Strings: a.Strings}
	}
	return nil
}

func floatBytes(v ...float32) (raw []byte) {
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return raw
}

func intBytes(v ...int64) (raw []byte) {
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return raw
}

// fingerprint sets the digest of a stored value. Each tensor is read once.
func (f *file) fingerprint(s *stored) (err error) {
	if s.tensor != nil {
		s.digest, err = f.digestOf(s.tensor)
		return err
	}
	h := sha256.New()
	h.Write(dims(s.sparse.Dims))
	for _, t := range []*onnx.Tensor{s.sparse.Values, s.sparse.Indices} {
		if t == nil {
			continue
		}
		d, err := f.digestOf(t)
		if err != nil {
			return err
		}
		h.Write(d[:])
	}
	h.Sum(s.digest[:0])
	return nil
}

func (f *file) digestOf(t *onnx.Tensor) (digest, error) {
	if d, known := f.digests[t]; known {
		return d, nil
	}
	elements, err := t.Hash(f.Dir)
	if err != nil {
		return digest{}, err
	}
	h := sha256.New()
	h.Write(elements[:])
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(t.DataType)))
	h.Write(dims(t.Dims))
	var d digest
	h.Sum(d[:0])
	f.digests[t] = d
	return d, nil
}

func dims(d []int64) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(d))), intBytes(d...)...)
}

// kind returns the type of what is stored, "float[2,3]".
func (s *stored) kind() string {
	if s.sparse != nil && s.sparse.Values != nil {
		v := onnx.ValueInfo{DataType: s.sparse.Values.DataType, Dims: fixed(s.sparse.Dims)}
		return "sparse " + v.TypeText()
	}
	if s.tensor == nil {
		return "sparse"
	}
	return onnx.ValueInfo{DataType: s.tensor.DataType, Dims: fixed(s.tensor.Dims)}.TypeText()
}

func fixed(sizes []int64) []onnx.Dim {
	all := make([]onnx.Dim, len(sizes))
	for i, n := range sizes {
		all[i].Value = n
	}
	return all
}
