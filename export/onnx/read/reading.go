package read

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Limits on nested and expanded functions and control flow.
const (
	maxDepth    = 64      // nesting depth of functions and graphs
	maxExpanded = 200_000 // nodes added by expansion
)

// reading is a model that is being converted.
type reading struct {
	m            *onnx.Model
	o            Options
	b            *graph.Builder
	functions    map[functionKey]*onnx.Function
	weights      []format.Tensor
	batchMoments bool // Result.BatchMoments
	parts        map[string]Part
	results      map[string]Part
	given        []*value // inputs, in order
	used         map[*value]bool
	symbols      map[string]graph.Dim // of named dimensions, by name in the file
	dims         map[graph.Dim]bool   // the named dimensions of the graph
	fresh        int                  // number of generated dimension names
	taken        map[string]bool      // names of values in use
	numbers      map[string]int       // the last number appended to a name
	renamed      map[string]string
	constants    map[string]*graph.Value
	late         map[*graph.Value]bool // results of what was recorded later
	budget       int                   // nodes that may still be read
	depth        int
	learned      map[string]bool // with Training: initializers that are parameters
	assumes      bool            // Result.Assumes
	// contradiction is Result.Contradiction.
	contradiction string
	declaredDims  map[string]graph.Dim // of declared values, by names that no input has
	block         int                  // channels in a block of com.microsoft.nchwc, 0 until it is asked for
}

type functionKey struct{ domain, name, overload string }

func newReading(m *onnx.Model, o Options) *reading {
	r := &reading{
		m: m, o: o, b: graph.NewBuilder(), parts: map[string]Part{}, results: map[string]Part{}, functions: map[functionKey]*onnx.Function{}, used: map[*value]bool{},
		symbols: map[string]graph.Dim{}, dims: map[graph.Dim]bool{}, taken: map[string]bool{}, numbers: map[string]int{}, renamed: map[string]string{}, constants: map[string]*graph.Value{}, late: map[*graph.Value]bool{}, declaredDims: map[string]graph.Dim{},
		budget: maxExpanded + len(m.Graph.Nodes),
	}
	if o.Training {
		r.learned = map[string]bool{}
		for name, use := range Uses(m) {
			r.learned[name] = use == Parameter || o.Learned[name]
		}
	}
	for _, f := range m.Functions {
		r.functions[functionKey{domainOf(f.Domain), f.Name, f.Overload}] = f
	}
	return r
}

// scope holds the names visible to the nodes of a graph.
type scope struct {
	parent *scope // enclosing scope, visible to a subgraph; nil for a function
	values map[string]*value
	opsets map[string]int64
	attrs  map[string]onnx.Attribute // of the function call
	prefix string                    // prepended to names that are taken
}

// lookup returns the value of a name, nil if there is none.
func (s *scope) lookup(name string) *value {
	for ; s != nil; s = s.parent {
		if v := s.values[name]; v != nil {
			return v
		}
	}
	return nil
}

func opsetsOf(list []onnx.Opset) map[string]int64 {
	opsets := map[string]int64{}
	for _, o := range list {
		opsets[domainOf(o.Domain)] = o.Version
	}
	return opsets
}

