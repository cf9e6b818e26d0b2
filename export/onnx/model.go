package onnx

import "strconv"

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
	Metadata        map[string]string // 14, sorted by key when written
	Training        []*Training       // 20
	Functions       []*Function       // 25
	Devices         []Devices         // 26

	RepeatedMetadata []string // keys that the file has more than once; Encode writes each once

	doubts []error // what Decode found and read past; Check reports it
}

// Opset is an OperatorSetIdProto: the version of a domain's operators. The
// standard domain is "".
type Opset struct {
	Domain  string // 1
	Version int64  // 2
}

// Entry is a StringStringEntryProto, for metadata below the model's.
type Entry struct {
	Key   string // 1
	Value string // 2
}

// Graph is a GraphProto.
type Graph struct {
	Nodes        []*Node         // 1
	Name         string          // 2
	Initializers []*Tensor       // 5
	DocString    string          // 10
	Inputs       []ValueInfo     // 11
	Outputs      []ValueInfo     // 12
	Values       []ValueInfo     // 13
	Annotations  []Annotation    // 14
	Sparse       []*SparseTensor // 15, initializers; the name is that of the values
	Metadata     []Entry         // 16
}

// Function is a FunctionProto: an operator defined in the model.
type Function struct {
	Name       string      // 1
	Inputs     []string    // 4
	Outputs    []string    // 5
	Attributes []string    // 6, those without a default
	Nodes      []*Node     // 7
	DocString  string      // 8
	Opsets     []Opset     // 9
	Domain     string      // 10
	Defaults   []Attribute // 11, the attributes that have one
	Values     []ValueInfo // 12
	Overload   string      // 13
	Metadata   []Entry     // 14
}

// Training is a TrainingInfoProto.
type Training struct {
	Initialization        *Graph  // 1
	Algorithm             *Graph  // 2
	InitializationBinding []Entry // 3
	UpdateBinding         []Entry // 4
}

// Annotation is a TensorAnnotation: the names of a value's quantization
// parameters.
type Annotation struct {
	Tensor     string  // 1
	Parameters []Entry // 2
}

// Devices is a DeviceConfigurationProto.
type Devices struct {
	Name  string   // 1
	Count int32    // 2
	Names []string // 3
}

// NodeDevices is a NodeDeviceConfigurationProto.
type NodeDevices struct {
	Configuration string   // 1
	Sharding      [][]byte // 2, each an encoded ShardingSpecProto
	Stage         *int32   // 3, of a pipeline
}

// Node is a NodeProto. An empty input name is an omitted optional input.
type Node struct {
	Inputs     []string      // 1
	Outputs    []string      // 2
	Name       string        // 3
	Op         string        // 4
	Attributes []Attribute   // 5
	DocString  string        // 6
	Domain     string        // 7
	Overload   string        // 8, of a function
	Metadata   []Entry       // 9
	Devices    []NodeDevices // 10
}

// Attribute is an AttributeProto; Type selects the field with its value.
type Attribute struct {
	Name      string          // 1
	Float     float32         // 2
	Int       int64           // 3
	String    []byte          // 4
	Tensor    *Tensor         // 5
	Graph     *Graph          // 6
	Floats    []float32       // 7
	Ints      []int64         // 8
	Strings   [][]byte        // 9
	Tensors   []*Tensor       // 10
	Graphs    []*Graph        // 11
	DocString string          // 13
	Types     []*Type         // 14 and 15; one if Type is AttrType
	Type      AttributeType   // 20
	Ref       string          // 21, in a function: the attribute of the function that provides the value
	Sparse    []*SparseTensor // 22 and 23; one if Type is AttrSparse

	Mistyped bool // the file has a value of another type than Type
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
	AttrTensors AttributeType = 9
	AttrGraphs  AttributeType = 10
	AttrSparse  AttributeType = 11
	AttrSparses AttributeType = 12
	AttrType    AttributeType = 13
	AttrTypes   AttributeType = 14
)

