package graph

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// ParseError reports where a text is not a valid graph.
type ParseError struct {
	Line int // from 1; 0: the whole text
	Err  error
}

func (e *ParseError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("graph text: %v", e.Err)
	}
	return fmt.Sprintf("graph text, line %d: %v", e.Line, e.Err)
}

func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads the output of Print and nothing else: for every text that it
// accepts, Print gives the same bytes. It accepts the operators of this package
// and those in more. Its memory use is proportional to the text.
func Parse(text string, more ...Op) (*Graph, error) {
	p := &parser{graph: &Graph{}, values: map[string]*Value{}, operators: map[string]Op{}}
	for _, op := range slices.Concat(operators, imported) {
		p.operators[op.Name()] = op
	}
	for _, op := range more {
		if _, taken := p.operators[op.Name()]; taken {
			return nil, fmt.Errorf("graph: operator %s is defined twice", op.Name())
		}
		p.operators[op.Name()] = op
	}
	if !strings.HasSuffix(text, "\n") {
		return nil, &ParseError{Err: errors.New("it does not end with a line break: it may be cut short")}
	}
	number := 0
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		number++
		if err := p.line(number, line); err != nil {
			return nil, &ParseError{number, err}
		}
	}
	if err := Verify(p.graph); err != nil {
		return nil, &ParseError{Err: err}
	}
	return p.graph, nil
}

type parser struct {
	graph     *Graph
	values    map[string]*Value
	operators map[string]Op
	rest      string // of the line
	printed   strings.Builder
}

func (p *parser) line(number int, line string) error {
	if number == 1 {
		if line != header {
			return fmt.Errorf("it begins with %s, expected %.80q", shorten(line), header)
		}
		return nil
	}
	p.rest = line
	p.printed.Reset()
	var err error
	switch {
	case strings.HasPrefix(line, "context "):
		if number != 2 {
			return errors.New("the context belongs on line 2")
		}
		n, err := strconv.Atoi(line[len("context "):])
		if err != nil || n < 1 {
			return fmt.Errorf("%s is not a number of tokens", shorten(line[len("context "):]))
		}
		p.graph.Context = n
		fmt.Fprintf(&p.printed, "context %d", n)
	case strings.HasPrefix(line, "output "):
		err = p.output()
	default:
		err = p.node()
	}
	if err != nil {
		return err
	}
	if p.printed.String() != line {
		return fmt.Errorf("it is not in the form that attnx writes: %s", shorten(p.printed.String()))
	}
	return nil
}

// take removes a prefix from the rest of the line.
func (p *parser) take(prefix string) error {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	if !ok {
		return fmt.Errorf("expected %.80q at %s", prefix, shorten(p.rest))
	}
	p.rest = rest
	return nil
}

// name takes a name, quoted or plain.
func (p *parser) name() (string, error) {
	if strings.HasPrefix(p.rest, `"`) {
		prefix, err := strconv.QuotedPrefix(p.rest)
		if err != nil {
			return "", fmt.Errorf("a quoted name does not end at %s", shorten(p.rest))
		}
		p.rest = p.rest[len(prefix):]
		return strconv.Unquote(prefix)
	}
	end := strings.IndexAny(p.rest, " ,()=")
	if end < 0 {
		end = len(p.rest)
	}
	name := p.rest[:end]
	if name == "" {
		return "", fmt.Errorf("expected a name at %s", shorten(p.rest))
	}
	p.rest = p.rest[end:]
	return name, nil
}

// known takes the name of an earlier value.
func (p *parser) known() (*Value, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	v := p.values[name]
	if v == nil {
		return nil, fmt.Errorf("no value is called %s so far", shorten(name))
	}
	return v, nil
}

// typ takes a type, such as F32(B,T,64).
func (p *parser) typ() (Type, error) {
	open, end := strings.IndexByte(p.rest, '('), strings.IndexByte(p.rest, ')')
	if open < 0 || end < open {
		return Type{}, fmt.Errorf("expected a type at %s", shorten(p.rest))
	}
	dtype, ok := format.ParseDType(p.rest[:open])
	if !ok {
		return Type{}, fmt.Errorf("there is no element type %s", shorten(p.rest[:open]))
	}
	shape, err := parseShape(p.rest[open : end+1])
	p.rest = p.rest[end+1:]
	return Type{dtype, shape}, err
}

