package schema

import (
	_ "embed"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/attnx/attnx/export/onnx"
)

type key struct{ domain, name string }

// facts is the content of schemas.tsv.
type facts struct {
	ir        int64
	newest    map[string]int64    // versions of domains
	lists     map[string][]string // lists of types, shared by many lines
	operators map[key][]*Operator // oldest first
	all       []*Operator
}

//go:embed schemas.tsv
var schemasTSV string

// table parses the data at first use. The file is embedded, so an error in it
// is a bug in the build.
var table = sync.OnceValue(func() *facts {
	f, err := parse(schemasTSV)
	if err != nil {
		panic(err)
	}
	return f
})

// parse reads the format that fixtures/oracle/onnx_schemas.py writes and
// documents.
func parse(text string) (*facts, error) {
	f := &facts{newest: map[string]int64{}, lists: map[string][]string{}, operators: map[key][]*Operator{}}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		c := strings.Split(line, "\t")
		var err error
		switch {
		case c[0] == "onnx" && len(c) == 3:
			f.ir, err = strconv.ParseInt(c[2], 10, 64)
		case c[0] == "onnxruntime" && len(c) == 2:
		case c[0] == "opset" && len(c) == 3:
			f.newest[Standard(c[1])], err = strconv.ParseInt(c[2], 10, 64)
		case c[0] == "types" && len(c) == 3:
			f.lists[c[1]] = splitTypes(c[2])
		case c[0] == "op" && len(c) == 9:
			var o *Operator
			if o, err = f.operator(c[1:]); err == nil {
				k := key{o.Domain, o.Name}
				f.operators[k] = append(f.operators[k], o)
				f.all = append(f.all, o)
			}
		default:
			err = fmt.Errorf("%d columns of kind %.80q", len(c), c[0])
		}
		if err != nil {
			return nil, fmt.Errorf("schemas.tsv: line %d: %w: make it again with fixtures/oracle/onnx_schemas.py", i+1, err)
		}
	}
	return f, nil
}

// Parse reads the columns of a line that defines an operator, after the word op,
// with all types spelled out. It serves operators that a runtime defines in
// addition to the table, or differently.
func Parse(columns []string) (*Operator, error) {
	if len(columns) != 8 {
		return nil, fmt.Errorf("%d columns, an operator has 8", len(columns))
	}
	return (&facts{}).operator(columns)
}

// operator reads the columns of an operator.
func (f *facts) operator(c []string) (o *Operator, err error) {
	o = &Operator{Domain: Standard(c[0]), Name: c[1]}
	if o.Since, err = strconv.ParseInt(c[2], 10, 64); err != nil {
		return nil, err
	}
	if err := o.flags(c[3]); err != nil {
		return nil, err
	}
	o.types = f.variables(c[7])
	if o.Inputs, err = o.parameters(c[4]); err != nil {
		return nil, err
	}
	if o.Outputs, err = o.parameters(c[5]); err != nil {
		return nil, err
	}
	o.MinInputs, o.MaxInputs = counts(o.Inputs)
	o.MinOutputs, o.MaxOutputs = counts(o.Outputs)
	if o.Attributes, err = attributes(c[6]); err != nil {
		return nil, err
	}
	return o, nil
}

// flags reads "d", "fi" or "io1+5".
func (o *Operator) flags(s string) error {
	s, list, some := strings.Cut(s, "o")
	for part := range strings.SplitSeq(list, "+") {
		n, err := strconv.Atoi(part)
		if err != nil && some {
			return err
		}
		if some {
			o.OutputCounts = append(o.OutputCounts, n)
		}
	}
	for _, flag := range s {
		switch flag {
		case 'd':
			o.Deprecated = true
		case 'f':
			o.Function = true
		case 'i':
			o.Inference = true
		case 'u':
			o.AnyAttribute = true
		default:
			return fmt.Errorf("flag %.80q", flag)
		}
	}
	return nil
}