// attributeTypes are the names of the attribute types.
var attributeTypes = []string{
	"undefined", "float", "int", "string", "tensor", "graph", "floats", "ints", "strings", "tensors", "graphs", "sparse tensor", "sparse tensors", "type", "types",
}

// String returns the name of t.
func (t AttributeType) String() string {
	if t < 0 || int(t) >= len(attributeTypes) {
		return strconv.Itoa(int(t))
	}
	return attributeTypes[t]
}

// IntAttr returns an integer attribute.
func IntAttr(name string, v int64) Attribute { return Attribute{Name: name, Type: AttrInt, Int: v} }

// IntsAttr returns an attribute with a list of integers.
func IntsAttr(name string, v ...int64) Attribute {
	return Attribute{Name: name, Type: AttrInts, Ints: v}
}

// FloatAttr returns a float attribute.
func FloatAttr(name string, v float32) Attribute {
	return Attribute{Name: name, Type: AttrFloat, Float: v}
}

// StringAttr returns a string attribute.
func StringAttr(name, v string) Attribute {
	return Attribute{Name: name, Type: AttrString, String: []byte(v)}
}

// StringsAttr returns a string list attribute.
func StringsAttr(name string, v ...string) Attribute {
	a := Attribute{Name: name, Type: AttrStrings}
	for _, s := range v {
		a.Strings = append(a.Strings, []byte(s))
	}
	return a
}

// TensorAttr returns a tensor attribute.
func TensorAttr(name string, v *Tensor) Attribute {
	return Attribute{Name: name, Type: AttrTensor, Tensor: v}
}

// Tensor is a TensorProto. Its elements are in Raw, little-endian and
// row-major, whichever field of the file they came from; strings are in
// Strings; external elements are in another file, if External is not nil.
// Elements smaller than a byte are packed, the first in the lowest bits.
type Tensor struct {
	Dims      []int64   // 1
	DataType  DataType  // 2
	Segment   *Segment  // 3
	Strings   [][]byte  // 6
	Name      string    // 8
	Raw       []byte    // 9
	DocString string    // 12
	External  *External // 13, 14
	Metadata  []Entry   // 16

	Misplaced bool // the file has elements in a field that is not the type's, or in two: Decode has left some out
	Short     bool // the file has fewer elements than the shape, in the field of the type: Decode has left them out
}

// Segment is TensorProto.Segment: the range of a larger tensor.
type Segment struct {
	Begin, End int64 // 1, 2
}

// SparseTensor is a SparseTensorProto: the nonzero values and their positions.
type SparseTensor struct {
	Values  *Tensor // 1
	Indices *Tensor // 2
	Dims    []int64 // 3
}

// External is the place of a tensor's elements: bytes Offset to Offset+Length
// of a file. Its path is relative to the model's.
type External struct {
	Location string
	Offset   int64
	Length   int64 // -1: up to the end of the file
	Checksum string

	More []string // further locations in the file; a valid file of attnx has none
}

// ValueInfo is a ValueInfoProto: the name, element type and shape of a tensor,
// or the name and type of something else.
type ValueInfo struct {
	Name       string
	DataType   DataType
	Dims       []Dim
	NoShape    bool   // shape and rank are open
	Undefined  bool   // the file has the element type 0, UNDEFINED; otherwise a DataType of 0 is left out
	Other      *Type  // of a value that is not a tensor; nil for a tensor
	Denotation string // of the type
	DocString  string
	Metadata   []Entry
}

// Dim is the size of an axis: a number, or a name for an open one. The zero
// Dim with Open is an unnamed open axis.
type Dim struct {
	Value      int64
	Param      string
	Open       bool
	Denotation string
}

// MetadataValue returns the metadata of the given key.
func (m *Model) MetadataValue(key string) (string, bool) {
	v, ok := m.Metadata[key]
	return v, ok
}

// Opset returns the version of the standard operators; 0 if none is declared.
func (m *Model) Opset() int64 {
	for _, o := range m.Opsets {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			return o.Version
		}
	}
	return 0
}
