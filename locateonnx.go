package attnx

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/diff"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
)

// found is a part of an ONNX file whose result departs, as small as it could be
// made.
type found struct {
	*cuts
	value string // its result
	like  string // its counterpart in another file, if that has another name
	node  int    // the node at fault
	nodes []int
	fed   map[string]format.Tensor // what the part reads
	want  exact                    // of the same inputs; no tensor if it is not known
	got   *format.Tensor           // nil: it gave none
	err   error                    // instead of a result
	by    runtime.Difference
}

// origin describes the place in a report.
func (f *found) origin() runtime.Origin {
	o := runtime.Origin{Value: f.value, Node: f.name(f.node)}
	switch {
	case f.err != nil:
		o.Note = fmt.Sprintf("node %s alone: %v", o.Node, f.err)
	case f.by.FirstBad != nil:
		o.Note = fmt.Sprintf("from the same inputs, %s", f.by.FirstBad)
	case f.by.Reason != "":
		o.Note = "from the same inputs, " + f.by.Reason
	default:
		o.Note = fmt.Sprintf("from the same inputs, %s differs by %.2g of its root mean square", f.value, f.by.MaxRel)
	}
	if f.like != "" {
		o.Note += "; in the first file it is " + quote.Line(f.like, 200)
	}
	if len(f.nodes) > 1 {
		var names []string
		for _, i := range f.nodes {
			names = append(names, f.name(i))
		}
		o.Note += fmt.Sprintf("; this takes %d nodes together: %s", len(names), strings.Join(few(names), ", "))
	}
	return o
}

// name returns the name of a node, or its first result, with its operator.
func (p *cuts) name(node int) string {
	n := p.Graph.Nodes[node]
	return fmt.Sprintf("%s (%s)", quote.Line(cmp.Or(n.Name, firstOf(n.Outputs)), 200), quote.Line(n.Op, 80))
}

func firstOf(names []string) string {
	for _, v := range names {
		if v != "" {
			return v
		}
	}
	return ""
}

// runSearch looks for the first node of a file that a runtime computes wrongly.
//
// It goes through the file in pieces that fit into memory. The oracle computes all
// values of a piece. The runtime gets them as inputs and computes each node alone, so
// no error of one node reaches another. If all nodes are right, the runtime computes
// the piece as a whole: marked outputs prevent fusions, and a fault may be in one.
// The piece is then cut down to the nodes that are wrong together.
type runSearch struct {
	*cuts
	open     opener
	computed format.DType
	stored   map[string]onnx.DataType // of the weights; nil: not asked yet
}

// find returns the first node that departs in a case, or nil if none does.
func (s *runSearch) find(inputs map[string]format.Tensor) (*found, error) {
	last := s.lastReaders()
	known := maps.Clone(inputs)
	var before piece
	for _, nodes := range s.pieces(inputs) {
		p := piece{nodes: nodes, known: known}
		if err := s.evaluate(&p); err != nil {
			return nil, err
		}
		f, _, err := s.alone(p)
		if f == nil && err == nil && before.nodes != nil { // a fusion may cross the border
			f, err = s.together(before.joined(p), last)
		}
		if f == nil && err == nil {
			f, err = s.together(p, last)
		}
		if f != nil || err != nil {
			return f, err
		}
		before, known = p, map[string]format.Tensor{}
		for v, t := range p.all {
			if last[v] > nodes[len(nodes)-1] {
				known[v] = t
			}
		}
	}
	return nil, nil
}

// findRefused returns the first node that the runtime does not open or run, nil if
// it takes each of them alone.
func (s *runSearch) findRefused(inputs map[string]format.Tensor) (*found, error) {
	last := s.lastReaders()
	known := maps.Clone(inputs)
	for _, nodes := range s.pieces(inputs) {
		p := piece{nodes: nodes, known: known}
		if err := s.evaluate(&p); err != nil {
			return nil, err
		}
		_, refused, err := s.alone(p)
		if refused != nil || err != nil {
			return refused, err
		}
		known = map[string]format.Tensor{}
		for v, t := range p.all {
			if last[v] > nodes[len(nodes)-1] {
				known[v] = t
			}
		}
	}
	return nil, nil
}

// piece is a number of nodes with their values.
type piece struct {
	nodes  []int
	known  map[string]format.Tensor // values before them, in their types
	all    map[string]format.Tensor // and their results
	values map[string]exact         // their results; nil: not computed
}

// evaluate computes the results of the piece.
func (s *runSearch) evaluate(p *piece) (err error) {
	if p.values, err = s.oracle(s.results(p.nodes...), p.known); err != nil {
		return err
	}
	p.all = maps.Clone(p.known)
	for v, e := range p.values {
		if p.all[v], err = e.rounded(); err != nil {
			return err
		}
	}
	return nil
}

