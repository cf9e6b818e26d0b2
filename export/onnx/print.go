package onnx

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Print writes a model as stable text: declarations, nodes, one on each line
// with those of inner graphs below it, and functions. It gives the reason for
// nodes that attnx cannot run. Names with characters other than letters,
// digits, spaces and common marks are quoted, so that a file cannot inject
// lines or control codes.
func Print(w io.Writer, m *Model) error {
	p := printer{whyNot: m.marker()}
	p.line("ir_version %d", m.IRVersion)
	p.line("producer %s %s", shown(m.ProducerName), shown(m.ProducerVersion))
	p.opsets(m.Opsets)
	for _, k := range slices.Sorted(maps.Keys(m.Metadata)) {
		p.line("metadata %s (%d bytes)", shown(k), len(m.Metadata[k]))
	}
	for _, c := range m.Devices {
		p.line("configuration %s of %d devices", shown(c.Name), c.Count)
	}
	p.graph(m.Graph, versions(m.Opsets))
	for _, f := range m.Functions {
		p.function(f)
	}
	for _, t := range m.Training {
		if t.Initialization != nil {
			p.line("training, initialization")
			p.within(t.Initialization, versions(m.Opsets))
		}
		if t.Algorithm != nil {
			p.line("training, algorithm")
			p.within(t.Algorithm, versions(m.Opsets))
		}
	}
	_, err := io.WriteString(w, p.text.String())
	return err
}

// printer writes lines, indented by two spaces for each enclosing graph.
type printer struct {
	whyNot func(n *Node, opsets map[string]int64) string
	text   strings.Builder
	indent int
}

func (p *printer) line(format string, args ...any) {
	for range p.indent {
		p.text.WriteString("  ")
	}
	fmt.Fprintf(&p.text, format, args...)
	p.text.WriteByte('\n')
}

func (p *printer) opsets(list []Opset) {
	for _, o := range list {
		p.line("opset %s %d", strconv.Quote(o.Domain), o.Version)
	}
}

func (p *printer) graph(g *Graph, opsets map[string]int64) {
	for _, v := range g.Inputs {
		p.line("input %s%s", v, mark(v.WhyNot()))
	}
	for _, t := range g.Initializers {
		place := ""
		if t.External != nil {
			place = fmt.Sprintf(" in %s at %d", shown(t.External.Location), t.External.Offset)
		}
		p.line("initializer %s %s%s%s", shown(t.Name), t.text(), place, mark(t.WhyNot()))
	}
	for _, t := range g.Sparse {
		p.line("sparse initializer %s %s%s", shown(t.Name()), t.text(), mark(notSparse))
	}
	for _, a := range g.Annotations {
		p.line("quantization of %s", shown(a.Tensor))
	}
	p.nodes(g.Nodes, opsets)
	for _, v := range g.Outputs {
		p.line("output %s%s", v, mark(v.WhyNot()))
	}
}

// within writes an inner graph.
func (p *printer) within(g *Graph, opsets map[string]int64) {
	p.indent++
	p.graph(g, opsets)
	p.indent--
}

func (p *printer) nodes(list []*Node, opsets map[string]int64) {
	for _, n := range list {
		op := shown(n.Op)
		if d := standard(n.Domain); d != "" {
			op = shown(d) + "." + op
		}
		if n.Overload != "" {
			op += ":" + shown(n.Overload)
		}
		var attributes strings.Builder
		for _, a := range n.Attributes {
			fmt.Fprintf(&attributes, " %s=%s", shown(a.Name), a.text())
		}
		p.line("%s = %s(%s)%s%s", names(n.Outputs), op, names(n.Inputs), &attributes, mark(p.whyNot(n, opsets)))
		for _, a := range n.Attributes {
			for _, g := range a.graphs() {
				p.indent++
				p.line("%s: graph %s", shown(a.Name), shown(g.Name))
				p.within(g, opsets)
				p.indent--
			}
		}
	}
}

func (p *printer) function(f *Function) {
	p.line("function %s(%s) -> (%s)%s", f.label(), names(f.Inputs), names(f.Outputs), mark(notFunctions))
	p.indent++
	p.opsets(f.Opsets)
	for _, a := range f.Attributes {
		p.line("attribute %s", shown(a))
	}
	for _, a := range f.Defaults {
		p.line("attribute %s=%s", shown(a.Name), a.text())
	}
	p.nodes(f.Nodes, versions(f.Opsets))
	p.indent--
}

// mark ends a line that attnx cannot run with the reason.
func mark(why string) string {
	if why == "" {
		return ""
	}
	return "  # attnx cannot run it: " + why
}

// label returns "domain.name", with the overload if there is one.
func (f *Function) label() string {
	s := shown(f.Name)
	if f.Domain != "" {
		s = shown(f.Domain) + "." + s
	}
	if f.Overload != "" {
		s += ":" + shown(f.Overload)
	}
	return s
}

// shown returns a name from a file for a line of text, truncated.
func shown(name string) string {
	if len(name) > most {
		return bounded(name)
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" ._-+/:()<>", r) {
			return strconv.Quote(name)
		}
	}
	return name
}

// most is the maximum number of characters of a file's text in a message.
const most = 200

// bounded quotes the first characters of a text from a file.
func bounded(s string) string {
	if len(s) > most {
		return fmt.Sprintf("%.200q...", s)
	}
	return strconv.Quote(s)
}

func names(list []string) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = shown(n)
	}
	return strings.Join(out, ", ")
}

func (t *Tensor) text() string { return fmt.Sprintf("%s%v", t.DataType, t.Dims) }

func (t *SparseTensor) text() string {
	if t.Values == nil {
		return fmt.Sprintf("?%v", t.Dims)
	}
	return fmt.Sprintf("%s%v of %d values", t.Values.DataType, t.Dims, t.Values.Elements())
}

// graphs returns the graphs that an attribute holds.
func (a Attribute) graphs() []*Graph {
	if a.Graph != nil {
		return append([]*Graph{a.Graph}, a.Graphs...)
	}
	return a.Graphs
}

// text formats the value of an attribute; of graphs only the number of nodes.
func (a Attribute) text() string {
	switch {
	case a.Ref != "":
		return "@" + shown(a.Ref)
	case a.Type == AttrFloat:
		return strconv.FormatFloat(float64(a.Float), 'g', -1, 32)
	case a.Type == AttrInt:
		return strconv.FormatInt(a.Int, 10)
	case a.Type == AttrString:
		return bounded(string(a.String))
	case a.Type == AttrTensor && a.Tensor != nil:
		return a.Tensor.text()
	case a.Type == AttrGraph && a.Graph != nil:
		return fmt.Sprintf("graph of %d nodes", len(a.Graph.Nodes))
	case a.Type == AttrFloats:
		return fmt.Sprint(a.Floats)
	case a.Type == AttrInts:
		return fmt.Sprint(a.Ints)
	case a.Type == AttrStrings:
		return fmt.Sprintf("%.80q", a.Strings)
	case a.Type == AttrTensors:
		return each(a.Tensors, (*Tensor).text)
	case a.Type == AttrGraphs:
		return each(a.Graphs, func(g *Graph) string { return fmt.Sprintf("graph of %d nodes", len(g.Nodes)) })
	case a.Type == AttrType || a.Type == AttrTypes:
		return each(a.Types, (*Type).String)
	case a.Type == AttrSparse || a.Type == AttrSparses:
		return "sparse " + each(a.Sparse, (*SparseTensor).text)
	}
	return "?"
}

func each[T any](list []T, text func(T) string) string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = text(x)
	}
	return "[" + strings.Join(out, " ") + "]"
}