// domainOf returns "" for both spellings of the standard domain.
func domainOf(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

// reserve keeps generated names from using the file's names.
func (r *reading) reserve(g *onnx.Graph) {
	var names []string
	for _, n := range g.Nodes {
		names = append(names, n.Outputs...)
	}
	for _, t := range g.Initializers {
		names = append(names, t.Name)
	}
	for _, in := range g.Inputs {
		names = append(names, in.Name)
		r.taken[in.Name] = true
	}
	r.b.Reserve(names...)
}

// nodes reads nodes in order, which is topological.
func (r *reading) nodes(nodes []*onnx.Node, s *scope) error {
	if r.depth++; r.depth > maxDepth {
		return &UnsupportedError{Reason: fmt.Sprintf("functions and graphs within one another to a depth of %d", maxDepth)}
	}
	defer func() { r.depth-- }()
	for _, n := range nodes {
		if r.budget--; r.budget < 0 {
			return expanded(n)
		}
		if err := r.node(n, s); err != nil {
			return err
		}
	}
	return nil
}

// expanded refuses what makes too many nodes for attnx alone.
func expanded(n *onnx.Node) error {
	return &BoundError{UnsupportedError{Node: nodeName(n), Operator: n.Op, Reason: fmt.Sprintf("functions and loops make more than %d nodes", maxExpanded), Remedy: "only a runtime can run it"}, 0}
}

// node reads one node and names its results.
func (r *reading) node(o *onnx.Node, s *scope) (err error) {
	n := &node{r: r, onnx: o, scope: s, domain: domainOf(o.Domain), version: s.opsets[domainOf(o.Domain)], seen: map[string]bool{}, used: map[int]bool{}}
	defer n.recovered(&err)
	if len(s.attrs) > 0 || hasRef(o) {
		n.onnx = withAttributes(o, s.attrs)
	}
	for _, name := range o.Inputs {
		var v *value
		if name != "" {
			if v = s.lookup(name); v == nil {
				n.invalid("its input %.80q is no value that comes before it", name)
			}
		}
		n.args = append(n.args, v)
	}
	for len(n.args) > 0 && n.args[len(n.args)-1] == nil {
		n.args = n.args[:len(n.args)-1]
	}
	if f := r.functions[functionKey{n.domain, o.Op, o.Overload}]; f != nil {
		return r.call(n, f)
	}
	w, ok := table[key{n.domain, o.Op}]
	if !ok {
		panic(refusal{&UnsupportedError{Node: n.name(), Operator: n.operator(), Reason: "attnx does not read this operator", Remedy: "run the file in a runtime that has it, or put it into the file as a function"}})
	}
	if w.values != nil {
		if values := w.values(n); values != nil || w.read == nil {
			n.checkSeen()
			return n.define(values)
		}
	}
	if w.know != nil {
		if known := w.know(n); known != nil {
			n.checkSeen()
			values := make([]*value, len(known))
			for i, k := range known {
				values[i] = &value{elements: k}
				if w.read != nil && n.rounds(k) {
					values[i].later, values[i].place = &later{n: n, read: w.read}, i
				}
			}
			return n.define(values)
		}
	}
	if w.read == nil {
		n.open("it is computed while reading, and its arguments are not known")
	}
	values, err := n.recordBy(w.read)
	if err != nil {
		return err
	}
	return n.define(values)
}

// recordBy records a node and returns its results.
func (n *node) recordBy(read func(n *node) []*graph.Value) ([]*value, error) {
	n.b = n.r.b.Scope(n.r.unique(n.name()))
	before := len(n.r.b.Recorded())
	results := read(n)
	if err := n.recorded(); err != nil {
		return nil, err
	}
	n.checkSeen()
	return n.keep(results, before)
}

// keep names the results of a node. A result that the node returns without
// recording it becomes an Identity.
func (n *node) keep(results []*graph.Value, before int) ([]*value, error) {
	named := map[*graph.Value]bool{}
	values := make([]*value, len(results))
	for i, v := range results {
		if i >= len(n.onnx.Outputs) || n.onnx.Outputs[i] == "" || v == nil {
			continue
		}
		name := n.r.nameFor(n.onnx.Outputs[i], n.scope)
		if !slices.Contains(n.r.b.Recorded()[before:], v.Node) || v.Leaf() || named[v] || n.r.late[v] {
			v = n.r.b.Identity(v)
		}
		named[v] = true
		values[i] = &value{recorded: n.r.b.Name(name, v)}
	}
	return values, n.recorded()
}

// define enters the results of a node into its scope.
func (n *node) define(values []*value) error {
	for i, name := range n.onnx.Outputs {
		if name == "" {
			continue
		}
		if i >= len(values) || values[i] == nil {
			return &UnsupportedError{Node: n.name(), Operator: n.operator(), Reason: fmt.Sprintf("its output %d, %.80q, is not supported", i, name)}
		}
		v := *values[i]
		v.name, v.scope, v.input = name, n.scope, false
		if v.recorded != nil && v.recorded.Name != name && !n.r.isNamed(v.recorded, name) { // a value of another graph of the file
			v.recorded = n.r.b.Name(n.r.nameFor(name, n.scope), n.r.b.Identity(v.recorded))
		}
		n.scope.values[name] = &v
	}
	return nil
}

// isNamed reports whether v has a name in the file, possibly after renaming.
func (r *reading) isNamed(v *graph.Value, name string) bool { return r.renamed[v.Name] == name }

// nameFor returns a free name in the graph for a name in the file. If the name is
// taken, it adds the scope's prefix.
func (r *reading) nameFor(name string, s *scope) string {
	free := name
	if r.taken[free] {
		free = r.unique(s.prefix + name)
	}
	r.taken[free] = true
	if free != name {
		r.renamed[free] = name
	}
	return free
}

// unique returns name, or name with a number if it is taken.
func (r *reading) unique(name string) string {
	free := name
	for r.taken[free] {
		r.numbers[name] = max(2, r.numbers[name]+1)
		free = fmt.Sprintf("%s_%d", name, r.numbers[name])
	}
	return free
}

// fixed returns the inputs whose elements were used.
func (r *reading) fixed() (names []string) {
	for _, v := range r.given {
		if r.used[v] {
			names = append(names, v.name)
		}
	}
	return names
}

// openInputs returns the integer inputs with unknown elements.
func (r *reading) openInputs() (names []string) {
	for _, v := range r.given {
		bits, _ := v.recorded.DType.Integer()
		if v.elements == nil && (bits > 0 || v.recorded.DType == format.Bool || len(v.recorded.Shape) <= 1) {
			names = append(names, v.name)
		}
	}
	return names
}

// openDimensions returns the named dimensions without a size.
func (r *reading) openDimensions() (names []string) {
	for name, d := range r.symbols {
		if _, known := d.Number(); !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