// settings takes " key=value" up to the end of the line.
func (p *parser) settings() (map[string]string, error) {
	out := map[string]string{}
	for p.rest != "" {
		if err := p.take(" "); err != nil {
			return nil, err
		}
		key, value, ok := strings.Cut(p.rest, "=")
		if !ok {
			return nil, fmt.Errorf("expected key=value at %s", shorten(p.rest))
		}
		end := strings.IndexByte(value, ' ')
		if strings.HasPrefix(value, `"`) {
			prefix, err := strconv.QuotedPrefix(value)
			if err != nil {
				return nil, fmt.Errorf("a quoted value does not end at %s", shorten(value))
			}
			end = len(prefix)
		}
		if end < 0 {
			end = len(value)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("attribute %s is given twice", shorten(key))
		}
		out[key], p.rest = value[:end], value[end:]
	}
	return out, nil
}

func (p *parser) output() error {
	if err := p.take("output "); err != nil {
		return err
	}
	name, err := p.name()
	if err != nil {
		return err
	}
	if err := p.take(" = "); err != nil {
		return err
	}
	o := Output{Name: name}
	if o.Value, err = p.known(); err != nil {
		return err
	}
	settings, err := p.settings()
	if err != nil {
		return err
	}
	for key, text := range settings {
		if key != "role" {
			return fmt.Errorf("an output has no attribute %s", shorten(key))
		}
		if o.Role, err = roleOf(text); err != nil {
			return err
		}
	}
	p.graph.Outputs = append(p.graph.Outputs, o)
	o.print(&p.printed)
	return nil
}

// roleOf parses a role, quoted or not.
func roleOf(text string) (role.Role, error) {
	if strings.HasPrefix(text, `"`) {
		var err error
		if text, err = strconv.Unquote(text); err != nil {
			return role.Role{}, err
		}
	}
	return role.Parse(text)
}

func (p *parser) node() error {
	if len(p.graph.Outputs) > 0 {
		return errors.New("a value after the outputs")
	}
	n := &Node{}
	for {
		name, err := p.name()
		if err != nil {
			return err
		}
		if p.values[name] != nil {
			return fmt.Errorf("two values are called %s", shorten(name))
		}
		if err := p.take(" "); err != nil {
			return err
		}
		v := &Value{Node: n, Index: len(n.Results), Name: name}
		if v.Type, err = p.typ(); err != nil {
			return err
		}
		n.Results = append(n.Results, v)
		if !strings.HasPrefix(p.rest, ",") {
			break
		}
		if err := p.take(", "); err != nil {
			return err
		}
	}
	if err := p.take(" = "); err != nil {
		return err
	}
	name, err := p.name()
	if err != nil {
		return err
	}
	op := p.operators[name]
	if op == nil {
		return fmt.Errorf("there is no operator %s: give its definition to Parse if it is your own", shorten(name))
	}
	if !leaf(op) {
		if n.Args, err = p.arguments(); err != nil {
			return err
		}
	}
	settings, err := p.settings()
	if err != nil {
		return err
	}
	if n.Op, err = setAttributes(op, settings, n.Results[0].Type); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, v := range n.Results { // only now: a node must not use its own results
		if p.values[v.Name] != nil {
			return fmt.Errorf("two values are called %s", shorten(v.Name))
		}
		p.values[v.Name] = v
	}
	// Shapes grow from node to node, so each one is checked before the next.
	if err := verifyNode(n); err != nil {
		return err
	}
	p.graph.Nodes = append(p.graph.Nodes, n)
	switch op.(type) {
	case Input:
		p.graph.Inputs = append(p.graph.Inputs, n.Results[0])
	case Param:
		p.graph.Params = append(p.graph.Params, n.Results[0])
	}
	n.print(&p.printed)
	return nil
}

// arguments takes "(a, b)".
func (p *parser) arguments() ([]*Value, error) {
	if err := p.take("("); err != nil {
		return nil, err
	}
	var args []*Value
	if strings.HasPrefix(p.rest, ")") {
		return args, p.take(")")
	}
	for {
		v, err := p.known()
		if err != nil {
			return nil, err
		}
		args = append(args, v)
		if strings.HasPrefix(p.rest, ")") {
			return args, p.take(")")
		}
		if err := p.take(", "); err != nil {
			return nil, err
		}
	}
}

// ParseOp parses an operator with its attributes, "Softmax axis=1", as Print
// writes it without arguments.
func ParseOp(text string, more ...Op) (Op, error) {
	name, rest, _ := strings.Cut(text, " ")
	p := &parser{}
	if rest != "" {
		p.rest = " " + rest
	}
	settings, err := p.settings()
	if err != nil {
		return nil, err
	}
	for _, op := range append(Operators(), more...) {
		if op.Name() == name {
			return setAttributes(op, settings, Type{})
		}
	}
	return nil, fmt.Errorf("graph: there is no operator %s", shorten(name))
}
