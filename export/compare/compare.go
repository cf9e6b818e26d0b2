package compare

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// Departure is a place where a file differs from what export writes.
type Departure struct {
	Place string // "h.0.ln_1.weight[3]", "h.0.ln_1: epsilon"
	Value string // the first affected value, by export's name; "" if there is none
	Text  string // what the file has, and what export writes
}

func (d Departure) String() string { return d.Place + " " + d.Text }

// Part is the result of comparing one kind of thing.
type Part struct {
	Compared, Total int         // Total counts what export writes
	Left            []string    // what could not be compared, by export's name
	Departures      []Departure // in graph order
}

// Result is the result of Models.
type Result struct {
	Initializers Part
	Nodes        Part // with the inputs and outputs of the model
	// Names maps the values of the file to export's names: values that are the
	// same, and values in the same place.
	Names map[string]string
}

// Whole reports whether everything could be compared.
func (r Result) Whole() bool { return len(r.Initializers.Left)+len(r.Nodes.Left) == 0 }

// Options control a comparison.
type Options struct {
	// Load returns the elements of an external initializer of the file. They
	// must stay valid until the next call.
	Load func(*onnx.Tensor) ([]byte, error)
	// Rounded means that another tool rounded the file to 16 bits: its floats
	// are export's rounded ones, and it may cast between floating-point types
	// anywhere.
	Rounded bool
	// Earlier lists the operators that an earlier version of export used where
	// this one writes something else; nil: the file is of this version. Parts
	// made of these operators are not compared, because running the file
	// checks them; attributes, weights and other numbers are still compared.
	Earlier []string
}

// Models compares a file with the model that export writes from the
// checkpoint. Its only error is one of Load.
func Models(file, want *onnx.Model, o Options) (Result, error) {
	strict, err := models(file, want, o, o.Rounded)
	if err != nil || len(strict.Nodes.Departures) == 0 || o.Rounded || !halved(want) || casts(file) <= casts(want) {
		return strict, err
	}
	// An optimizer for CPUs adds casts around operators that it does not have
	// in 16 bits.
	loose, err := models(file, want, o, true)
	if err == nil && len(loose.Nodes.Departures) == 0 {
		for _, d := range strict.Nodes.Departures {
			if !slices.Contains(loose.Nodes.Left, d.Value) {
				loose.Nodes.Left = append(loose.Nodes.Left, d.Value)
				loose.Nodes.Compared--
			}
		}
		return loose, nil
	}
	return strict, err
}

// casts returns the number of Cast nodes in a model.
func casts(m *onnx.Model) (n int) {
	for _, x := range m.Graph.Nodes {
		if operator(x) == "Cast" {
			n++
		}
	}
	return n
}

// halved reports whether a model has 16-bit initializers.
func halved(m *onnx.Model) bool {
	return slices.ContainsFunc(m.Graph.Initializers, func(t *onnx.Tensor) bool { return t.DataType == onnx.Float16 || t.DataType == onnx.BFloat16 })
}

// maxMore bounds how many more nodes than export's a file may have to be
// compared: each node that departs costs a walk over them.
const maxMore = 1024

// models compares once. anyCasts ignores casts between floating-point types.
func models(file, want *onnx.Model, o Options, anyCasts bool) (Result, error) {
	c := &comparison{
		Options: o, anyCasts: anyCasts, numbers: map[string]int{}, file: newSide(file), want: newSide(want), settled: map[string]int{},
		pairs: map[[2]string]bool{}, done: map[string]bool{}, loose: map[string]bool{}, paired: map[string]bool{}, judged: map[*onnx.Node]bool{},
		left: map[*onnx.Node]bool{},
	}
	if err := c.constants(); err != nil {
		return Result{}, err
	}
	if have, most := len(file.Graph.Nodes), 16*len(want.Graph.Nodes)+maxMore; have > most {
		c.departNode("the graph", "", "has %d nodes, export writes %d", have, len(want.Graph.Nodes))
		return c.result(), nil
	}
	c.number(c.want)
	c.number(c.file)
	c.declarations()
	// Compare values with export's names first, in graph order: an early
	// departure is then found before the values computed from it.
	for _, n := range want.Graph.Nodes {
		for _, out := range n.Outputs {
			if out != "" && c.file.makers[out] != nil {
				if err := c.pair(out, out, nil); err != nil {
					return Result{}, err
				}
			}
		}
	}
	for _, out := range want.Graph.Outputs {
		if _, ok := c.file.numbers[out.Name]; ok {
			if err := c.pair(out.Name, out.Name, nil); err != nil {
				return Result{}, err
			}
		}
	}
	return c.result(), nil
}

// comparison is a comparison in progress.
type comparison struct {
	Options
	anyCasts   bool // ignore casts between floating-point types
	file, want *side
	numbers    map[string]int     // by what a value is: equal numbers mean equal values
	settled    map[string]int     // numbers of compared values of the file, with export's value in the same place
	pairs      map[[2]string]bool // compared values of the file and of export
	done       map[string]bool    // compared initializers of export,
	loose      map[string]bool    // and the subset that another tool rounded by its own rule
	paired     map[string]bool    // values of export whose node was compared
	judged     map[*onnx.Node]bool
	left       map[*onnx.Node]bool // nodes of export that the file replaces with others of the same, or possibly the same, meaning
	tensors    []Departure
	nodes      []Departure
}

// side is one of the two models.
type side struct {
	*onnx.Model
	makers  map[string]*onnx.Node // by value
	tensors map[string]*onnx.Tensor
	numbers map[string]int  // of values: equal numbers mean equal values
	known   map[int]bool    // the set of numbers
	places  map[string]int  // of values, in graph order
	ops     map[string]bool // operators, with domain
}

