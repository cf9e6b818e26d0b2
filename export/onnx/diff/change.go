package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/schema"
	"github.com/attnx/attnx/internal/quote"
)

// Kind is a kind of change.
type Kind string

// The kinds.
const (
	NodeAdded     Kind = "node added"
	NodeRemoved   Kind = "node removed"
	Operator      Kind = "operator"
	Attribute     Kind = "attribute"
	Rewired       Kind = "rewired"         // a node or output reads another value
	Swapped       Kind = "swapped"         // two inputs of a node changed places
	Result        Kind = "result"          // a node gives an optional result in one file only
	Elements      Kind = "elements"        // of a stored value
	ElementType   Kind = "element type"    // of a stored value
	Shape         Kind = "shape"           // of a stored value
	Transposed    Kind = "transposed"      // the elements of a stored value are in another order of axes
	Joined        Kind = "joined"          // several stored values became one
	Parted        Kind = "split"           // a stored value became several
	StoredAdded   Kind = "value added"     // an initializer that nothing reads
	StoredRemoved Kind = "value removed"   // an initializer that nothing reads
	Declared      Kind = "declaration"     // of an input or output
	Function      Kind = "function"        // that one file has
	Opset         Kind = "operator set"    // another version
	Version       Kind = "format version"  // the IR version
	Metadata      Kind = "metadata"        // of the model
	Storage       Kind = "training graphs" // or devices
)

// Change is one difference between two files.
type Change struct {
	Kind Kind `json:"kind"`
	// Where is "" in the graph of the file, otherwise the subgraph or function.
	Where string `json:"where,omitempty"`
	// Node is the name of the node, in the first file if it is there, and Other its
	// name in the second file, if that is another.
	Node     string `json:"node,omitempty"`
	Other    string `json:"other,omitempty"`
	Operator string `json:"operator,omitempty"`
	Name     string `json:"name,omitempty"` // of the attribute, input, stored value or metadata
	From     string `json:"from,omitempty"` // in the first file
	To       string `json:"to,omitempty"`   // in the second file
	// Readers are the places that read a node's results, with what they read in the
	// other file.
	Readers []string      `json:"readers,omitempty"`
	Tensor  *TensorChange `json:"tensor,omitempty"`
}

// Names counts what differs in name, order or storage alone. None of it is a change.
type Names struct {
	Nodes        int `json:"nodes"`
	Values       int `json:"values"`       // results of nodes
	Initializers int `json:"initializers"` // and constants
	Reordered    int `json:"reordered"`    // nodes that are in another place among those with a counterpart
	Stored       int `json:"stored"`       // initializers that are constants or in another file, or the other way round
}

// Count counts nodes, also those in subgraphs and functions.
type Count struct {
	A       int `json:"a"`
	B       int `json:"b"`
	Matched int `json:"matched"`
}

// Report lists the differences between two files.
type Report struct {
	Nodes   Count    `json:"nodes"`
	Changes []Change `json:"changes"`
	More    int      `json:"more"` // changes that are not listed
	Renamed Names    `json:"renamed"`
}

// Equal reports whether the files differ in names, order and storage at most.
func (r *Report) Equal() bool { return len(r.Changes) == 0 }

// SameGraph reports whether the files have the same nodes and wiring, whatever they
// store.
func (r *Report) SameGraph() bool {
	return !slices.ContainsFunc(r.Changes, func(c Change) bool {
		switch c.Kind {
		case NodeAdded, NodeRemoved, Operator, Attribute, Rewired, Swapped, Result, Declared, Function:
			return true
		case Opset:
			return c.Where != "" // a function's decides what its nodes compute
		}
		return false
	})
}

// maxChanges bounds the list of changes.
const maxChanges = 10000

// collector makes a report.
type collector struct {
	*Matching
	Report
	failed error // of external data that could not be read
}

// Report lists what differs.
func (m *Matching) Report() (*Report, error) {
	c := &collector{Matching: m, Report: Report{Changes: []Change{}}}
	c.models()
	c.scope(m.top)
	for _, p := range m.functions {
		c.functionFields(p)
		c.scope(p)
	}
	return &c.Report, c.failed
}

func (c *collector) add(x Change) {
	if len(c.Changes) == maxChanges {
		c.More++
		return
	}
	c.Changes = append(c.Changes, x)
}

