package placement

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// schema is the signature of an operator from a version on.
type schema struct {
	since           int64
	deprecated      bool // from then on there is no such operator
	inputs, outputs []parameter

	minInputs, maxInputs, minOutputs, maxOutputs int
	optional                                     []int // inputs that may be left out

	attributes map[string]attribute
	types      map[string][]string // that a type variable may have, of those with several
}

// attribute is an attribute that an operator may have.
type attribute struct {
	typ      onnx.AttributeType
	required bool
}

// parameter is an input or output of an operator. Its type is a variable, or
// fixed, or, where a variable has one type only, both.
type parameter struct {
	name     string
	variable string
	fixed    string
	many     bool // the last one: it stands for any number
	mixed    bool // many, each of a type of its own
}

// schema reads domain, operator, version, inputs, outputs, their least and most
// numbers, attributes and types.
func (f *facts) schema(c []string, types map[string][]string) error {
	since, err := strconv.ParseInt(c[2], 10, 64)
	if err != nil {
		return err
	}
	s := schema{since: since, deprecated: c[3] == "deprecated"}
	key := operator{standard(c[0]), c[1]}
	if s.deprecated {
		f.schemas[key] = append(f.schemas[key], s)
		return nil
	}
	if s.inputs, err = parameters(c[3]); err != nil {
		return err
	}
	if s.outputs, err = parameters(c[4]); err != nil {
		return err
	}
	counts, err := numbers(c[5])
	if err != nil || len(counts) < 4 {
		return fmt.Errorf("counts %.80q", c[5])
	}
	s.minInputs, s.maxInputs, s.minOutputs, s.maxOutputs = counts[0], counts[1], counts[2], counts[3]
	s.optional = counts[4:]
	if s.attributes, err = attributes(c[6]); err != nil {
		return err
	}
	s.types = lists(c[7], types)
	f.schemas[key] = append(f.schemas[key], s)
	return nil
}

// attributes reads "axis:2;to:2!", with "!" after what is required.
func attributes(s string) (map[string]attribute, error) {
	out := map[string]attribute{}
	if s == "" {
		return out, nil
	}
	for part := range strings.SplitSeq(s, ";") {
		name, number, _ := strings.Cut(part, ":")
		number, required := strings.CutSuffix(number, "!")
		t, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("attribute %.80q", part)
		}
		out[name] = attribute{onnx.AttributeType(t), required}
	}
	return out, nil
}

// parameters reads "name:variable:type", with "*" or "?*" after what stands
// for many.
func parameters(s string) ([]parameter, error) {
	if s == "" {
		return nil, nil
	}
	var out []parameter
	for part := range strings.SplitSeq(s, ";") {
		c := strings.SplitN(part, ":", 3)
		if len(c) != 3 {
			return nil, fmt.Errorf("parameter %.80q", part)
		}
		p := parameter{name: c[0], variable: c[1]}
		p.fixed, p.many = strings.CutSuffix(c[2], "*")
		p.fixed, p.mixed = strings.CutSuffix(p.fixed, "?")
		out = append(out, p)
	}
	return out, nil
}

// at returns the version of the schema that a model's opset means: the newest
// that is not newer. It is nil if there is none, or the operator is no more.
func (f *facts) at(op operator, opset int64) *schema {
	list := f.schemas[op]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].since <= opset {
			if list[i].deprecated {
				return nil
			}
			return &list[i]
		}
	}
	return nil
}

// nth returns the parameter of the i-th input or output; the zero one if there
// is none.
func nth(list []parameter, i int) parameter {
	switch {
	case i < len(list):
		return list[i]
	case len(list) > 0 && list[len(list)-1].many:
		return list[len(list)-1]
	}
	return parameter{}
}

// is reports whether the name by which a kernel restricts types is the
// parameter's: its type variable, or, if that has none, its own
// (OpSchemaKernelTypeStrResolver in
// onnxruntime/core/framework/kernel_type_str_resolver.cc).
func (p parameter) is(name string) bool {
	return name != "" && (p.variable == name || p.name == name)
}