// joined returns the second half of p with the first half of next.
func (p piece) joined(next piece) piece {
	half := len(p.nodes) / 2
	j := piece{nodes: append(slices.Clone(p.nodes[half:]), next.nodes[:(len(next.nodes)+1)/2]...), known: maps.Clone(p.all), all: next.all, values: maps.Clone(p.values)}
	maps.Copy(j.values, next.values)
	return j
}

// lastReaders returns the last node that reads each value; the number of nodes for
// outputs of the file.
func (p *cuts) lastReaders() map[string]int {
	last := map[string]int{}
	for i := range p.Graph.Nodes {
		for _, v := range p.Reads(i) {
			last[v] = i
		}
	}
	for _, out := range p.Graph.Outputs {
		last[out.Name] = len(p.Graph.Nodes)
	}
	return last
}

// alone runs each node of a piece on the oracle's values. It returns the first that
// departs, and the first that the runtime refuses.
func (s *runSearch) alone(p piece) (departs, refused *found, err error) {
	got, refusals := map[string]format.Tensor{}, map[int]error{}
	s.isolated(p, p.nodes, got, refusals)
	for _, i := range p.nodes {
		if err := refusals[i]; err != nil && refused == nil {
			v := s.results(i)[0]
			refused = &found{cuts: s.cuts, value: v, node: i, nodes: []int{i}, fed: p.all, want: p.values[v], err: err}
		}
		for _, v := range s.results(i) {
			y, ok := got[v]
			if !ok {
				continue
			}
			if _, same := s.same(v, s.numbers(p, i), 1, p.values[v].Tensor, y); same {
				continue
			}
			// The runtime's inputs were rounded: so must the oracle's be.
			want, err := s.oracle([]string{v}, p.all)
			if err != nil {
				return nil, nil, err
			}
			if d, same := s.same(v, s.numbers(p, i), 1, want[v].Tensor, y); !same {
				return &found{cuts: s.cuts, value: v, node: i, nodes: []int{i}, fed: p.all, want: want[v], got: &y, by: d}, refused, nil
			}
		}
	}
	return nil, refused, nil
}

// isolated runs nodes, each alone, in one model. If that fails, it halves them. The
// nodes that fail alone are refusals.
func (s *runSearch) isolated(p piece, nodes []int, got map[string]format.Tensor, refusals map[int]error) {
	give := s.results(nodes...)
	if len(give) == 0 {
		return
	}
	results, err := s.run(s.open, give, p.all, p.values)
	switch {
	case err == nil:
		maps.Copy(got, results)
	case len(nodes) == 1:
		refusals[nodes[0]] = err
	default:
		s.isolated(p, nodes[:len(nodes)/2], got, refusals)
		s.isolated(p, nodes[len(nodes)/2:], got, refusals)
	}
}

// together runs a piece as a whole, with no more outputs than the file needs of it.
func (s *runSearch) together(p piece, last map[string]int) (*found, error) {
	var give []string
	for _, v := range s.results(p.nodes...) {
		if last[v] > p.nodes[len(p.nodes)-1] {
			give = append(give, v)
		}
	}
	within := map[string]bool{}
	for _, v := range s.results(p.nodes...) {
		within[v] = true
	}
	fed := map[string]format.Tensor{}
	for v, t := range p.known {
		if !within[v] {
			fed[v] = t
		}
	}
	if len(give) == 0 {
		return nil, nil
	}
	bad, err := s.departing(give, fed, p)
	if bad == nil || err != nil {
		return nil, err
	}
	return s.shrink(p, fed, bad)
}

// departing runs the part between fed values and given ones, and returns the first
// of these that departs, with its part; nil if none does.
func (s *runSearch) departing(give []string, fed map[string]format.Tensor, p piece) (*found, error) {
	nodes, _ := s.Between(give, has(fed))
	got, err := s.run(s.open, give, fed, p.values)
	if err != nil {
		return nil, err
	}
	var want map[string]exact
	for _, v := range give {
		y := got[v]
		if _, same := s.same(v, s.numbers(p, nodes...), len(nodes), p.values[v].Tensor, y); same {
			continue
		}
		if want == nil {
			if want, err = s.oracle(give, fed); err != nil {
				return nil, err
			}
		}
		if d, same := s.same(v, s.numbers(p, nodes...), len(nodes), want[v].Tensor, y); !same {
			at, _ := s.Maker(v)
			return &found{cuts: s.cuts, value: v, node: at, nodes: nodes, fed: fed, want: want[v], got: &y, by: d}, nil
		}
	}
	return nil, nil
}

