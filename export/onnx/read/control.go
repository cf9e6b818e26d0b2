package read

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// controlFamily has the operators with subgraphs.
var controlFamily = family{
	"If":   {values: readIf},
	"Loop": {values: readLoop},
	"Scan": {values: readScan},
}

// inner reads the graph in an attribute with the given input values, and
// returns its outputs.
func (n *node) inner(g *onnx.Graph, prefix string, inputs ...*value) []*value {
	s := &scope{parent: n.scope, values: map[string]*value{}, opsets: n.scope.opsets, attrs: n.scope.attrs, prefix: prefix}
	if len(g.Inputs) != len(inputs) {
		n.invalid("its graph has %d inputs, expected %d", len(g.Inputs), len(inputs))
	}
	if err := n.r.initializers(g, s); err != nil {
		panic(refusal{err})
	}
	for i, in := range g.Inputs {
		if s.values[in.Name] != nil {
			n.invalid("its graph has an input and an initializer that are both %.80q", in.Name)
		}
		s.values[in.Name] = inputs[i]
	}
	if err := n.r.nodes(g.Nodes, s); err != nil {
		panic(refusal{err})
	}
	n.r.contradict(g.Values, s)
	out := make([]*value, len(g.Outputs))
	for i, o := range g.Outputs {
		if out[i] = s.lookup(o.Name); out[i] == nil {
			n.invalid("its graph has no value %.80q", o.Name)
		}
	}
	return out
}

// round counts a round of a loop as a node: its graph may have none. all are the rounds
// that the loop makes for sure.
func (n *node) round(all int) {
	if all > maxRounds {
		panic(refusal{exceeded(n.onnx, float64(all), fmt.Sprintf("it makes %.3g rounds", float64(all)))})
	}
	if n.r.budget--; n.r.budget < 0 {
		panic(refusal{expanded(n.onnx)})
	}
}

// condition returns argument i, a truth value that must be known.
func (n *node) condition(v *value) bool {
	e := n.r.elementsOf(v)
	if e == nil || e.len() != 1 || e.dtype.Float() {
		n.open("its condition %.80q is computed from data", v.name)
	}
	s, known := signOf(e.ints[0])
	if !known {
		n.open("its condition %.80q is %s", v.name, e.ints[0])
	}
	return s != 0
}

func readIf(n *node) []*value {
	n.pass([]string{"then_branch", "else_branch"})
	branch := "else_branch"
	if n.condition(n.value(0)) {
		branch = "then_branch"
	}
	return n.inner(n.subgraph(branch), n.name()+"/")
}

// knownScalar returns a value for known elements.
func knownScalar(n *node, name string, e *elements) *value {
	return &value{name: name, scope: n.scope, elements: e}
}

// readLoop unrolls a loop with a known number of rounds. Its inputs are the
// maximum number of rounds, the condition, and the values that each round
// passes to the next.
func readLoop(n *node) []*value {
	body := n.subgraph("body")
	rounds, bounded := 0, n.has(0)
	if bounded {
		rounds = n.integer(0)
	}
	carried := n.anyFrom(2)
	states := len(carried)
	going := true
	if n.has(1) {
		going = n.condition(n.value(1))
	}
	sure := 0
	if bounded && stays(body, nil) {
		sure = rounds
	}
	var collected [][]*value
	for round := 0; going && (!bounded || round < rounds); round++ {
		n.round(sure)
		number := integerElements(graph.N(round)).reshaped([]int{})
		in := append([]*value{knownScalar(n, n.name()+".round", number), knownScalar(n, n.name()+".going", truthElements(true))}, carried...)
		out := n.inner(body, n.prefix(round), in...)
		if len(out) < 1+states {
			n.invalid("its graph has %d outputs, expected %d or more", len(out), 1+states)
		}
		going = n.condition(out[0])
		carried = out[1 : 1+states]
		collected = append(collected, out[1+states:])
	}
	return append(append([]*value{}, carried...), n.stacked(collected, len(body.Outputs)-1-states, nil, nil)...)
}

func truthElements(yes bool) *elements {
	e := blank(format.Bool, []int{})
	e.ints[0] = truth(yes)
	return e
}

// prefix returns the prefix for names of a round that an earlier round has
// used.
func (n *node) prefix(round int) string {
	return n.name() + "/" + graph.N(round).String() + "/"
}

// stacked joins the outputs of the rounds along a new axis.
func (n *node) stacked(rounds [][]*value, count int, axes []int, backwards []bool) []*value {
	out := make([]*value, count)
	for i := range out {
		if len(rounds) == 0 {
			n.refuse("no round runs, and the sizes of what it would give are not known")
		}
		n.b = n.r.b.Scope(n.r.unique(n.name() + "." + graph.N(i).String()))
		parts := make([]*graph.Value, len(rounds))
		axis := 0
		for j, results := range rounds {
			v, err := n.r.record(results[i])
			if err != nil {
				panic(refusal{err})
			}
			if axes != nil {
				axis = n.axis(axes[i], len(v.Shape)+1)
			}
			s := append(append(append(graph.Shape{}, v.Shape[:axis]...), graph.N(1)), v.Shape[axis:]...)
			at := j
			if backwards != nil && backwards[i] {
				at = len(rounds) - 1 - j
			}
			parts[at] = n.b.Reshape(v, s...)
		}
		joined := n.b.Concat(axis, parts...)
		out[i] = &value{recorded: joined}
	}
	return out
}