// models compares what is not in the graph.
func (c *collector) models() {
	a, b := c.a.Model, c.b.Model
	compare := func(k Kind, name, from, to string) {
		if from != to {
			c.add(Change{Kind: k, Name: name, From: from, To: to})
		}
	}
	if a.IRVersion != b.IRVersion {
		compare(Version, "IR", fmt.Sprint(a.IRVersion), fmt.Sprint(b.IRVersion))
	}
	x, y := versions(a.Opsets), versions(b.Opsets)
	for _, domain := range keys(x, y) {
		compare(Opset, cmp.Or(domain, "ai.onnx"), number(x, domain), number(y, domain))
	}
	compare(Metadata, "producer_name", a.ProducerName, b.ProducerName)
	compare(Metadata, "producer_version", a.ProducerVersion, b.ProducerVersion)
	compare(Metadata, "domain", a.Domain, b.Domain)
	if a.ModelVersion != b.ModelVersion {
		compare(Metadata, "model_version", fmt.Sprint(a.ModelVersion), fmt.Sprint(b.ModelVersion))
	}
	for _, key := range keys(a.Metadata, b.Metadata) {
		compare(Metadata, key, a.Metadata[key], b.Metadata[key])
	}
	if len(a.Training) != len(b.Training) {
		compare(Storage, "training", quote.Count(len(a.Training)), quote.Count(len(b.Training)))
	}
	for _, f := range c.removed {
		c.add(Change{Kind: Function, Name: f.String(), From: "there"})
	}
	for _, f := range c.added {
		c.add(Change{Kind: Function, Name: f.String(), To: "there"})
	}
}

func number(all map[string]int64, key string) string {
	if n, ok := all[key]; ok {
		return fmt.Sprint(n)
	}
	return ""
}