// counts returns the minimum and maximum number of parameters: all up to the
// last required one.
func counts(list []Parameter) (least, most int) {
	for i, p := range list {
		switch p.Option {
		case Single:
			least = i + 1
		case Variadic:
			return max(least, i+p.Least), Many
		}
	}
	return least, len(list)
}

// variables reads "T=float,double;U=@3": the types of each variable.
func (f *facts) variables(s string) map[string][]string {
	out := map[string][]string{}
	for part := range strings.SplitSeq(s, ";") {
		name, list, ok := strings.Cut(part, "=")
		if !ok {
			continue
		}
		if shared, ok := f.lists[list]; ok {
			out[name] = shared
		} else {
			out[name] = splitTypes(list)
		}
	}
	return out
}

// splitTypes splits a list of types at the commas outside parentheses.
func splitTypes(s string) (out []string) {
	from, depth := 0, 0
	for i, c := range s {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}

// parameters reads "A:T;B:int64?;C:V*2!".
func (o *Operator) parameters(s string) (out []Parameter, err error) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ";") {
		name, typ, ok := strings.Cut(part, ":")
		if !ok {
			return nil, fmt.Errorf("parameter %.80q", part)
		}
		p := Parameter{}
		if p.Name, err = url.PathUnescape(name); err != nil {
			return nil, err
		}
		typ, p.Mixed = strings.CutSuffix(typ, "!")
		if typ, ok = strings.CutSuffix(typ, "?"); ok {
			p.Option = Optional
		}
		typ, least, variadic := strings.Cut(typ, "*")
		if variadic {
			p.Option, p.Least = Variadic, 1
			if least != "" {
				if p.Least, err = strconv.Atoi(least); err != nil {
					return nil, err
				}
			}
		}
		p.Variable = typ
		if p.Types = o.types[typ]; p.Types == nil {
			p.Types = []string{typ}
		}
		out = append(out, p)
	}
	return out, nil
}

// attributes reads "axis:2=0;to:2!;perm:7".
func attributes(s string) (out []Attribute, err error) {
	if s == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(s, ";") {
		name, rest, _ := strings.Cut(part, ":")
		number, value, def := strings.Cut(rest, "=")
		a := Attribute{}
		if a.Name, err = url.PathUnescape(name); err != nil {
			return nil, err
		}
		number, a.Required = strings.CutSuffix(number, "!")
		t, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("attribute %.80q", part)
		}
		a.Type = onnx.AttributeType(t)
		if def {
			if a.Default, err = defaultOf(a, value); err != nil {
				return nil, fmt.Errorf("attribute %.80q: %w", part, err)
			}
		}
		out = append(out, a)
	}
	return out, nil
}

// defaultOf reads the default of an attribute.
func defaultOf(a Attribute, s string) (*onnx.Attribute, error) {
	out := &onnx.Attribute{Name: a.Name, Type: a.Type}
	var err error
	switch a.Type {
	case onnx.AttrFloat:
		var v float64
		v, err = strconv.ParseFloat(s, 32)
		out.Float = float32(v)
	case onnx.AttrInt:
		out.Int, err = strconv.ParseInt(s, 10, 64)
	case onnx.AttrString:
		s, err = url.PathUnescape(s)
		out.String = []byte(s)
	case onnx.AttrInts:
		for part := range strings.SplitSeq(s, ",") {
			v, err := strconv.ParseInt(part, 10, 64)
			if err != nil {
				return nil, err
			}
			out.Ints = append(out.Ints, v)
		}
	case onnx.AttrStrings:
		for part := range strings.SplitSeq(s, ",") {
			v, err := url.PathUnescape(part)
			if err != nil {
				return nil, err
			}
			out.Strings = append(out.Strings, []byte(v))
		}
	default:
		return nil, fmt.Errorf("a default of type %s", a.Type)
	}
	return out, err
}
