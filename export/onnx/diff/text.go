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
func (c Change) String() string {
	var b strings.Builder
	c.write(&b)
	return strings.Join(strings.Fields(b.String()), " ")
}

func (c Change) write(b *strings.Builder) {
	b.WriteString(string(c.Kind) + ": ")
	name := quote.Line(c.Name, 200)
	node := quote.Line(c.Node, 120)
	if c.Operator != "" && c.Kind != Operator {
		node += " (" + c.Operator + ")"
	}
	switch {
	case c.Kind == NodeAdded:
		b.WriteString(node + reads(c.To))
	case c.Kind == NodeRemoved:
		b.WriteString(node + reads(c.From))
	case c.Tensor != nil:
		b.WriteString(c.stored(name, node))
	case c.Kind == Operator:
		fmt.Fprintf(b, "%s: %s → %s", node, quote.Line(c.From, 200), quote.Line(c.To, 200))
	default:
		if c.Node != "" {
			b.WriteString(node + ": ")
		}
		fmt.Fprintf(b, "%s: %s → %s", name, quote.Line(cmp.Or(c.From, "none"), 200), quote.Line(cmp.Or(c.To, "none"), 200))
	}
	if c.Where != "" {
		b.WriteString(", in " + c.Where)
	}
	b.WriteByte('\n')
	if c.Other != "" && c.Tensor == nil {
		fmt.Fprintf(b, "  in the second file it is %s\n", quote.Line(c.Other, 120))
	}
	for i, r := range c.Readers {
		if i == shownElements {
			fmt.Fprintf(b, "  and %d more places\n", len(c.Readers)-i)
			break
		}
		b.WriteString("  read as " + r + "\n")
	}
}

func reads(what string) string {
	if what == "" {
		return ""
	}
	return " reads " + what
}

// stored describes a change of elements.
func (c Change) stored(name, node string) string {
	t := c.Tensor
	text := name
	if c.Other != "" {
		text += ", in the second file " + quote.Line(c.Other, 120)
	}
	if node != "" {
		text += ", read by " + node
	}
	text += ": " + t.A
	if t.A != t.B {
		text += " → " + t.B
	}
	if t.Axes != nil {
		text += fmt.Sprintf(", the axes in the order %v", t.Axes)
	}
	switch {
	case t.Rounded:
		text += ", each element converted"
	case t.Changed > 0:
		text += fmt.Sprintf(", %s of %s elements differ", quote.Count(t.Changed), quote.Count(t.Total))
		if t.MaxAbs != nil {
			text += fmt.Sprintf(", by %.3g at most", *t.MaxAbs)
		}
		text += fmt.Sprintf(", first %v: %s → %s", t.First, t.From, t.To)
	}
	return text
}
