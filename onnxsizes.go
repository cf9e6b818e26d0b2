package attnx

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// openSizes are the sizes of the dimensions that a file leaves open: those of the
// axes that are known, by input, and of the others of the first
// one, and of the others.
type openSizes struct {
	batch, length int
	axes          map[string]map[int]int // by input and axis; nil: none is known
}

// sizes returns a shape for every input.
func (x *ONNX) sizes(given map[string]format.Tensor, open openSizes) (map[string][]int, error) {
	named, held := map[string]int{}, x.buffers()
	past := false
	for _, v := range x.inputs {
		if r, _ := role.FromName(v.Name); r == role.Layered(role.PastKey, 0) && open.axes == nil {
			past, open.length = true, (open.length+1)/2 // a past and new tokens share the context
		}
	}
	open.length = held.atMost(open.length)
	if len(held.past) > 0 && !past && open.batch > 1 {
		open.length = 1 // the names do not say which length is that of the new tokens
	}
	for _, v := range x.inputs {
		if t, ok := given[v.Name]; ok && len(t.Shape) == len(v.Shape) {
			for i, d := range v.Shape {
				named[d.Name] = t.Shape[i]
			}
		}
	}
	for _, v := range x.inputs {
		if n, ok := held.past[v.Name]; ok && len(v.Shape) == 4 {
			if _, known := named[v.Shape[2].Name]; !known {
				named[v.Shape[2].Name] = n
			}
		}
	}
	for _, v := range x.inputs {
		for i, d := range v.Shape {
			if n, known := open.axes[v.Name][i]; known {
				named[d.Name] = n
			}
		}
	}
	delete(named, "?")
	delete(named, "")
	for _, v := range x.inputs { // plain names first, then sums of them
		for i, d := range v.Shape {
			if _, known := named[d.Name]; !known && d.Name != "" && d.Name != "?" && !strings.ContainsAny(d.Name, "+-* ") {
				named[d.Name] = open.of(v, i)
			}
		}
	}
	if past && open.batch > 1 && x.has("GroupQueryAttention") { // it takes a past of several texts with one new token each
		for _, v := range x.inputs {
			r, _ := role.FromName(v.Name)
			if _, there := given[v.Name]; r.Kind == role.Tokens && len(v.Shape) == 2 && !there {
				named[v.Shape[1].Name] = 1
			}
		}
	}
	before := -1
	if len(held.past) > 0 {
		before = open.length
	}
	x.total(named, given, before)
	shapes := map[string][]int{}
	for _, v := range x.inputs {
		if t, ok := given[v.Name]; ok {
			shapes[v.Name] = t.Shape
			continue
		}
		if !v.Ranked {
			return nil, fmt.Errorf("input %.80q: the file does not say how many dimensions it has: give it", v.Name)
		}
		shape := make([]int, len(v.Shape))
		for i, d := range v.Shape {
			if shape[i] = d.Size; d.Name != "" {
				shape[i] = held.sized(v, i, sizeOf(d.Name, named, open.of(v, i)))
				if n, known := open.axes[v.Name][i]; known {
					shape[i] = n
				}
			}
		}
		if n, ok := format.Elements(shape); !ok || n > maxDrawn {
			return nil, fmt.Errorf("input %.80q: shape %v is too large to be drawn: give it", v.Name, shape)
		}
		shapes[v.Name] = shape
	}
	return shapes, nil
}

// total sets the length of a mask over a past and new tokens to the sum of
// their lengths, if the dimension's name is not such a sum. before
// is the number of tokens in a past whose length is that of a buffer, otherwise -1.
func (x *ONNX) total(named map[string]int, given map[string]format.Tensor, before int) {
	length := map[role.Kind]string{} // the name of the length dimension, by role
	for _, v := range x.inputs {
		r, _ := role.FromName(v.Name)
		axis := map[role.Kind]int{role.Tokens: 1, role.AttentionMask: 1, role.PastKey: 2}[r.Kind]
		if _, there := given[v.Name]; axis > 0 && axis < len(v.Shape) && (r.Kind != role.AttentionMask || !there) {
			length[r.Kind] = v.Shape[axis].Name
		}
	}
	mask, past, tokens := length[role.AttentionMask], length[role.PastKey], length[role.Tokens]
	if _, single := named[mask]; single && past != "" && mask != past && mask != tokens {
		if before < 0 {
			before = named[past]
		}
		named[mask] = before + named[tokens]
	}
}

// has reports whether the file has a node of the operator.
func (x *ONNX) has(op string) bool {
	return slices.ContainsFunc(x.File.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == op })
}

// sizeOf returns the size of a dimension, which is a name or a sum of names and
// numbers.
func sizeOf(name string, named map[string]int, otherwise int) int {
	if n, ok := named[name]; ok {
		return n
	}
	sum := 0
	for term := range strings.SplitSeq(name, "+") {
		term = strings.TrimSpace(term)
		n, known := named[term]
		if number, err := strconv.Atoi(term); err == nil && number >= 0 {
			n, known = number, true
		}
		if !known {
			return otherwise
		}
		sum += n
	}
	return sum
}

// of returns the default size of a dimension.
func (s openSizes) of(v runtime.Value, axis int) int {
	switch {
	case axis == 0:
		return s.batch
	case isImage(v) && axis == channelAxis(v):
		return drawnColours
	case isImage(v):
		return drawnPixels
	}
	return s.length
}