// same compares a value that a runtime computed by some nodes with the oracle's.
func (s *runSearch) same(v string, computed format.DType, nodes int, want, got format.Tensor) (runtime.Difference, bool) {
	for _, out := range s.Graph.Outputs {
		if out.Name == v {
			return runtime.SameOutput(computed, nodes, want, got)
		}
	}
	return runtime.SameResult(computed, nodes, want, got)
}

// whole runs the file's graph in one piece, written anew, and reports whether each
// output agrees.
func (s *runSearch) whole(inputs map[string]format.Tensor) (bool, error) {
	var give []string
	nodes := make([]int, len(s.Graph.Nodes))
	for i := range nodes {
		nodes[i] = i
	}
	for _, out := range s.Graph.Outputs {
		if _, made := s.Maker(out.Name); made {
			give = append(give, out.Name)
		}
	}
	want, err := s.oracle(give, inputs)
	if err != nil {
		return false, err
	}
	got, err := s.run(s.open, give, inputs, want)
	if err != nil {
		return false, err
	}
	p := piece{nodes: nodes, known: inputs, all: inputs, values: want}
	for _, v := range give {
		if _, same := s.same(v, s.numbers(p, nodes...), len(nodes), want[v].Tensor, got[v]); !same {
			return false, nil
		}
	}
	return true, nil
}

// numbers returns the type that nodes compute in: float64 if they have no other
// floating-point numbers, otherwise the file's.
func (s *runSearch) numbers(p piece, nodes ...int) format.DType {
	if s.computed != format.Float32 || len(s.Functions) > 0 {
		return s.computed
	}
	if s.stored == nil {
		s.stored = map[string]onnx.DataType{}
		for _, t := range s.Graph.Initializers {
			s.stored[t.Name] = t.DataType
		}
	}
	for _, i := range nodes {
		n := s.Graph.Nodes[i]
		for _, a := range n.Attributes {
			if a.Graph != nil {
				return s.computed
			}
		}
		for _, v := range append(s.results(i), n.Inputs...) {
			t, known := p.all[v]
			if !known {
				t.DType, _ = read.ElementType(s.stored[v])
			}
			if t.DType.Float() && t.DType != format.Float64 {
				return s.computed
			}
		}
	}
	return format.Float64
}

// shrink cuts a part that departs down to the nodes that it takes.
func (s *runSearch) shrink(p piece, fed map[string]format.Tensor, bad *found) (*found, error) {
	// with returns fed values that include the results of more nodes.
	with := func(fed map[string]format.Tensor, nodes []int) map[string]format.Tensor {
		more := maps.Clone(fed)
		for _, v := range s.results(nodes...) {
			more[v] = p.all[v]
		}
		delete(more, bad.value)
		return more
	}
	// The latest start: the result departs although everything before is right.
	nodes := bad.nodes
	low, high := 0, len(nodes) // it departs from nodes[low] on, and not from nodes[high] on
	for high-low > 1 {
		middle := (low + high) / 2
		f, err := s.departing([]string{bad.value}, with(fed, nodes[:middle]), p)
		if err != nil {
			return nil, err
		}
		if f == nil {
			high = middle
			continue
		}
		low, bad = middle, f
	}
	fed = with(fed, nodes[:low])
	// The earliest end, among what follows from the first node.
	reached := map[string]bool{}
	for _, i := range nodes[low:] {
		follows := i == nodes[low] || slices.ContainsFunc(s.Reads(i), func(v string) bool { return reached[v] })
		if !follows {
			continue
		}
		for _, v := range s.results(i) {
			reached[v] = true
			if v == bad.value {
				continue
			}
			ends := maps.Clone(fed)
			delete(ends, v)
			f, err := s.departing([]string{v}, ends, p)
			if err != nil {
				return nil, err
			}
			if f != nil {
				bad = f
				break
			}
		}
		if bad.node == i {
			break
		}
	}
	// Every node between that it does not take.
	for _, i := range slices.Clone(bad.nodes) {
		if i == bad.node || !slices.Contains(bad.nodes, i) {
			continue
		}
		f, err := s.departing([]string{bad.value}, with(bad.fed, []int{i}), p)
		if err != nil {
			return nil, err
		}
		if f != nil {
			bad = f
		}
	}
	return bad, nil
}

// fileSearch looks for the first node of a file whose result departs from its
// counterpart in another file. Both are evaluated by the oracle. Each node gets the
// values of the first file as far as they are in both.
type fileSearch struct {
	first, other *cuts
	counterpart  map[string]string // values of the first file, by name in the other
	computed     format.DType
}

