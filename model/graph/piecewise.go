package graph

import (
	"fmt"

	"github.com/attnx/attnx/format"
)

// piecewise is a node of a phase of a region, for as long as passes move it as one.
// Its decomposition are the pieces, one after the other.
type piecewise struct{ *phase }

// Name returns "Piecewise".
func (piecewise) Name() string { return "Piecewise" }

// Infer returns the types of the results, which are known.
func (p piecewise) Infer([]Type) (out []Type, err error) {
	for _, v := range p.outs {
		out = append(out, v.Type)
	}
	return out, nil
}

// extra returns the bytes that are needed while it is computed.
func (p piecewise) extra() int64 {
	sums := int64(0)
	for _, v := range p.outs {
		if p.thread[v.Node].results[v.Index] == summed {
			sums += bytesOf(v)
		}
	}
	return p.inner*int64(p.each)/int64(p.units) + sums
}

// Decompose implements Composite.
func (p piecewise) Decompose(b *Builder, args []*Value) []*Value {
	parts := make([][]*Value, len(p.outs)) // of a sum: the last one only
	ended := args
	var sum *Value // a number that all pieces so far are needed for
	for from := 0; from < p.units; from += p.each {
		var elements []*Value
		for _, v := range ended {
			if !v.Leaf() {
				elements = append(elements, b.element(v))
			}
		}
		if sum != nil {
			elements = append(elements, sum)
		}
		var condition *Value
		if len(elements) > 0 {
			sum = b.ReduceSum(b.Concat(0, elements...), true, 0)
			condition = b.Less(sum, b.Scalar(0))
		}
		c := piece{phase: p.phase, b: b.Scope(fmt.Sprintf("piece_%d", from/p.each)), args: args, from: from, to: min(from+p.each, p.units),
			condition: condition, now: map[*Value]*Value{}, waited: map[*Value]bool{}, read: map[*Value]*Value{}}
		ended = c.compute(parts)
	}
	out := make([]*Value, len(p.outs))
	for i, v := range p.outs {
		if axis := p.thread[v.Node].results[v.Index]; axis >= 0 {
			out[i] = b.Concat(axis, parts[i]...)
		} else {
			out[i] = parts[i][0]
		}
	}
	return out
}

// element returns the first element of v, FLOAT32 (1).
func (b *Builder) element(v *Value) *Value {
	if len(v.Shape) != 1 {
		v = b.Reshape(v, v.Shape.Elements())
	}
	if !v.Shape[0].Is(1) {
		v = b.Slice(v, 0, N(0), N(1))
	}
	if v.DType != format.Float32 {
		v = b.Cast(v, format.Float32)
	}
	return v
}

// piece is a part of a phase.
type piece struct {
	*phase
	b         *Builder
	args      []*Value // of the node
	from, to  int      // units
	condition *Value
	now       map[*Value]*Value // parts of the region's values
	read      map[*Value]*Value // parts of what is outside
	waited    map[*Value]bool   // values that the condition is needed for
}

// size returns the size of the part of v along an axis.
func (c *piece) size(v *Value, axis int) Dim {
	n, _ := v.Shape[axis].Number()
	return N(n / c.units * (c.to - c.from))
}

// compute records the nodes. It returns the results of the piece and puts them into
// parts; what is summed is added to the sum so far.
func (c *piece) compute(parts [][]*Value) (ended []*Value) {
	for _, n := range c.nodes {
		t := c.thread[n]
		args := make([]*Value, len(n.Args))
		local := make([]bool, len(n.Args))
		for i, a := range n.Args {
			if v := c.now[a]; v != nil && t.args[i] != entire {
				args[i], local[i] = v, true
			} else {
				args[i] = c.outside(a, t.args[i])
			}
		}
		c.await(n, args)
		waited := false
		for _, a := range args {
			waited = waited || c.waited[a]
		}
		op := cutTo(n, t, c.size)
		at := -1
		for i, v := range c.outs {
			if v.Node == n && t.results[v.Index] == summed {
				at = i
			}
		}
		if at >= 0 && parts[at] != nil {
			if gemm, ok := op.(Gemm); ok {
				parts[at][0] = c.b.apply(gemm, args[0], args[1], parts[at][0])
			} else {
				parts[at][0] = c.b.Add(parts[at][0], c.b.Apply(op, len(n.Results), args...)[0])
			}
			ended = append(ended, parts[at][0])
			continue
		}
		results := c.b.Apply(op, len(n.Results), args...)
		if at >= 0 {
			parts[at] = results[:1]
			ended = append(ended, results[0])
			continue
		}
		for j, v := range n.Results {
			c.now[v], c.waited[results[j]] = results[j], waited
			for i, o := range c.outs {
				if o == v {
					parts[i] = append(parts[i], results[j])
					ended = append(ended, results[j])
				}
			}
		}
	}
	return ended
}

// outside returns a value from outside the phase, or its part along an axis.
func (c *piece) outside(v *Value, axis int) *Value {
	var given *Value
	for i, in := range c.inputs {
		if in == v {
			given = c.args[i]
		}
	}
	if axis == entire {
		return given
	}
	if c.read[v] == nil {
		n, _ := v.Shape[axis].Number()
		c.read[v] = c.b.Slice(given, axis, N(n/c.units*c.from), N(n/c.units*c.to))
	}
	return c.read[v]
}

// await puts a Where before the smallest argument of a node with a large result, unless
// one has waited.
func (c *piece) await(n *Node, args []*Value) {
	if c.condition == nil || !c.large(n.Results[0]) {
		return
	}
	at := -1
	for i, a := range args {
		if c.waited[a] {
			return
		}
		if !a.Leaf() && (at < 0 || elements(a) < elements(args[at])) {
			at = i
		}
	}
	if at < 0 {
		return
	}
	gate := c.b.gate(c.condition, args[at])
	c.waited[gate] = true
	for _, known := range []map[*Value]*Value{c.read, c.now} {
		for v, part := range known {
			if part == args[at] {
				known[v] = gate
			}
		}
	}
	args[at] = gate
}

// gate returns x, which cannot be computed before c: it passes a Where between x and
// itself.
func (b *Builder) gate(c, x *Value) *Value {
	if x.DType == format.Bool { // ONNX Runtime has no Where for it
		return b.And(x, b.Or(c, b.Not(c)))
	}
	return b.Where(c, x, x)
}
