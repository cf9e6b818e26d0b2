package schema

import (
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// Operator is the definition of an operator, valid from a version of its domain
// on.
type Operator struct {
	Domain string // "" is the standard domain
	Name   string
	Since  int64

	Deprecated bool // the operator is removed from this version on
	Function   bool // ONNX also defines it as a function of other operators
	Inference  bool // ONNX has a rule for the types and shapes of its outputs

	Inputs, Outputs []Parameter
	Attributes      []Attribute // sorted by name
	AnyAttribute    bool        // other attributes are allowed too

	MinInputs, MaxInputs   int
	MinOutputs, MaxOutputs int // Many: no limit

	// OutputCounts lists the allowed numbers of outputs, if not every number from
	// minimum to maximum is allowed.
	OutputCounts []int

	types map[string][]string // by type variable
}

// Many is the maximum number of inputs or outputs of an operator without a
// limit.
const Many = math.MaxInt32

// Option is whether a parameter may be omitted.
type Option int

// The options of a parameter.
const (
	Single Option = iota
	Optional
	Variadic // the last parameter, which may be repeated
)

// Parameter is an input or output of an operator.
type Parameter struct {
	Name   string
	Option Option
	Least  int  // minimum number of a variadic parameter
	Mixed  bool // the values of a variadic parameter may differ in type

	// Variable is the type variable: parameters with the same variable have the
	// same type. For a parameter with one fixed type it is the name of the type.
	Variable string
	Types    []string // the allowed types, as written by TypeName, sorted
}

// Takes reports whether a value of the parameter may have a type.
func (p *Parameter) Takes(typ string) bool {
	_, found := slices.BinarySearch(p.Types, typ)
	return found
}

// Attribute is an attribute that an operator may have.
type Attribute struct {
	Name     string
	Type     onnx.AttributeType
	Required bool
	Default  *onnx.Attribute // nil if there is none; shared, must not be changed
}

// Input returns the parameter of the i-th input, nil if there is none.
func (o *Operator) Input(i int) *Parameter { return nth(o.Inputs, i) }

// Output returns the parameter of the i-th output, nil if there is none.
func (o *Operator) Output(i int) *Parameter { return nth(o.Outputs, i) }

func nth(list []Parameter, i int) *Parameter {
	switch {
	case i >= 0 && i < len(list):
		return &list[i]
	case i >= 0 && len(list) > 0 && list[len(list)-1].Option == Variadic:
		return &list[len(list)-1]
	}
	return nil
}

// Attribute returns the attribute of the given name, nil if there is none.
func (o *Operator) Attribute(name string) *Attribute {
	i, found := slices.BinarySearchFunc(o.Attributes, name, func(a Attribute, name string) int {
		switch {
		case a.Name < name:
			return -1
		case a.Name > name:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &o.Attributes[i]
}

// TakesOutputs reports whether a node may have n outputs.
func (o *Operator) TakesOutputs(n int) bool {
	return n >= o.MinOutputs && n <= o.MaxOutputs && (o.OutputCounts == nil || slices.Contains(o.OutputCounts, n))
}

// Variables returns the type variables of o with their allowed types, including
// variables that no parameter uses.
func (o *Operator) Variables() map[string][]string { return o.types }

// Lookup returns an operator for a model that imports the given version of the
// domain: the newest definition up to that version, nil if there is none. It also
// returns deprecated operators. "ai.onnx" is the standard domain too.
func Lookup(domain, name string, version int64) *Operator {
	list := table().operators[key{Standard(domain), name}]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Since <= version {
			return list[i]
		}
	}
	return nil
}

// Versions returns the definitions of an operator, oldest first; none if the
// domain has no such operator.
func Versions(domain, name string) []*Operator {
	return slices.Clone(table().operators[key{Standard(domain), name}])
}

// All returns every definition, in the order of domains, names and versions.
func All() []*Operator { return slices.Clone(table().all) }

// Newest returns the newest known version of a domain, 0 if the domain is
// unknown.
func Newest(domain string) int64 { return table().newest[Standard(domain)] }

// IRVersion is the newest file format version that the table's ONNX can read.
func IRVersion() int64 { return table().ir }

// Standard returns the canonical name of a domain: the standard domain, "", has
// two names.
func Standard(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// TypeName returns a type's name in the table: "float" for a tensor,
// "seq(tensor(float))", "map(string,tensor(int64))". It is empty if t is empty.
// A type within another is written with tensor().
func TypeName(t *onnx.Type) string {
	if t != nil && t.Kind == onnx.TensorType {
		return t.DataType.String()
	}
	return inner(t)
}

func inner(t *onnx.Type) string {
	if t == nil {
		return ""
	}
	switch t.Kind {
	case onnx.TensorType:
		return "tensor(" + t.DataType.String() + ")"
	case onnx.SparseTensorType:
		return "sparse_tensor(" + t.DataType.String() + ")"
	case onnx.SequenceType:
		return "seq(" + inner(t.Elem) + ")"
	case onnx.OptionalType:
		return "optional(" + inner(t.Elem) + ")"
	case onnx.MapType:
		return "map(" + t.DataType.String() + "," + inner(t.Elem) + ")"
	case onnx.OpaqueType:
		if t.Domain == "" {
			return "opaque(" + t.Name + ")"
		}
		return "opaque(" + t.Domain + "," + t.Name + ")"
	}
	return ""
}

// ParseType returns the type for a name that TypeName writes, without shapes; nil
// if the name is invalid.
func ParseType(name string) *onnx.Type {
	for t := onnx.DataType(1); t.Known(); t++ {
		if name == t.String() {
			return &onnx.Type{Kind: onnx.TensorType, DataType: t, NoShape: true}
		}
	}
	kind, rest, ok := strings.Cut(name, "(")
	rest, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return nil
	}
	switch kind {
	case "tensor":
		return ParseType(rest)
	case "sparse_tensor":
		if t := ParseType(rest); t != nil && t.Kind == onnx.TensorType {
			t.Kind = onnx.SparseTensorType
			return t
		}
	case "seq", "optional":
		t := &onnx.Type{Kind: onnx.SequenceType, NoShape: true, Elem: ParseType(rest)}
		if kind == "optional" {
			t.Kind = onnx.OptionalType
		}
		if t.Elem != nil {
			return t
		}
	case "map":
		k, v, _ := strings.Cut(rest, ",")
		key, value := ParseType(k), ParseType(v)
		if key != nil && key.Kind == onnx.TensorType && value != nil {
			return &onnx.Type{Kind: onnx.MapType, DataType: key.DataType, NoShape: true, Elem: value}
		}
	}
	return nil
}
