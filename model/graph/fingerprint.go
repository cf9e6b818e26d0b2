package graph

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
)

// Fingerprint returns a SHA-256, in hexadecimal, of what g computes: its context,
// its inputs and weights by name, its outputs, and the operators between them. It
// does not depend on the names of intermediate values, on the order of
// independent nodes, on unused nodes, on the initialization of weights, or on
// whether a value is computed once or twice.
func Fingerprint(g *Graph) string { return fingerprint(g, true) }

// HasFingerprint reports whether a file's fingerprint matches g, in the current
// form or in the earlier one, which left out the context.
func HasFingerprint(g *Graph, sum string) bool {
	return sum == fingerprint(g, true) || sum == fingerprint(g, false)
}

func fingerprint(g *Graph, context bool) string {
	f := fingerprinter{values: map[*Value][sha256.Size]byte{}}
	h := sha256.New()
	if context {
		fmt.Fprintf(h, "context %d\n", g.Context)
	}
	for _, v := range g.Inputs {
		fmt.Fprintf(h, "input %q %s %s\n", v.Name, v.Type, v.Role())
	}
	for _, v := range g.Params {
		fmt.Fprintf(h, "param %q %s\n", v.Name, v.Type)
	}
	for _, o := range g.Outputs {
		sum := f.value(o.Value)
		fmt.Fprintf(h, "output %q %s %x\n", o.Name, o.Role, sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

type fingerprinter struct {
	values map[*Value][sha256.Size]byte
}

// value returns the hash of the computation of v. It uses a loop instead of
// recursion, since a graph may be as deep as it is long.
func (f *fingerprinter) value(v *Value) [sha256.Size]byte {
	stack := []*Value{v}
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		ready := true
		for _, a := range top.Node.Args {
			if _, done := f.values[a]; !done {
				stack, ready = append(stack, a), false
			}
		}
		if !ready {
			continue
		}
		stack = stack[:len(stack)-1]
		if _, done := f.values[top]; done {
			continue
		}
		h := sha256.New()
		f.write(h, top)
		f.values[top] = [sha256.Size]byte(h.Sum(nil))
	}
	return f.values[v]
}

func (f *fingerprinter) write(h hash.Hash, v *Value) {
	n := v.Node
	switch n.Op.(type) {
	case Input, Param:
		fmt.Fprintf(h, "%s %q", n.Op.Name(), v.Name)
		return
	}
	fmt.Fprintf(h, "%s %s%s result %d", v.Type, n.Op.Name(), identity(n.Op), v.Index)
	for _, a := range n.Args {
		sum := f.values[a]
		h.Write(sum[:])
	}
}

// identity returns the attributes of op, with a constant's elements as a hash.
func identity(op Op) string {
	if c, ok := op.(Const); ok {
		return fmt.Sprintf(" sha256=%x", sha256.Sum256(c.Value.Data))
	}
	return attributes(op)
}
