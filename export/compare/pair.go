package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// pair compares a value of the file with export's value in the same place. The
// given node of export reads both; it is nil for an output. Afterwards the
// file's value counts as export's, so that each departure is found once.
func (c *comparison) pair(f, w string, reader *onnx.Node) error {
	if c.file.numbers[f] == c.want.numbers[w] || c.pairs[[2]string{f, w}] {
		return nil
	}
	c.pairs[[2]string{f, w}] = true
	constant := func(s *side, name string) bool { return s.tensors[c.source(s, name)] != nil }
	switch fc, wc := constant(c.file, f), constant(c.want, w); {
	case fc && wc && c.file.tensors[f] != nil && c.want.tensors[w] != nil:
		return c.pairTensors(f, w, reader)
	case fc || wc:
		return c.pairFolded(f, w, reader)
	}
	f, w = c.source(c.file, f), c.source(c.want, w)
	if c.want.known[c.file.numbers[f]] { // another value of export
		c.region(f, w, reader)
		return nil
	}
	if err := c.pairNodes(f, w, reader); err != nil {
		return err
	}
	if n := c.file.numbers[f]; n != c.want.numbers[w] && !c.want.known[n] {
		c.settled[f] = c.want.numbers[w]
		c.number(c.file)
	}
	return nil
}

// pairNodes compares the nodes that compute two values.
func (c *comparison) pairNodes(f, w string, reader *onnx.Node) error {
	fn, wn := c.file.makers[f], c.want.makers[w]
	if fn == nil || wn == nil || operator(fn) != operator(wn) || len(fn.Inputs) != len(wn.Inputs) || slices.Index(fn.Outputs, f) != slices.Index(wn.Outputs, w) {
		c.region(f, w, reader)
		return nil
	}
	attributes := c.attributesDiffer(fn, wn)
	inputs := c.inputs(fn, wn)
	if attributes != "" && len(inputs) > 0 && moves(wn) {
		c.region(f, w, reader) // moved in other steps
		return nil
	}
	if attributes != "" && !c.judged[wn] { // once for all its results
		c.judged[wn] = true
		c.departNode(wn.Outputs[0], wn.Outputs[0], "(%s) %s", operator(wn), attributes)
	}
	c.paired[w] = true
	for _, p := range inputs {
		if err := c.pair(p[0], p[1], wn); err != nil {
			return err
		}
	}
	return nil
}

// inputs returns the pairs of inputs, of a node of the file and of one of
// export, that differ.
func (c *comparison) inputs(f, w *onnx.Node) (differ [][2]string) {
	have, want := slices.Clone(f.Inputs), slices.Clone(w.Inputs)
	if commutes(w) {
		for i := 0; i < len(have); i++ {
			j := slices.IndexFunc(want, func(x string) bool { return c.want.numbers[x] == c.file.numbers[have[i]] })
			if j >= 0 {
				have, want = slices.Delete(have, i, i+1), slices.Delete(want, j, j+1)
				i--
			}
		}
	}
	for i := range have {
		if c.file.numbers[have[i]] != c.want.numbers[want[i]] {
			differ = append(differ, [2]string{have[i], want[i]})
		}
	}
	return differ
}

// pairTensors compares two initializers in the same place.
func (c *comparison) pairTensors(f, w string, reader *onnx.Node) error {
	ft, wt := c.file.tensors[f], c.want.tensors[w]
	raw, err := c.load(ft)
	if err != nil {
		return err
	}
	if _, named := c.file.tensors[w]; named && c.want.tensors[f] != nil {
		// Compare both by name: the departure is that one is read instead of
		// the other, unless their contents are equal.
		_, differs := c.differ(f, ft, raw, wt)
		switch {
		case !differs || c.want.numbers[f] == c.want.numbers[w]:
		case c.Earlier != nil && wt.DataType == onnx.Int64 && reader != nil: // a shape or an axis: running the file checks it
			c.left[reader] = true
		default:
			c.departNode(reading(reader, w), reading(reader, w), "reads %s instead of %s", f, w)
		}
		return nil
	}
	c.done[w] = true
	if d, differs := c.differ(f, ft, raw, wt); differs {
		c.departTensor(wt, d, raw, ft)
	}
	return nil
}

// pairFolded compares an initializer with what export computes in its place.
func (c *comparison) pairFolded(f, w string, reader *onnx.Node) error {
	ft, err := c.folded(c.file, f)
	if err != nil {
		return err
	}
	wt, err := c.folded(c.want, w)
	if err != nil {
		return err
	}
	if ft == nil || wt == nil {
		c.region(f, w, reader)
		return nil
	}
	for name := w; c.want.makers[name] != nil; { // its inputs are compared with it
		c.paired[name] = true
		name = c.want.makers[name].Inputs[0]
		c.paired[name], c.done[name] = true, true
	}
	if d, differs := c.differ(wt.Name, ft, ft.Raw, wt); differs {
		d.Place = w + strings.TrimPrefix(d.Place, wt.Name)
		d.Value = w
		c.tensors = append(c.tensors, d)
	}
	return nil
}

// moving lists the operators that move elements or sizes and compute nothing.
var moving = []string{"Cast", "Concat", "Expand", "Flatten", "Gather", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}

func moves(n *onnx.Node) bool { return n != nil && n.Domain == "" && slices.Contains(moving, n.Op) }