// find returns the first node of the other file that departs; nil if none does. A
// file that computes in 16 bits departs in each node: the bound is that of float32
// only if nothing else is found.
func (s *fileSearch) find(first, other map[string]format.Tensor) (*found, error) {
	f, err := s.within(first, other)
	if f == nil && err == nil && (s.computed == format.Float16 || s.computed == format.BFloat16) {
		s.computed = format.Float32
		f, err = s.within(first, other)
	}
	return f, err
}

func (s *fileSearch) within(first, other map[string]format.Tensor) (*found, error) {
	for _, nodes := range s.other.pieces(other) {
		var give []string
		for _, v := range s.other.results(nodes...) {
			if _, ok := s.counterpart[v]; ok {
				give = append(give, v)
			}
		}
		if len(give) == 0 {
			continue
		}
		_, reads := s.other.Between(give, has(s.counterpart))
		needed := map[string]bool{}
		for _, v := range append(reads, give...) {
			if at, ok := s.counterpart[v]; ok {
				needed[at] = true
			}
		}
		values, err := s.first.oracle(slices.Sorted(maps.Keys(needed)), first)
		if err != nil {
			return nil, fmt.Errorf("the first file: %w", err)
		}
		fed, want := maps.Clone(other), map[string]exact{}
		for v, at := range s.counterpart {
			e, ok := values[at]
			if !ok {
				continue
			}
			want[v] = e
			if fed[v], err = e.rounded(); err != nil {
				return nil, err
			}
		}
		if f := s.departing(give, fed, want); f != nil {
			return f, nil
		}
	}
	return nil, nil
}

// departing evaluates nodes of the other file on the first file's values, and
// returns the first that departs or fails. If the evaluation fails, it halves them.
func (s *fileSearch) departing(give []string, fed map[string]format.Tensor, want map[string]exact) *found {
	got, err := s.other.oracle(give, fed)
	if err != nil && len(give) > 1 {
		if f := s.departing(give[:len(give)/2], fed, want); f != nil {
			return f
		}
		return s.departing(give[len(give)/2:], fed, want)
	}
	for _, v := range give {
		f := &found{cuts: s.other, value: v, fed: fed, want: want[v], err: err}
		if like := s.counterpart[v]; like != v {
			f.like = like
		}
		f.node, _ = s.other.Maker(v)
		if f.nodes, _ = s.other.Between([]string{v}, has(fed)); err == nil {
			y, at := got[v], want[v]
			d, same := runtime.SameValue(s.computed, at.Tensor.WithName(v), y.Tensor)
			if y.dtype != at.dtype && !(y.dtype.Float() && at.dtype.Float() && s.computed != format.Float32) {
				d, same = runtime.Difference{Reason: fmt.Sprintf("%s is %s, in the first file %s", v, y.dtype, at.dtype)}, false
			}
			if same {
				continue
			}
			f.by = d
			if f.by.Reason == "" && f.by.FirstBad == nil {
				f.by.MaxRel = min(f.by.MaxRel, math.MaxFloat64)
			}
			if t, err := y.rounded(); err == nil {
				f.got = &t
			}
		}
		return f
	}
	return nil
}

// counterparts returns the names that values of a file have in the first one: they are
// called the same, or their nodes correspond.
func counterparts(first, other *verified) (map[string]string, error) {
	values := 0
	for _, n := range other.File.Graph.Nodes {
		values += len(n.Outputs)
	}
	names := sameNames(first.cuts, other.cuts)
	if len(names) < values/2 {
		clear(names)
	}
	if len(names) < values { // some are called otherwise
		m, err := diff.Match(diff.File{Model: first.File, Dir: first.cuts.dir}, diff.File{Model: other.File, Dir: other.cuts.dir})
		if err != nil {
			return nil, err
		}
		taken := map[string]bool{}
		for _, ours := range names {
			taken[ours] = true
		}
		for theirs, ours := range m.Values() {
			_, named := names[theirs]
			_, made := other.cuts.Maker(theirs)
			if _, madeThere := first.cuts.Maker(ours); made && madeThere && !named && !taken[ours] {
				names[theirs] = ours
			}
		}
	}
	for theirs, ours := range other.pair.outputs {
		if _, made := first.cuts.Maker(ours); made {
			names[theirs] = ours
		}
	}
	return names, nil
}

// sameNames returns the names of values that two files share; none if they seem to
// share them by chance, as numbers, for results of other operators.
func sameNames(first, other *cuts) map[string]string {
	names := map[string]string{}
	alike := 0
	for _, n := range other.Graph.Nodes {
		for _, v := range n.Outputs {
			if i, ok := first.Maker(v); ok && v != "" {
				names[v] = v
				if first.Graph.Nodes[i].Op == n.Op {
					alike++
				}
			}
		}
	}
	if alike*4 < len(names)*3 {
		return map[string]string{}
	}
	return names
}