func newSide(m *onnx.Model) *side {
	s := &side{
		Model: m, makers: map[string]*onnx.Node{}, tensors: map[string]*onnx.Tensor{}, numbers: map[string]int{},
		known: map[int]bool{}, places: map[string]int{}, ops: map[string]bool{},
	}
	for _, t := range m.Graph.Initializers {
		s.tensors[t.Name] = t
	}
	for i, n := range m.Graph.Nodes {
		s.ops[operator(n)] = true
		for _, out := range n.Outputs {
			if out != "" { // an omitted optional output
				s.makers[out], s.places[out] = n, i
			}
		}
		if t := constant(n); t != nil {
			s.tensors[n.Outputs[0]] = t
		}
	}
	return s
}

// constant returns the tensor of a Constant node, or nil.
func constant(n *onnx.Node) *onnx.Tensor {
	if n.Op != "Constant" || n.Domain != "" || len(n.Attributes) != 1 || len(n.Outputs) != 1 {
		return nil
	}
	return n.Attributes[0].Tensor
}

// operator returns the name of a node's operator, with its domain.
func operator(n *onnx.Node) string {
	if n.Domain == "" || n.Domain == "ai.onnx" {
		return n.Op
	}
	return n.Domain + "." + n.Op
}

// source returns where a value comes from, skipping nodes that pass their
// input on unchanged.
func (c *comparison) source(s *side, name string) string {
	for range len(s.Graph.Nodes) {
		n := s.makers[name]
		if n == nil || !c.transparent(s, n) {
			break
		}
		name = n.Inputs[0]
	}
	return name
}

// transparent reports whether a node passes its input on unchanged.
func (c *comparison) transparent(s *side, n *onnx.Node) bool {
	if n.Domain != "" || len(n.Inputs) != 1 {
		return false
	}
	return n.Op == "Identity" || c.anyCasts && n.Op == "Cast" && castTo(n).Floating() && floating(s, n.Inputs[0])
}

// castTo returns the target type of a Cast; 0 if it has none.
func castTo(n *onnx.Node) onnx.DataType {
	for _, a := range n.Attributes {
		if a.Name == "to" {
			return onnx.DataType(a.Int)
		}
	}
	return 0
}

// floating reports whether a cast value of an exported network is
// floating-point: few operators give integers and truth values.
func floating(s *side, name string) bool {
	for range len(s.Graph.Nodes) {
		n := s.makers[name]
		switch {
		case s.tensors[name] != nil:
			return s.tensors[name].DataType.Floating()
		case n == nil:
			i := slices.IndexFunc(s.Graph.Inputs, func(v onnx.ValueInfo) bool { return v.Name == name })
			return i >= 0 && s.Graph.Inputs[i].DataType.Floating()
		case n.Op == "Cast":
			return castTo(n).Floating()
		case slices.Contains([]string{"Shape", "Equal", "Less", "Greater", "Not", "And", "Or", "LessOrEqual", "GreaterOrEqual"}, n.Op) || len(n.Inputs) == 0:
			return false
		}
		name = n.Inputs[0]
	}
	return false
}

// result returns the result of the comparison.
func (c *comparison) result() Result {
	var r Result
	r.Initializers.Total = len(c.want.Graph.Initializers)
	for _, t := range c.want.Graph.Initializers {
		if !c.done[t.Name] || c.loose[t.Name] {
			r.Initializers.Left = append(r.Initializers.Left, t.Name)
		}
	}
	r.Initializers.Compared = r.Initializers.Total - len(r.Initializers.Left)
	r.Nodes.Total = len(c.want.Graph.Nodes)
	for _, n := range c.want.Graph.Nodes {
		same := slices.ContainsFunc(n.Outputs, func(out string) bool {
			return out != "" && (c.paired[out] || c.file.known[c.want.numbers[out]] && !c.left[n])
		})
		if !same && !c.transparent(c.want, n) {
			r.Nodes.Left = append(r.Nodes.Left, n.Outputs[0])
		}
	}
	r.Nodes.Compared = r.Nodes.Total - len(r.Nodes.Left)
	r.Names = c.names()
	r.Initializers.Departures, r.Nodes.Departures = c.sorted(c.tensors), c.sorted(c.nodes)
	return r
}

// names returns export's names for the values of the file. A value that
// already has one of these names keeps it.
func (c *comparison) names() map[string]string {
	ours := map[int]string{}
	for _, n := range c.want.Graph.Nodes {
		for _, out := range n.Outputs {
			if _, ok := ours[c.want.numbers[out]]; !ok && out != "" {
				ours[c.want.numbers[out]] = out
			}
		}
	}
	names := map[string]string{}
	for _, n := range c.file.Graph.Nodes {
		for _, out := range n.Outputs {
			if _, same := c.want.makers[out]; same {
				names[out] = out
			} else if name, ok := ours[c.file.numbers[out]]; ok && c.file.makers[name] == nil {
				names[out] = name
			}
		}
	}
	return names
}

// sorted sorts departures into graph order.
func (c *comparison) sorted(d []Departure) []Departure {
	slices.SortStableFunc(d, func(a, b Departure) int { return cmp.Compare(c.place(a.Value), c.place(b.Value)) })
	return d
}

func (c *comparison) place(value string) int {
	if i, ok := c.want.places[value]; ok {
		return i
	}
	return len(c.want.Graph.Nodes)
}

// departNode records a departure of the node of one of export's values.
func (c *comparison) departNode(place, value, format string, args ...any) {
	c.nodes = append(c.nodes, Departure{place, value, fmt.Sprintf(format, args...)})
}