// region compares two values that different operators compute. It collects the
// nodes of each model up to values that both models have. If operators of
// another domain replaced standard ones, or elements are moved in other steps,
// it is an optimizer's rewriting. Otherwise the file computes something else.
func (c *comparison) region(f, w string, reader *onnx.Node) {
	have, want := c.between(c.file, f, c.want), c.between(c.want, w, c.file)
	foreign := slices.ContainsFunc(have, func(n *onnx.Node) bool { return !c.want.ops[operator(n)] && fused(n) })
	onlyMoves := !slices.ContainsFunc(slices.Concat(have, want), func(n *onnx.Node) bool { return !moves(n) })
	fn, wn := c.file.makers[f], c.want.makers[w]
	selects := selected(have, want)
	switch {
	case c.earlier(have):
		for _, n := range want {
			c.left[n] = true
		}
		if len(want) == 0 && reader != nil {
			c.left[reader] = true
		}
	case selects != "" && len(want) > 0:
		c.departNode(w, w, "is selected by %s, which export does not write there: no sample can show that it always selects the same", selects)
	case len(want) > 0 && (foreign || takesBias(have, want) || onlyMoves && len(have) > 0 || absorbs(reader, want)):
		for _, n := range want {
			c.left[n] = true
		}
	case len(have) == 0:
		c.departNode(reading(reader, w), reading(reader, w), "reads %s instead of %s", c.called(f), w)
	case wn == nil:
		c.departNode(w, reading(reader, w), "is replaced by %s, the result of %s", f, operator(fn))
	case len(want) == 0:
		c.departNode(w, w, "is followed by %s, which export does not write", operators(have))
	default:
		c.departNode(w, w, "(%s) is the result of %s in the file, of %s as export writes it", operator(wn), operators(have), operators(want))
	}
}

// takesBias reports whether an optimizer fused an operator with the addition of a bias that
// follows it.
func takesBias(have, want []*onnx.Node) bool {
	if len(have) != 1 || !fused(have[0]) {
		return false
	}
	other := func(n *onnx.Node) bool { return operator(n) != operator(have[0]) && operator(n) != "Add" }
	return len(want) == 2 && !slices.ContainsFunc(want, other)
}

// selecting are operators that can give another result for some inputs alone: by a
// condition, or by where an axis ends.
var selecting = [][]string{
	{"If", "Where", "Loop", "Scan", "NonZero", "Compress", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Mod", "Sign", "IsNaN", "IsInf", "OneHot", "Clip", "Max", "Min"},
	{"Slice", "Split", "Gather", "GatherElements", "GatherND"},
}

// selected returns an operator that selects, of those in have, if have has more of its
// kind than want.
func selected(have, want []*onnx.Node) string {
	for _, kind := range selecting {
		count := func(nodes []*onnx.Node) (n int, last string) {
			for _, x := range nodes {
				if x.Domain == "" && slices.Contains(kind, x.Op) {
					n, last = n+1, x.Op
				}
			}
			return n, last
		}
		n, op := count(have)
		if m, _ := count(want); n > m {
			return op
		}
	}
	return ""
}

// earlier reports whether an earlier version of export may have written these
// nodes: they use only its operators, and ones that move elements.
func (c *comparison) earlier(nodes []*onnx.Node) bool {
	return c.Earlier != nil && !slices.ContainsFunc(nodes, func(n *onnx.Node) bool {
		return !moves(n) && (n.Domain != "" || !slices.Contains(c.Earlier, n.Op))
	})
}

// reshapes lists the operators that only change the shape.
var reshapes = []string{"Flatten", "Reshape", "Squeeze", "Unsqueeze"}

// absorbs reports whether a node gives the same result without the nodes
// before it: a Reshape after other reshapes, a Cast after casts.
func absorbs(reader *onnx.Node, before []*onnx.Node) bool {
	if reader == nil || reader.Domain != "" || reader.Op != "Reshape" && reader.Op != "Cast" {
		return false
	}
	return !slices.ContainsFunc(before, func(n *onnx.Node) bool {
		return n.Domain != "" || n.Op != reader.Op && !(reader.Op == "Reshape" && slices.Contains(reshapes, n.Op))
	})
}

// reading returns the first result of the node that reads a value.
func reading(reader *onnx.Node, value string) string {
	if reader == nil {
		return value
	}
	return reader.Outputs[0]
}

// called returns export's name for a value of the file.
func (c *comparison) called(f string) string {
	n := c.file.numbers[f]
	for _, node := range c.want.Graph.Nodes {
		for _, out := range node.Outputs {
			if c.want.numbers[out] == n {
				return out
			}
		}
	}
	return f
}

// fused reports whether an operator is one that optimizers put in place of
// standard ones.
func fused(n *onnx.Node) bool { return n.Domain != "" && n.Domain != "ai.onnx" || n.Op == "Gemm" }

// between returns the nodes of s that compute a value from values that the
// other model has too.
func (c *comparison) between(s *side, name string, other *side) []*onnx.Node {
	seen := map[*onnx.Node]bool{}
	var nodes []*onnx.Node
	var walk func(name string)
	walk = func(name string) {
		n := s.makers[name]
		if n == nil || seen[n] || other.known[s.numbers[name]] || constant(n) != nil {
			return
		}
		seen[n] = true
		if !c.transparent(s, n) {
			nodes = append(nodes, n)
		}
		for _, in := range n.Inputs {
			walk(in)
		}
	}
	walk(name)
	return nodes
}

// operators lists the first few operators of nodes.
func operators(nodes []*onnx.Node) string {
	var names []string
	for i, n := range nodes {
		if i == 4 {
			names = append(names, fmt.Sprintf("%d more", len(nodes)-i))
			break
		}
		names = append(names, operator(n))
	}
	return strings.Join(names, ", ")
}
