package graph

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Dim is the size of one axis: a number, a letter ("T"), or a sum ("P+T",
// "T+1", "T-1"). Two Dims are equal exactly when they are ==.
type Dim struct {
	number  int
	letters string // sorted and joined by "+", "" if there are none
}

// N returns the number n as a Dim.
func N(n int) Dim { return Dim{number: n} }

// Sym returns the letter of an axis whose size is known only when the graph runs.
func Sym(letter string) Dim { return Dim{letters: letter} }

// Add returns the sum of d and e.
func (d Dim) Add(e Dim) Dim {
	letters := append(d.Letters(), e.Letters()...)
	sort.Strings(letters)
	return Dim{number: d.number + e.number, letters: strings.Join(letters, "+")}
}

// Letters returns the letters that d adds up, sorted.
func (d Dim) Letters() []string {
	if d.letters == "" {
		return nil
	}
	return strings.Split(d.letters, "+")
}

// Constant returns the number that d adds to its letters.
func (d Dim) Constant() int { return d.number }

// Number returns the size of d; ok is false while d has letters.
func (d Dim) Number() (n int, ok bool) { return d.number, d.letters == "" }

// Is reports whether d is the number n.
func (d Dim) Is(n int) bool { return d == N(n) }

// bind replaces the letters that sizes holds by their numbers.
func (d Dim) bind(sizes map[string]int) Dim {
	sum := N(d.number)
	for _, l := range d.Letters() {
		if n, ok := sizes[l]; ok {
			sum = sum.Add(N(n))
		} else {
			sum = sum.Add(Sym(l))
		}
	}
	return sum
}

// Eval returns the size of d for the given sizes of its letters.
func (d Dim) Eval(sizes map[string]int) (int, error) {
	b := d.bind(sizes)
	n, ok := b.Number()
	if !ok {
		return 0, fmt.Errorf("graph: dimension %s has no size yet: bind %s", d, strings.Join(b.Letters(), ", "))
	}
	return n, nil
}

// String returns d as "64", "T", "P+T" or "T-1".
func (d Dim) String() string {
	switch {
	case d.letters == "":
		return strconv.Itoa(d.number)
	case d.number == 0:
		return d.letters
	}
	return fmt.Sprintf("%s%+d", d.letters, d.number)
}

// Shape is the sizes of a tensor's axes; empty for a scalar.
type Shape []Dim

// Numbers returns the shape of n sizes that are known.
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

// Numbers returns the sizes of s; ok is false while s has letters.
func (s Shape) Numbers() (n []int, ok bool) {
	n = make([]int, len(s))
	for i, d := range s {
		if n[i], ok = d.Number(); !ok {
			return nil, false
		}
	}
	return n, true
}

// Eval returns the sizes of s for the given sizes of its letters.
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

// into reports whether a tensor of shape s broadcasts into one of shape t
// without changing t: aligned at the last axis, every axis of s is 1 or t's.
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
