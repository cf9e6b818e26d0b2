package onnx

import "fmt"

// Model is a ModelProto.
type Model struct {
	IRVersion       int64             // 1
	ProducerName    string            // 2
	ProducerVersion string            // 3
	Domain          string            // 4
	ModelVersion    int64             // 5
	DocString       string            // 6
	Graph           *Graph            // 7
	Opsets          []Opset           // 8
	Metadata        map[string]string // 14, written in the order of its keys
}

// Opset is an OperatorSetIdProto: a version of a domain's operators. The
// standard domain is "".
type Opset struct {
	Domain  string // 1
	Version int64  // 2
}

// Graph is a GraphProto.
type Graph struct {
	Nodes        []*Node     // 1
	Name         string      // 2
	Initializers []*Tensor   // 5
	DocString    string      // 10
	Inputs       []ValueInfo // 11
	Outputs      []ValueInfo // 12
	Values       []ValueInfo // 13
}

// Node is a NodeProto. An empty input name is an optional input left out.
type Node struct {
	Inputs     []string    // 1
	Outputs    []string    // 2
	Name       string      // 3
	Op         string      // 4
	Attributes []Attribute // 5
	DocString  string      // 6
	Domain     string      // 7
}

// Attribute is an AttributeProto; Type says which field holds its value.
type Attribute struct {
	Name    string        // 1
	Float   float32       // 2
	Int     int64         // 3
	String  []byte        // 4
	Tensor  *Tensor       // 5
	Graph   *Graph        // 6
	Floats  []float32     // 7
	Ints    []int64       // 8
	Strings [][]byte      // 9
	Type    AttributeType // 20
}

// AttributeType is AttributeProto.AttributeType.
type AttributeType int32

// The attribute types.
const (
	AttrFloat   AttributeType = 1
	AttrInt     AttributeType = 2
	AttrString  AttributeType = 3
	AttrTensor  AttributeType = 4
	AttrGraph   AttributeType = 5
	AttrFloats  AttributeType = 6
	AttrInts    AttributeType = 7
	AttrStrings AttributeType = 8
)

// IntAttr returns an attribute that is an integer.
func IntAttr(name string, v int64) Attribute { return Attribute{Name: name, Type: AttrInt, Int: v} }

// IntsAttr returns an attribute that is a list of integers.
func IntsAttr(name string, v ...int64) Attribute {
	return Attribute{Name: name, Type: AttrInts, Ints: v}
}

// FloatAttr returns an attribute that is a number.
func FloatAttr(name string, v float32) Attribute {
	return Attribute{Name: name, Type: AttrFloat, Float: v}
}

// StringAttr returns an attribute that is a text.
func StringAttr(name, v string) Attribute {
	return Attribute{Name: name, Type: AttrString, String: []byte(v)}
}

// TensorAttr returns an attribute that is a tensor.
func TensorAttr(name string, v *Tensor) Attribute {
	return Attribute{Name: name, Type: AttrTensor, Tensor: v}
}

// Tensor is a TensorProto. Its elements are in Raw, little-endian and
// row-major, whichever field of the file they came from; or in another file,
// if External is not nil.
type Tensor struct {
	Dims      []int64   // 1
	DataType  DataType  // 2
	Name      string    // 8
	Raw       []byte    // 9
	DocString string    // 12
	External  *External // 13, 14
}

// External says where the elements of a tensor lie: bytes Offset to
// Offset+Length of a file whose path is relative to the model's.
type External struct {
	Location string
	Offset   int64
	Length   int64 // -1: up to the end of the file
	Checksum string
}

// DataType is TensorProto.DataType.
type DataType int32

// The element types.
const (
	Float    DataType = 1
	Uint8    DataType = 2
	Int8     DataType = 3
	Uint16   DataType = 4
	Int16    DataType = 5
	Int32    DataType = 6
	Int64    DataType = 7
	String   DataType = 8
	Bool     DataType = 9
	Float16  DataType = 10
	Double   DataType = 11
	Uint32   DataType = 12
	Uint64   DataType = 13
	BFloat16 DataType = 16
)

// dataTypes gives the name and the bytes of an element of the types that have
// a fixed size.
var dataTypes = map[DataType]struct {
	name string
	size int64
}{
	Float: {"float", 4}, Uint8: {"uint8", 1}, Int8: {"int8", 1}, Uint16: {"uint16", 2}, Int16: {"int16", 2},
	Int32: {"int32", 4}, Int64: {"int64", 8}, Bool: {"bool", 1}, Float16: {"float16", 2}, Double: {"double", 8},
	Uint32: {"uint32", 4}, Uint64: {"uint64", 8}, BFloat16: {"bfloat16", 2},
}

// Size returns the bytes of one element, 0 for a type without a fixed size.
func (t DataType) Size() int64 { return dataTypes[t].size }

// Floating reports whether t is a floating-point type.
func (t DataType) Floating() bool {
	return t == Float || t == Double || t == Float16 || t == BFloat16
}

// String returns ONNX's name of t.
func (t DataType) String() string {
	if row, ok := dataTypes[t]; ok {
		return row.name
	}
	if t == String {
		return "string"
	}
	return fmt.Sprintf("DataType(%d)", int32(t))
}

// ValueInfo is a ValueInfoProto of a tensor: its name, element type and shape.
type ValueInfo struct {
	Name     string
	DataType DataType
	Dims     []Dim
	NoShape  bool // the shape is left open, its rank too
}

// Dim is the size of an axis: a number, or a name for one that is open. The
// zero Dim with Open is an axis that has no name either.
type Dim struct {
	Value int64
	Param string
	Open  bool
}

// MetadataValue returns the metadata of the given key.
func (m *Model) MetadataValue(key string) (string, bool) {
	v, ok := m.Metadata[key]
	return v, ok
}

// Opset returns the version of the standard operators, 0 if none is declared.
func (m *Model) Opset() int64 {
	for _, o := range m.Opsets {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			return o.Version
		}
	}
	return 0
}
