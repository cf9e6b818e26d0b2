package read

import (
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// term is an operand of an Einsum: a value and the label of each axis. The axes
// of an ellipsis have digits as labels, aligned at the last axis.
type term struct {
	v      *graph.Value
	labels []string
}

// readEinsum contracts the operands one after the other. A label that two operands
// share is a batch dimension of a matrix product if it is needed later, and is summed
// over otherwise.
func readEinsum(n *node) *graph.Value {
	left, right, explicit := strings.Cut(strings.ReplaceAll(n.text("equation", ""), " ", ""), "->")
	words := strings.Split(left, ",")
	if len(words) != len(n.args) {
		n.invalid("equation %.80q has %d terms for %d inputs", left, len(words), len(n.args))
	}
	dtype := n.dtype(0)
	terms := make([]term, len(words))
	widest := 0
	for i, w := range words {
		x := n.arg(i)
		if !dtype.Float() {
			if dtype.Size() > 4 {
				n.refuse("products of %s", dtype) // float64 is exact below 2^53
			}
			x = n.b.Cast(x, format.Float64)
		}
		dots := len(x.Shape) - len(strings.ReplaceAll(w, "...", ""))
		if dots < 0 || dots > 0 && !strings.Contains(w, "...") {
			n.invalid("term %.80q of %s", w, x.Shape)
		}
		widest = max(widest, dots)
		terms[i] = n.diagonals(term{x, labelsOf(w, dots)})
	}
	output := labelsOf(right, widest)
	if !explicit {
		output = implied(words, widest)
	}
	for i, t := range terms {
		terms[i] = n.sumOthers(t, output, terms[:i], terms[i+1:])
	}
	result := terms[0]
	for i, t := range terms[1:] {
		result = n.contract(result, t, neededBy(output, terms[i+2:]))
	}
	y := n.arrange(n.sumOthers(result, output), output)
	return n.cast(y, dtype)
}

// labelsOf returns the labels of a term, with dots axes for the ellipsis.
func labelsOf(word string, dots int) (labels []string) {
	before, after, found := strings.Cut(word, "...")
	for _, c := range before {
		labels = append(labels, string(c))
	}
	if found {
		for i := range dots {
			labels = append(labels, string(rune('0'+dots-1-i)))
		}
	}
	for _, c := range after {
		labels = append(labels, string(c))
	}
	return labels
}

// implied returns the output labels if the equation omits them: the ellipsis, then
// the labels that occur once, in alphabetical order.
func implied(words []string, dots int) []string {
	count := map[rune]int{}
	for _, w := range words {
		for _, c := range strings.ReplaceAll(w, "...", "") {
			count[c]++
		}
	}
	var once []string
	for c, times := range count {
		if times == 1 {
			once = append(once, string(c))
		}
	}
	slices.Sort(once)
	return append(labelsOf("...", dots), once...)
}

// diagonals takes the diagonal along two axes of a term that have the same label.
func (n *node) diagonals(t term) term {
	for i := 0; i < len(t.labels); i++ {
		j := i + 1 + slices.Index(t.labels[i+1:], t.labels[i])
		if j <= i {
			continue
		}
		size := t.v.Shape[i]
		perm := []int{i, j}
		for axis := range t.labels {
			if axis != i && axis != j {
				perm = append(perm, axis)
			}
		}
		x := n.b.Transpose(t.v, perm...)
		x = n.b.Reshape(x, append(graph.Shape{size.Mul(size)}, x.Shape[2:]...)...)
		step := n.b.Add(n.size(size), n.constant(1, format.Int64))
		x = n.b.Gather(x, n.b.Mul(n.b.Range(graph.N(0), size), step))
		labels := []string{t.labels[i]}
		for _, axis := range perm[2:] {
			labels = append(labels, t.labels[axis])
		}
		t, i = term{x, labels}, -1
	}
	return t
}

// neededBy returns the labels of the output and of other terms.
func neededBy(output []string, others ...[]term) []string {
	needed := slices.Clone(output)
	for _, list := range others {
		for _, t := range list {
			needed = append(needed, t.labels...)
		}
	}
	return needed
}

// sumOthers sums a term over the labels that neither the output nor other terms
// have.
func (n *node) sumOthers(t term, output []string, others ...[]term) term {
	needed := neededBy(output, others...)
	var axes []int
	var kept []string
	for i, l := range t.labels {
		if slices.Contains(needed, l) {
			kept = append(kept, l)
		} else {
			axes = append(axes, i)
		}
	}
	if len(axes) == 0 {
		return t
	}
	return term{n.b.ReduceSum(t.v, false, axes...), kept}
}

// contract multiplies two terms and sums over their shared labels that are not
// needed.
func (n *node) contract(x, y term, needed []string) term {
	var batch, sum, left, right []string
	for _, l := range x.labels {
		switch {
		case !slices.Contains(y.labels, l):
			left = append(left, l)
		case slices.Contains(needed, l):
			batch = append(batch, l)
		default:
			sum = append(sum, l)
		}
	}
	for _, l := range y.labels {
		if !slices.Contains(x.labels, l) {
			right = append(right, l)
		}
	}
	a, b := n.arrange(x, slices.Concat(batch, left, sum)), n.arrange(y, slices.Concat(batch, sum, right))
	k := len(batch)
	one := func(s graph.Shape) graph.Dim { return s.Elements() }
	a2 := n.b.Reshape(a, append(append(graph.Shape{}, a.Shape[:k]...), one(a.Shape[k:k+len(left)]), one(a.Shape[k+len(left):]))...)
	b2 := n.b.Reshape(b, append(append(graph.Shape{}, b.Shape[:k]...), one(b.Shape[k:k+len(sum)]), one(b.Shape[k+len(sum):]))...)
	z := n.b.MatMul(a2, b2)
	s := slices.Concat(z.Shape[:k], a.Shape[k:k+len(left)], b.Shape[k+len(sum):])
	return term{n.b.Reshape(z, s...), slices.Concat(batch, left, right)}
}

// arrange transposes a term to the order of labels.
func (n *node) arrange(t term, labels []string) *graph.Value {
	perm := make([]int, len(labels))
	for i, l := range labels {
		if perm[i] = slices.Index(t.labels, l); perm[i] < 0 {
			n.invalid("the output has the label %.80q, and no input has it", l)
		}
	}
	if len(perm) != len(t.labels) {
		n.invalid("the output names a label twice")
	}
	if slices.IsSorted(perm) {
		return t.v
	}
	return n.b.Transpose(t.v, perm...)
}
