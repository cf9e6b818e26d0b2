package placement

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/attnx/attnx/internal/quote"
)

// shownUsers is how many users of a copied value the text lists.
const shownUsers = 3

// WriteText writes the nodes that are not on the GPU, the copies, and the
// counts.
func (r *Report) WriteText(w io.Writer, name string) error {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	if r.CUDA < len(r.Nodes) {
		fmt.Fprintln(tw, "node\toperator\tdevice\twhy")
	}
	for _, n := range r.Nodes {
		if n.Device != OnCUDA {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", printable(n.Node), printable(n.Op), n.Device, printable(n.Why))
		}
	}
	tw.Flush() // Builder never fails
	if len(r.Copies) > 0 {
		fmt.Fprintln(tw, "copy\tvalue\tfrom\tto")
	}
	for _, c := range r.Copies {
		to := strings.Join(c.To[:min(shownUsers, len(c.To))], ", ")
		if more := len(c.To) - shownUsers; more > 0 {
			to += fmt.Sprintf(" and %d more", more)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", c.Op, printable(c.Value), printable(c.From), printable(to))
	}
	tw.Flush()
	fmt.Fprintf(&text, "%s: %d of %d nodes on CUDA, %d on the CPU, %d copies (kernels of ONNX Runtime %s)\n",
		name, r.CUDA, len(r.Nodes), r.CPU, len(r.Copies), r.Table)
	if r.Unchecked > 0 {
		fmt.Fprintf(&text, "the shapes of %d nodes are not known to be valid: the file does not declare them, or attnx has no rule for the operator\n", r.Unchecked)
	}
	if r.Other > 0 {
		fmt.Fprintf(&text, "%d nodes have no known place\n", r.Other)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// printable makes names from a file safe for a terminal.
func printable(s string) string { return quote.Line(s, 500) }
