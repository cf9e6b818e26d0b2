package diff

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/internal/quote"
)

// Matching is what corresponds in two files.
type Matching struct {
	a, b      *file
	top       *pairing
	functions []*pairing
	// Functions that only one of the files has.
	added, removed []functionName
}

// pairing is a pair of scopes.
type pairing struct {
	*matcher
	where  string // "" is the graph of the file
	inputs []port // places among the inputs
	outs   []port // places among the outputs
	inner  []*pairing
	x, y   *onnx.Function // nil: no functions
}

// Match finds the nodes and values of two files that correspond.
func Match(a, b File) (*Matching, error) {
	m := &Matching{a: newFile(a), b: newFile(b)}
	if err := m.matchFunctions(); err != nil {
		return nil, err
	}
	x, err := newSide(graphScope(a.Graph, versions(a.Opsets), m.a))
	if err != nil {
		return nil, err
	}
	y, err := newSide(graphScope(b.Graph, versions(b.Opsets), m.b))
	if err != nil {
		return nil, err
	}
	m.top = pairDeclared("", x, y, declared(x.free(), y.free()), declared(x.scope.outputs, y.scope.outputs))
	return m, nil
}

func newFile(f File) *file {
	return &file{File: f, functions: map[functionName]hash{}, digests: map[*onnx.Tensor]digest{}}
}

// free returns the inputs of a scope that hold nothing.
func (s *side) free() (all []onnx.ValueInfo) {
	for _, in := range s.inputs {
		if s.values[s.names[in.Name]].stored == nil {
			all = append(all, in)
		}
	}
	return all
}

// pairDeclared matches scopes of which inputs and outputs correspond.
func pairDeclared(where string, x, y *side, inputs, outputs []port) *pairing {
	p := &pairing{matcher: newMatcher(x, y), where: where, inputs: inputs, outs: outputs}
	first, second := x.free(), y.free()
	var sources []port
	for _, in := range inputs {
		sources = append(sources, port{x.names[first[in.a].Name], y.names[second[in.b].Name]})
	}
	p.run(sources)
	return p
}

// run matches the scopes and the subgraphs in them.
func (p *pairing) run(sources []port) {
	p.match(sources, p.outs)
	for i, j := range p.mates {
		if j < 0 {
			continue
		}
		x, y := &p.a.nodes[i], &p.b.nodes[j]
		for _, b := range x.bodies {
			at := slices.IndexFunc(y.bodies, func(c body) bool { return c.attribute == b.attribute && c.index == b.index })
			if at >= 0 {
				p.inner = append(p.inner, p.body(x, b, y.bodies[at]))
			}
		}
	}
}

// body matches subgraphs of two nodes: what they capture are pairs of this scope.
func (p *pairing) body(n *node, x, y body) *pairing {
	where := x.attribute + " of " + n.title()
	if p.where != "" {
		where += " in " + p.where
	}
	q := &pairing{matcher: newMatcher(x.side, y.side), where: where}
	var sources []port
	for i := range min(len(x.inputs), len(y.inputs)) {
		q.inputs = append(q.inputs, port{i, i})
		sources = append(sources, port{x.names[x.inputs[i].Name], y.names[y.inputs[i].Name]})
	}
	for i := range min(len(x.scope.outputs), len(y.scope.outputs)) {
		q.outs = append(q.outs, port{i, i})
	}
	taken := map[int]bool{}
	for at, v := range x.captured {
		outer := p.a.names[x.values[v].name]
		k := slices.IndexFunc(y.captured, func(w int) bool { return !taken[w] && p.same(outer, p.b.names[y.values[w].name]) })
		if k < 0 && at < len(y.captured) && p.alike(outer, p.b.names[y.values[y.captured[at]].name]) {
			k = at
		}
		if k >= 0 && !taken[y.captured[k]] {
			taken[y.captured[k]] = true
			sources = append(sources, port{v, y.captured[k]})
		}
	}
	q.run(sources)
	return q
}

// same reports whether two values correspond; stored ones if they hold the same.
func (p *pairing) same(u, v int) bool {
	if u < 0 || v < 0 {
		return u == v
	}
	x, y := p.a.values[u].stored, p.b.values[v].stored
	if x != nil && y != nil {
		return x.digest == y.digest
	}
	return x == nil && y == nil && p.values[u] == v
}

