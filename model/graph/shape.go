package graph

import (
	"fmt"
	"strings"
)

// Shape holds the sizes of a tensor's dimensions; it is empty for a scalar.
type Shape []Dim

// Numbers returns a shape of known sizes.
func Numbers(n ...int) Shape {
	s := make(Shape, len(n))
	for i, d := range n {
		s[i] = N(d)
	}
	return s
}

// Equal reports whether s and t have the same axes.
func (s Shape) Equal(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if s[i] != t[i] {
			return false
		}
	}
	return true
}

// equalBut reports whether s and t have the same dimensions except for one
// axis.
func (s Shape) equalBut(axis int, t Shape) bool {
	return len(s) == len(t) && s[:axis].Equal(t[:axis]) && s[axis+1:].Equal(t[axis+1:])
}

// Numbers returns the sizes of s; ok is false if one of them depends on a name.
func (s Shape) Numbers() (n []int, ok bool) {
	n = make([]int, len(s))
	for i, d := range s {
		if n[i], ok = d.Number(); !ok {
			return nil, false
		}
	}
	return n, true
}

// Eval returns the sizes of s for the given sizes of its names.
func (s Shape) Eval(sizes map[string]int) ([]int, error) {
	n := make([]int, len(s))
	for i, d := range s {
		var err error
		if n[i], err = d.Eval(sizes); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// Elements returns the product of the sizes: 1 for a scalar.
func (s Shape) Elements() Dim {
	product := N(1)
	for _, d := range s {
		product = product.Mul(d)
	}
	return product
}

func (s Shape) bind(sizes map[string]int) Shape {
	if s == nil {
		return nil
	}
	t := make(Shape, len(s))
	for i, d := range s {
		t[i] = d.bind(sizes)
	}
	return t
}

// with returns a copy of s whose axis i is d.
func (s Shape) with(i int, d Dim) Shape {
	t := append(Shape(nil), s...)
	t[i] = d
	return t
}

// into reports whether a tensor of shape s broadcasts to shape t without
// changing t: aligned at the last axis, every axis of s is 1 or t's.
func (s Shape) into(t Shape) bool {
	if len(s) > len(t) {
		return false
	}
	for i, d := range s {
		if !d.Is(1) && d != t[len(t)-len(s)+i] {
			return false
		}
	}
	return true
}

// String returns s as "(B,T,64)".
func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// parseShape parses the output of Shape.String.
func parseShape(text string) (Shape, error) {
	inner, open := strings.CutPrefix(text, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !open || !closed {
		return nil, fmt.Errorf("graph: %s is not a shape in parentheses", shorten(text))
	}
	s := Shape{}
	if inner == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(inner, ",") {
		if len(s) == maxRank {
			return nil, fmt.Errorf("graph: a shape of more than %d dimensions", maxRank)
		}
		d, err := parseDim(part)
		if err != nil {
			return nil, err
		}
		s = append(s, d)
	}
	return s, nil
}
