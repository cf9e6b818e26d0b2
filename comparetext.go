package attnx

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// WriteText writes the differences as text.
func (x Comparison) WriteText(w io.Writer) error {
	count := map[string]int{}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range x.Tensors {
		if count[d.State]++; d.State == format.Equal {
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t", d.State, d.Name)
		switch {
		case d.State == format.Reshaped:
			fmt.Fprintf(tw, "%s to %s", d.A, d.B)
		case d.State != format.Changed:
			fmt.Fprint(tw, d.A+d.B)
		case d.ValuesDiff != nil:
			fmt.Fprintf(tw, "%s elements\tmax %s\tnorm %s\trelative %s", quote.Count(d.Changed), shortFloat(d.MaxAbs), shortFloat(d.Norm), shortFloat(d.Relative))
		default:
			fmt.Fprint(tw, d.A)
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if x.Graph == GraphChanged {
		fmt.Fprintln(w, "graphs differ")
	}
	for _, name := range x.Metadata {
		fmt.Fprintf(w, "metadata differ: %s\n", quote.Line(name, 100))
	}
	line := fmt.Sprintf("%d tensors equal", count[format.Equal])
	for _, state := range []string{format.Changed, format.Reshaped, format.OnlyA, format.OnlyB} {
		if count[state] > 0 {
			line += fmt.Sprintf(", %d %s", count[state], state)
		}
	}
	if x.BySeals {
		line += " (by their seals)"
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// shortFloat formats a number of a table with three significant digits.
func shortFloat(v *float64) string {
	if v == nil {
		return "no number"
	}
	return fmt.Sprintf("%.3g", *v)
}
