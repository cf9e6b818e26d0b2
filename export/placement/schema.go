package placement

import (
	"fmt"
	"strconv"
	"strings"
)

// schema is the signature of an operator from a version on.
type schema struct {
	since           int64
	inputs, outputs []parameter
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

// schema reads domain, operator, version, inputs and outputs.
func (f *facts) schema(c []string) error {
	since, err := strconv.ParseInt(c[2], 10, 64)
	if err != nil {
		return err
	}
	s := schema{since: since}
	if s.inputs, err = parameters(c[3]); err != nil {
		return err
	}
	if s.outputs, err = parameters(c[4]); err != nil {
		return err
	}
	key := operator{standard(c[0]), c[1]}
	f.schemas[key] = append(f.schemas[key], s)
	return nil
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
			return nil, fmt.Errorf("parameter %q", part)
		}
		p := parameter{name: c[0], variable: c[1]}
		p.fixed, p.many = strings.CutSuffix(c[2], "*")
		p.fixed, p.mixed = strings.CutSuffix(p.fixed, "?")
		out = append(out, p)
	}
	return out, nil
}

// at returns the version of the schema that a model's opset means: the newest
// that is not newer.
func (f *facts) at(op operator, opset int64) *schema {
	list := f.schemas[op]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].since <= opset {
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
