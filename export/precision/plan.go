package precision

import (
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Source is the graph from which a float32 model was written. The model's
// values have the graph's names.
type Source struct {
	Graph *graph.Graph
	// Fused reports whether a node is part of one of ONNX Runtime's own
	// operators; nil means none is.
	Fused func(*graph.Node) bool
}

func (s Source) fused(n *graph.Node) bool { return s.Fused != nil && s.Fused(n) }

// float32Parts lists the parts of a network that stay float32, and why.
var float32Parts = []struct{ what, reason string }{
	{softmaxPart, "its sum of up to context terms would stop growing where a term is below the last digit"},
	{scoresAndMask, "a hidden position is -1e9, which float16 does not have: it would be -Inf, and a row that is hidden " +
		"as a whole NaN; where a mask must be in the type it takes the type's lowest number, which is finite"},
	{normPart, "mean and variance are sums over the width, and the sum of the layers before them grows with the depth"},
	{sums, "the square of a number above 255 is beyond float16, and a sum over the width stops growing"},
	{exponentials, "the exponential of 12 is beyond float16, and a quotient of two such numbers is NaN"},
	{angles, "above 2048 float16 does not have every place of a token, and an angle would be off by whole turns"},
	{compared, "two numbers that differ may be rounded to the same one"},
	{logitsProduct, "at a logit of 100 neighbours in float16 are 0.06 apart, in bfloat16 0.5: the best token would be one of several"},
}

// Names in float32Parts.
const (
	softmaxPart   = "softmax"
	scoresAndMask = "scores with their mask"
	normPart      = "layer normalization"
	sums          = "sums and what they scale"
	exponentials  = "exponentials and logarithms"
	angles        = "angles of positions"
	compared      = "numbers that are compared"
)

var logitsProduct = role.Of(role.Logits).Name()

// plan is which parts of a graph stay float32 if the rest has 16 bits. It
// follows from what the graph's operators compute, so a normalization may be
// one operator or many.
type plan struct {
	Source
	outputs map[*graph.Value]role.Role
	readers map[*graph.Value][]*graph.Node
	part    map[*graph.Node]string // nodes that stay float32, and which of float32Parts each belongs to
	applied map[*graph.Node]bool   // the subset in which a sum scales a value that may have 16 bits
}

func (s Source) plan() *plan {
	p := &plan{Source: s, outputs: map[*graph.Value]role.Role{}, readers: map[*graph.Value][]*graph.Node{}, part: map[*graph.Node]string{}, applied: map[*graph.Node]bool{}}
	for _, o := range s.Graph.Outputs {
		p.outputs[o.Value] = o.Role
		if r, ok := role.FromName(o.Name); ok && o.Role.Kind == role.None {
			p.outputs[o.Value] = r
		}
	}
	for _, n := range s.Graph.Nodes {
		for _, a := range n.Args {
			p.readers[a] = append(p.readers[a], n)
		}
		if part := partOf(n); part != "" && !s.fused(n) {
			p.part[n] = part
		}
	}
	p.forward()
	p.backward()
	return p
}

// isFloat reports whether n computes floating-point numbers.
func isFloat(n *graph.Node) bool { return n.Results[0].DType == format.Float32 }

// partOf returns the entry of float32Parts that an operator belongs to on its
// own.
func partOf(n *graph.Node) string {
	if !isFloat(n) {
		return ""
	}
	switch op := n.Op.(type) {
	case graph.Softmax, graph.LogSoftmax:
		return softmaxPart
	case graph.LayerNormalization, graph.RMSNormalization:
		return normPart
	case graph.Reduce, graph.CumSum:
		return sums
	case graph.Unary:
		switch op {
		case graph.Sin, graph.Cos:
			return angles
		case graph.Exp, graph.Log:
			return exponentials
		case graph.Sqrt:
			return sums
		}
	}
	return ""
}

// forward follows sums and exponentials to the nodes that combine them: values
// computed only from them (a variance and its root), the values that they
// scale, and the weights that multiply or shift the result. A normalization as
// a single operator ends in the same place.
func (p *plan) forward() {
	of := map[*graph.Value]string{}   // numbers that 16 bits may not be able to hold, by part
	near := map[*graph.Value]string{} // values scaled by such a number
	for _, n := range p.Graph.Nodes {
		if !isFloat(n) || p.fused(n) {
			continue
		}
		if part := p.part[n]; part == sums || part == exponentials {
			for _, r := range n.Results {
				of[r] = part
			}
			continue
		}
		if p.part[n] != "" || !elementwise(n.Op) && !moves(n.Op) {
			continue
		}
		wide, scaled, others := "", "", 0
		for _, a := range n.Args {
			switch {
			case a.DType != format.Float32 || a.Leaf() && len(a.Shape) <= 1:
			case of[a] != "":
				wide = of[a]
			case near[a] != "":
				scaled = near[a]
				others++
			default:
				others++
			}
		}
		result := of
		switch {
		case wide != "" && others > 0:
			result = near
		case wide == "" && scaled != "" && others == 1 && len(n.Args) == 2:
			result, wide = near, scaled // with weights: a vector
		}
		if wide == "" || p.isCache(n) {
			continue
		}
		p.part[n] = wide
		p.applied[n] = others > 0
		for _, r := range n.Results {
			result[r] = wide
		}
	}
}

// isCache reports whether n outputs keys or values. These have the type of the
// inputs' keys and values.
func (p *plan) isCache(n *graph.Node) bool {
	return slices.ContainsFunc(n.Results, func(r *graph.Value) bool {
		kind := p.outputs[r].Kind
		return kind == role.PresentKey || kind == role.PresentValue
	})
}

// backward finds nodes that lead only to parts that stay float32.
func (p *plan) backward() {
	for _, n := range slices.Backward(p.Graph.Nodes) {
		if p.part[n] != "" || p.fused(n) || !isFloat(n) || n.Results[0].Leaf() {
			continue
		}
		if p.isLogits(n) {
			p.part[n] = logitsProduct
			continue
		}
		goal := p.goals(n)
		if goal != "" && (elementwise(n.Op) || moves(n.Op)) || goal == logitsProduct && isProduct(n.Op) {
			p.part[n] = goal
		}
	}
}

func (p *plan) isLogits(n *graph.Node) bool {
	return slices.ContainsFunc(n.Results, func(r *graph.Value) bool { return p.outputs[r].Kind == role.Logits })
}

// goals returns what all readers of n compute from its results; "" if one of
// them accepts 16 bits, or if a result is an output.
func (p *plan) goals(n *graph.Node) string {
	goal := ""
	for _, r := range n.Results {
		if _, out := p.outputs[r]; out {
			return ""
		}
		for _, reader := range p.readers[r] {
			g := p.goal(reader)
			if g == "" {
				return ""
			}
			goal = g
		}
	}
	return goal
}

// goal returns which float32 part a reader of a value belongs to.
func (p *plan) goal(reader *graph.Node) string {
	switch part := p.part[reader]; {
	case p.applied[reader] && !p.exponent(reader):
		return ""
	case part == softmaxPart, p.applied[reader]:
		return scoresAndMask
	case part == normPart, part == logitsProduct && isProduct(reader.Op):
		return ""
	case part == "" && !isFloat(reader) && !p.fused(reader):
		return compared
	default:
		return part
	}
}

// exponent reports whether n leads only to exponentials, as in a softmax
// written from primitives.
func (p *plan) exponent(n *graph.Node) bool {
	readers := p.readers[n.Results[0]]
	return len(readers) > 0 && !slices.ContainsFunc(readers, func(r *graph.Node) bool { return r.Op != graph.Exp })
}

// elementwise reports whether op computes each element from one element of
// each argument.
func elementwise(op graph.Op) bool {
	switch op.(type) {
	case graph.Unary, graph.Binary, graph.Where, graph.Cast:
		return true
	}
	return false
}

// moves reports whether op moves or copies elements.
func moves(op graph.Op) bool {
	switch op.(type) {
	case graph.Slice, graph.Expand, graph.Reshape, graph.Gather, graph.Transpose, graph.Concat, graph.Split:
		return true
	}
	return false
}

// isProduct reports whether op multiplies matrices.
func isProduct(op graph.Op) bool {
	switch op.(type) {
	case graph.MatMul, graph.Gemm:
		return true
	}
	return false
}