// alike reports whether two values are in the same place, whatever they hold.
func (p *pairing) alike(u, v int) bool {
	return p.same(u, v) || u >= 0 && v >= 0 && p.a.values[u].stored != nil && p.b.values[v].stored != nil
}

// matchFunctions matches the functions of the files: by name, and the others by what
// they hold.
func (m *Matching) matchFunctions() error {
	sides := [2]map[functionName]*side{{}, {}}
	held := [2]map[functionName]*onnx.Function{{}, {}}
	var names [2][]functionName
	for i, f := range []*file{m.a, m.b} {
		for _, fn := range f.Functions {
			s, err := newSide(functionScope(fn, f))
			if err != nil {
				return err
			}
			name := functionName{standard(fn.Domain), fn.Name, fn.Overload}
			sides[i][name], held[i][name] = s, fn
			names[i] = append(names[i], name)
		}
	}
	pairs := map[functionName]functionName{}
	contents := map[hash]functionName{}
	for _, name := range names[1] {
		if _, ok := sides[0][name]; ok {
			pairs[name] = name
		} else {
			contents[sides[1][name].content(held[1][name])] = name
		}
	}
	for _, name := range names[0] {
		if _, ok := pairs[name]; ok {
			continue
		}
		h := sides[0][name].content(held[0][name])
		if other, ok := contents[h]; ok {
			pairs[name] = other
			delete(contents, h)
		} else {
			m.removed = append(m.removed, name)
		}
	}
	used := map[functionName]bool{}
	for _, other := range pairs {
		used[other] = true
	}
	for _, name := range names[1] {
		if !used[name] {
			m.added = append(m.added, name)
		}
	}
	for _, name := range names[0] {
		other, ok := pairs[name]
		if !ok {
			continue
		}
		id := seed.text(name.domain).text(name.name).text(name.overload)
		m.a.functions[name], m.b.functions[other] = id, id
		x, y := sides[0][name], sides[1][other]
		count := func(n, k int) (all []port) {
			for i := range min(n, k) {
				all = append(all, port{i, i})
			}
			return all
		}
		p := pairDeclared("function "+name.String(), x, y, count(len(x.inputs), len(y.inputs)), count(len(x.scope.outputs), len(y.scope.outputs)))
		p.x, p.y = held[0][name], held[1][other]
		m.functions = append(m.functions, p)
	}
	return nil
}

func (f functionName) String() string {
	name := f.name
	if f.domain != "" {
		name = f.domain + "." + name
	}
	if f.overload != "" {
		name += ":" + f.overload
	}
	return quote.Line(name, 120)
}

// title returns the name of a node with its operator.
func (n *node) title() string {
	return fmt.Sprintf("%s (%s)", quote.Line(cmp.Or(n.Name, firstOf(n.Outputs), "a node"), 120), n.operator())
}

func (n *node) operator() string {
	if d := standard(n.Domain); d != "" {
		return quote.Line(d+"."+n.Op, 80)
	}
	return quote.Line(n.Op, 80)
}

func firstOf(names []string) string {
	for _, v := range names {
		if v != "" {
			return v
		}
	}
	return ""
}

// Values returns the names that values of the second file's graph have in the first:
// of inputs and of what nodes compute. Values without a counterpart are not there. The
// results of nodes that correspond do so in their order, whatever they compute.
func (m *Matching) Values() map[string]string {
	names := map[string]string{}
	for i, j := range m.top.mates {
		if j < 0 {
			continue
		}
		x, y := m.top.a.nodes[i].Outputs, m.top.b.nodes[j].Outputs
		for k := range min(len(x), len(y)) {
			if x[k] != "" && y[k] != "" {
				names[y[k]] = x[k]
			}
		}
	}
	for u, v := range m.top.values {
		if v >= 0 {
			names[m.top.b.values[v].name] = m.top.a.values[u].name
		}
	}
	return names
}

// Declared returns the names that the second file's inputs and outputs have in the
// first.
func (m *Matching) Declared() (inputs, outputs map[string]string) {
	inputs, outputs = map[string]string{}, map[string]string{}
	x, y := m.top.a.free(), m.top.b.free()
	for _, p := range m.top.inputs {
		inputs[y[p.b].Name] = x[p.a].Name
	}
	for _, p := range m.top.outs {
		outputs[m.top.b.scope.outputs[p.b].Name] = m.top.a.scope.outputs[p.a].Name
	}
	return inputs, outputs
}