func keys[V any](a, b map[string]V) (all []string) {
	for k := range a {
		all = append(all, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// scope compares a pair of scopes.
func (c *collector) scope(p *pairing) {
	s := &scopeReport{collector: c, pairing: p, pairs: map[[2]*stored]bool{}, usedA: map[*stored]bool{}, usedB: map[*stored]bool{},
		pairedA: map[*stored]bool{}, pairedB: map[*stored]bool{}, readers: map[*node][]string{}}
	s.declarations()
	for i := range p.a.nodes {
		if p.mates[i] >= 0 {
			s.nodes(i, p.mates[i])
		}
	}
	s.outputs()
	s.alone()
	s.initializers()
	s.count()
	for _, inner := range p.inner {
		c.scope(inner)
	}
}

// scopeReport is the report on a pair of scopes.
type scopeReport struct {
	*collector
	*pairing
	pairs            map[[2]*stored]bool // stored values in the same place
	pairedA, pairedB map[*stored]bool
	usedA, usedB     map[*stored]bool   // named in the report or paired
	readers          map[*node][]string // of nodes without a counterpart
}

// of returns a change of a pair of nodes.
func (s *scopeReport) of(k Kind, i, j int) Change {
	x, y := &s.pairing.a.nodes[i], &s.pairing.b.nodes[j]
	c := Change{Kind: k, Where: s.where, Node: cmp.Or(x.Name, firstOf(x.Outputs)), Operator: x.operator()}
	if other := cmp.Or(y.Name, firstOf(y.Outputs)); other != c.Node {
		c.Other = other
	}
	return c
}

// nodes compares two nodes.
func (s *scopeReport) nodes(i, j int) {
	x, y := &s.pairing.a.nodes[i], &s.pairing.b.nodes[j]
	if x.labels[named] != y.labels[named] {
		c := s.of(Operator, i, j)
		c.From, c.To = x.signature(), y.signature()
		s.add(c)
	} else {
		s.attributes(i, j)
	}
	s.wires(i, j)
	for slot := range max(len(x.outs), len(y.outs)) {
		u, v := at(x.outs, slot), at(y.outs, slot)
		if (u >= 0 && s.pairing.a.isUsed(u)) != (v >= 0 && s.pairing.b.isUsed(v)) && (u < 0 || v < 0) {
			c := s.of(Result, i, j)
			c.Name = fmt.Sprintf("output %d", slot)
			if u >= 0 {
				c.From = quote.Line(x.Outputs[slot], 120)
			} else {
				c.To = quote.Line(y.Outputs[slot], 120)
			}
			s.add(c)
		}
	}
}

// signature returns the operator with the attributes that the file gives it.
func (n *node) signature() string {
	var texts []string
	for _, a := range n.attributes {
		if !a.byDefault {
			texts = append(texts, quote.Line(a.Name, 40)+"="+valueText(a.Attribute))
		}
	}
	if len(texts) == 0 {
		return n.operator()
	}
	return n.operator() + "{" + strings.Join(texts, ", ") + "}"
}

func (s *scopeReport) attributes(i, j int) {
	x, y := s.pairing.a.nodes[i].attributes, s.pairing.b.nodes[j].attributes
	find := func(list []attribute, name string) *attribute {
		k := slices.IndexFunc(list, func(a attribute) bool { return a.Name == name })
		if k < 0 {
			return nil
		}
		return &list[k]
	}
	for k := range x {
		b := find(y, x[k].Name)
		if b != nil && equalAttributes(x[k].Attribute, b.Attribute) {
			continue
		}
		c := s.of(Attribute, i, j)
		c.Name, c.From = x[k].Name, x[k].text()
		if b != nil {
			c.To = b.text()
		} else if x[k].byDefault {
			continue // of another version, which lacks it
		}
		s.add(c)
	}
	for k := range y {
		if find(x, y[k].Name) == nil && !y[k].byDefault {
			c := s.of(Attribute, i, j)
			c.Name, c.To = y[k].Name, y[k].text()
			s.add(c)
		}
	}
}

// declarations compares inputs and outputs.
func (s *scopeReport) declarations() {
	if s.where != "" { // of subgraphs and functions: their names are inner ones
		if a, b := len(s.pairing.a.inputs), len(s.pairing.b.inputs); a != b {
			s.add(Change{Kind: Declared, Where: s.where, Name: "inputs", From: fmt.Sprint(a), To: fmt.Sprint(b)})
		}
		if a, b := len(s.pairing.a.scope.outputs), len(s.pairing.b.scope.outputs); a != b {
			s.add(Change{Kind: Declared, Where: s.where, Name: "outputs", From: fmt.Sprint(a), To: fmt.Sprint(b)})
		}
		return
	}
	s.declared("input", s.pairing.a.free(), s.pairing.b.free(), s.inputs)
	s.overridable()
	s.declared("output", s.pairing.a.scope.outputs, s.pairing.b.scope.outputs, s.outs)
}

// overridable compares which stored values a caller may override. Callers know them by
// their names.
func (s *scopeReport) overridable() {
	only := func(all, other []onnx.ValueInfo) string {
		all = slices.DeleteFunc(slices.Clone(all), func(v onnx.ValueInfo) bool {
			return slices.ContainsFunc(other, func(w onnx.ValueInfo) bool { return w.Name == v.Name })
		})
		if len(all) == 0 {
			return ""
		}
		return list(all, func(v onnx.ValueInfo) string { return quote.Line(v.Name, 40) })
	}
	x, y := overridable(s.pairing.a), overridable(s.pairing.b)
	if from, to := only(x, y), only(y, x); from != to {
		s.add(Change{Kind: Declared, Name: "inputs with a default", From: from, To: to})
	}
}

func (s *scopeReport) declared(kind string, a, b []onnx.ValueInfo, pairs []port) {
	mates, matesB := map[int]int{}, map[int]bool{}
	for _, p := range pairs {
		mates[p.a], matesB[p.b] = p.b, true
	}
	last, moved := -1, false
	for i, v := range a {
		j, ok := mates[i]
		if !ok {
			s.add(Change{Kind: Declared, Name: kind + " " + v.Name, From: v.TypeText()})
			continue
		}
		moved, last = moved || j < last, max(j, last)
		if from, to := v.String(), b[j].String(); from != to {
			s.add(Change{Kind: Declared, Name: kind + " " + v.Name, From: from, To: to})
		}
	}
	for j, v := range b {
		if !matesB[j] {
			s.add(Change{Kind: Declared, Name: kind + " " + v.Name, To: v.TypeText()})
		}
	}
	if moved {
		names := func(all []onnx.ValueInfo) string {
			return list(all, func(v onnx.ValueInfo) string { return quote.Line(v.Name, 40) })
		}
		s.add(Change{Kind: Declared, Name: "order of " + kind + "s", From: names(a), To: names(b)})
	}
}

// slotName returns the name of an input of a node.
func slotName(s *side, n *node, slot int) string {
	name := fmt.Sprintf("input %d", slot)
	domain := standard(n.Domain)
	if op := schema.Lookup(domain, n.Op, s.opsets[domain]); op != nil {
		if p := op.Input(slot); p != nil && p.Option != schema.Variadic {
			name += " (" + p.Name + ")"
		}
	}
	return name
}
