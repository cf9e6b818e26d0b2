package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/format"
)

func diffCommand(s console.Streams) *cobra.Command {
	var asJSON, values bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Show in which tensors two models differ, and by how much",
		Long: `Compare two checkpoints, safetensors files, folders or ONNX files: their tensors
by name, their graphs and their metadata. Where both are sealed, the seals show
which tensors differ, whatever the size of the files; --values reads those
tensors and reports by how much they differ. (verify-seal checks whether a file
still is what its seal says.) A run's folder means its newest checkpoint,
RUN/best its best.

Exit codes: 0 they are equal, 1 they differ.`,
		Example: "  attnx diff runs/go/best runs/go --values",
		Args:    usage.Args(2, "files"),
		RunE: func(_ *cobra.Command, args []string) error {
			x, err := attnx.Compare(args[0], args[1], attnx.CompareOptions{Values: values, Tell: s.Tell})
			if err != nil {
				return err
			}
			if asJSON {
				err = usage.PrintJSON(s.Out, x)
			} else {
				err = printComparison(s.Out, x)
			}
			if err == nil && !x.Equal {
				return errMismatch
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&values, "values", false, "read the tensors that differ and report by how much")
	usage.JSONFlag(cmd, &asJSON, attnx.Comparison{})
	return cmd
}

// shownNodes bounds the node differences that the text lists.
const shownNodes = 5

// printComparison writes the differences as text.
func printComparison(w io.Writer, x attnx.Comparison) error {
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
			fmt.Fprintf(tw, "%s elements\tmax %s\tnorm %s\trelative %s", thousands(d.Changed), shortFloat(d.MaxAbs), shortFloat(d.Norm), shortFloat(d.Relative))
		default:
			fmt.Fprint(tw, d.A)
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if x.Graph == attnx.GraphChanged {
		fmt.Fprintln(w, "graphs differ")
	}
	for _, place := range x.Nodes[:min(len(x.Nodes), shownNodes)] {
		fmt.Fprintf(w, "node %s\n", printable(place))
	}
	if more := len(x.Nodes) - shownNodes; more > 0 {
		fmt.Fprintf(w, "and %d more nodes: see --json\n", more)
	}
	for _, name := range x.Metadata {
		fmt.Fprintf(w, "metadata differ: %s\n", shortened(name))
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