// readScan unrolls a scan over axes of known lengths.
func readScan(n *node) []*value {
	if n.version < 9 {
		return readBatchedScan(n)
	}
	body := n.subgraph("body")
	n.require("num_scan_inputs")
	scanned := n.int("num_scan_inputs", 0)
	states := len(n.args) - scanned
	if scanned < 1 || states < 0 || len(body.Outputs) < states {
		n.invalid("it scans %d of %d inputs", scanned, len(n.args))
	}
	results := len(body.Outputs) - states
	axes, back := n.ints("scan_input_axes"), n.directions("scan_input_directions", scanned)
	length := -1
	for i := range scanned {
		v := n.arg(states + i)
		axis := 0
		if axes != nil {
			axis = n.axis(axes[i], len(v.Shape))
		}
		size, ok := v.Shape[axis].Number()
		if !ok {
			n.open("axis %d of %s is scanned", axis, v.Shape)
		}
		if length >= 0 && size != length {
			n.invalid("it scans axes of %d and %d", length, size)
		}
		length = size
	}
	var carried []*value
	for i := range states {
		carried = append(carried, n.value(i))
	}
	var collected [][]*value
	for round := range length {
		n.round(length)
		in := append([]*value{}, carried...)
		for i := range scanned {
			at := round
			if back[i] {
				at = length - 1 - round
			}
			in = append(in, n.slice(states+i, axes, i, at, round))
		}
		out := n.inner(body, n.prefix(round), in...)
		carried = out[:states]
		collected = append(collected, out[states:])
	}
	outAxes := n.ints("scan_output_axes")
	return append(carried, n.stacked(collected, results, outAxes, n.directions("scan_output_directions", results))...)
}

// directions returns which of count scans run backwards.
func (n *node) directions(name string, count int) []bool {
	list, out := n.ints(name), make([]bool, count)
	for i := range min(count, len(list)) {
		out[i] = list[i] != 0
	}
	return out
}

// slice returns position at of a scanned argument, without the axis.
func (n *node) slice(arg int, axes []int, i, at, round int) *value {
	x := n.arg(arg)
	axis := 0
	if axes != nil {
		axis = n.axis(axes[i], len(x.Shape))
	}
	b := n.r.b.Scope(n.r.unique(n.prefix(round) + n.args[arg].name))
	part := b.Slice(x, axis, graph.N(at), graph.N(at+1))
	s := append(append(graph.Shape{}, x.Shape[:axis]...), x.Shape[axis+1:]...)
	return &value{name: n.args[arg].name, scope: n.scope, recorded: b.Reshape(part, s...)}
}

// readBatchedScan unrolls the Scan of operator set 8, for each element of the batch by
// itself. Its first input has the length of each sequence; behind it results are 0.
func readBatchedScan(n *node) []*value {
	body := n.subgraph("body")
	n.require("num_scan_inputs")
	scanned := n.int("num_scan_inputs", 0)
	states := len(n.args) - 1 - scanned
	if scanned < 1 || states < 0 || len(body.Outputs) < states || len(body.Inputs) != states+scanned {
		n.invalid("it scans %d of %d inputs", scanned, len(n.args))
	}
	back := n.directions("directions", scanned)
	first := n.shape(1 + states)
	sizes, known := first[:min(2, len(first))].Numbers()
	if !known || len(sizes) != 2 {
		n.open("the first two dimensions of %s are scanned", first)
	}
	batch, length := sizes[0], sizes[1]
	lengths := slices.Repeat([]int{length}, batch)
	if n.has(0) {
		lengths = n.integers(0)
	}
	if len(lengths) != batch || slices.ContainsFunc(lengths, func(l int) bool { return l < 0 || l > length }) {
		n.invalid("sequences of %v elements for %s", lengths, first)
	}
	results := make([][]*value, len(body.Outputs)) // by output and element of the batch
	for e, count := range lengths {
		var carried []*value
		for i := range states {
			carried = append(carried, n.element(1+i, e))
		}
		var collected [][]*value
		for round := range count {
			n.round(count)
			in := slices.Clone(carried)
			for i := range scanned {
				at := round
				if back[i] {
					at = count - 1 - round
				}
				in = append(in, n.element(1+states+i, e, at))
			}
			out := n.inner(body, n.prefix(e*length+round), in...)
			carried = out[:states]
			collected = append(collected, out[states:])
		}
		for i, v := range append(carried, n.stacked(collected, len(body.Outputs)-states, nil, nil)...) {
			if i >= states {
				v = n.lengthened(v, length-count)
			}
			results[i] = append(results[i], v)
		}
	}
	var rows [][]*value // by element of the batch and output
	for e := range lengths {
		row := make([]*value, len(results))
		for i := range results {
			row[i] = results[i][e]
		}
		rows = append(rows, row)
	}
	return n.stacked(rows, len(results), nil, nil)
}

// element returns part of an argument: its element at the first indices.
func (n *node) element(arg int, index ...int) *value {
	x := n.arg(arg)
	if len(x.Shape) < len(index) {
		n.invalid("its input %d is %s", arg, x.Shape)
	}
	b := n.r.b.Scope(n.r.unique(n.args[arg].name))
	for _, i := range index {
		x = b.Reshape(b.Slice(x, 0, graph.N(i), graph.N(i+1)), x.Shape[1:]...)
	}
	return &value{name: n.args[arg].name, scope: n.scope, recorded: x}
}

// lengthened adds zeros behind the first axis.
func (n *node) lengthened(v *value, by int) *value {
	if by == 0 {
		return v
	}
	x := v.recorded
	p := graph.Pad{Mode: "constant", Before: make(graph.Shape, len(x.Shape)), After: make(graph.Shape, len(x.Shape))}
	p.After[0] = graph.N(by)
	return &value{recorded: n.r.b.Scope(n.r.unique(n.name()+".longer")).Apply(p, 1, x)[0]}
}
