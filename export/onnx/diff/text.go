package diff

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/attnx/attnx/internal/quote"
)

// shownChanges bounds the changes that the text lists.
const shownChanges = 40

// WriteText writes the report as text: a line for each change, and what only has
// another name.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "nodes: %s and %s, %s matched\n", quote.Count(r.Nodes.A), quote.Count(r.Nodes.B), quote.Count(r.Nodes.Matched))
	for i, c := range r.Changes {
		if i == shownChanges {
			break
		}
		c.write(&b)
	}
	if more := len(r.Changes) - shownChanges + r.More; more > 0 {
		fmt.Fprintf(&b, "and %s more changes: see --json\n", quote.Count(more))
	}
	if text := r.Renamed.String(); text != "" {
		b.WriteString("no change: " + text + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String describes what differs in name, order or storage alone.
func (n Names) String() string {
	var texts []string
	add := func(count int, what string) {
		if count > 0 {
			texts = append(texts, quote.Count(count)+" "+what)
		}
	}
	add(n.Values, "values have other names")
	add(n.Nodes, "nodes have other names")
	add(n.Initializers, "stored values have other names")
	add(n.Reordered, "nodes are in another order")
	add(n.Stored, "values are stored in another way")
	return strings.Join(texts, ", ")
}

// String describes the change in one line.
func (c Change) String() string { return strings.Join(c.lines(), "; ") }

func (c Change) write(b *strings.Builder) {
	for i, line := range c.lines() {
		if i > 0 {
			b.WriteString("    ")
		}
		b.WriteString(line + "\n")
	}
}

// lines returns what changed, and then how.
func (c Change) lines() []string {
	name, node := quote.Line(c.Name, 200), quote.Line(c.Node, 120)
	if c.Operator != "" && c.Kind != Operator {
		node += " (" + c.Operator + ")"
	}
	subject := name
	if c.Node != "" && c.Tensor == nil {
		subject = node
	}
	all := []string{string(c.Kind) + ": " + subject}
	if c.Where != "" {
		all[0] += ", in " + c.Where
	}
	fromTo := func() string { return cmp.Or(c.From, "none") + " → " + cmp.Or(c.To, "none") }
	other := "in the second file it is " + quote.Line(c.Other, 120)
	switch {
	case c.Kind == NodeAdded || c.Kind == NodeRemoved:
		if reads := c.From + c.To; reads != "" {
			all = append(all, "reads "+reads)
		}
		for i, r := range c.Readers {
			if i == shownElements {
				all = append(all, fmt.Sprintf("and %d more places", len(c.Readers)-i))
				break
			}
			all = append(all, "is "+r)
		}
		return all
	case c.Tensor != nil:
		if c.Node != "" {
			all = append(all, "read by "+node)
		}
		all = append(all, c.Tensor.lines()...)
	case subject == name || c.Kind == Operator:
		all = append(all, quote.Line(fromTo(), 400))
	default:
		all = append(all, name+": "+quote.Line(fromTo(), 400))
	}
	if c.Other != "" {
		all = append(all, other)
	}
	return all
}

// lines describes how elements differ.
func (t *TensorChange) lines() []string {
	text := t.A
	if t.A != t.B {
		text += " → " + t.B
	}
	switch {
	case t.Axes != nil:
		text += ", the axes in the order " + numbers(t.Axes)
	case t.Rounded:
		text += ", each element converted"
	case t.Changed > 0:
		text += fmt.Sprintf(", %s of %s elements differ", quote.Count(t.Changed), quote.Count(t.Total))
		if t.MaxAbs != nil {
			text += fmt.Sprintf(", by %.3g at most", *t.MaxAbs)
		}
		return []string{text, fmt.Sprintf("first %s: %s → %s", numbers(t.First), t.From, t.To)}
	}
	return []string{text}
}

func numbers(v []int) string { return strings.ReplaceAll(fmt.Sprint(v), " ", ",") }
