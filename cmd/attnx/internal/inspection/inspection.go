// Package inspection prints what is in a file or a folder.
package inspection

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/internal/quote"
)

// Print writes the result of inspect as text.
func Print(w io.Writer, x attnx.Inspection) error {
	fmt.Fprintf(w, "%s: %s, %s bytes, %s parameters\n", x.File, x.Kind, quote.Count(int(x.Bytes)), quote.Count(int(x.Parameters)))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if x.InspectedONNX != nil {
		printONNX(tw, x.InspectedONNX)
	}
	switch {
	case x.Sealed:
		fmt.Fprintf(tw, "seal\troot %s\n\tcontent %s\n", x.Root, x.ContentID)
	case x.Kind == "safetensors":
		fmt.Fprintf(tw, "seal\tnone: nothing shows whether it is what was saved\n")
	}
	if x.Refused != "" {
		fmt.Fprintf(tw, "not read\t%s\n", x.Refused)
	}
	for _, note := range x.Notes {
		fmt.Fprintf(tw, "note\t%s\n", words.OneLine(note))
	}
	for _, k := range slices.Sorted(maps.Keys(x.Metadata)) {
		fmt.Fprintf(tw, "%s\t%s\n", Printable(k), Shortened(x.Metadata[k]))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if x.InspectedONNX != nil {
		if err := printOperators(tw, x.InspectedONNX); err != nil {
			return err
		}
	}
	fmt.Fprintln(tw, "\ntensor\ttype\tshape\tbytes")
	for _, t := range x.Tensors {
		typ := t.DType
		if t.Sparse {
			typ = "sparse " + typ
		}
		fmt.Fprintf(tw, "%s\t%s\t%v\t%s%s\n", Printable(t.Name), typ, t.Shape, quote.Count(int(t.Bytes)), cannotRun(t.WhyNot))
	}
	return tw.Flush()
}

// Shortened shortens long metadata, such as a tokenizer, to one line.
func Shortened(s string) string {
	if r := []rune(words.OneLine(s[:min(len(s), 1000)])); len(r) > 100 {
		return fmt.Sprintf("%s... (%d characters)", Printable(string(r[:100])), utf8.RuneCountInString(s))
	}
	return Printable(words.OneLine(s))
}

// Printable makes a name from a file safe to print on a terminal.
func Printable(s string) string { return quote.Line(s, 500) }

// shownProblems bounds the reasons that the text lists.
const shownProblems = 5

// printONNX writes the lines before the metadata.
func printONNX(w io.Writer, o *attnx.InspectedONNX) {
	fmt.Fprintf(w, "IR version\t%d\n", o.IRVersion)
	for _, domain := range slices.Sorted(maps.Keys(o.Opset)) {
		fmt.Fprintf(w, "opset\t%s %d\n", Printable(attnx.DomainName(domain)), o.Opset[domain])
	}
	for _, v := range o.Inputs {
		fmt.Fprintf(w, "input\t%s%s\n", Printable(v), cannotRun(o.Unfit[v]))
	}
	for _, v := range o.Outputs {
		fmt.Fprintf(w, "output\t%s%s\n", Printable(v), cannotRun(o.Unfit[v]))
	}
	for i, why := range o.CannotRun {
		if i == shownProblems {
			fmt.Fprintf(w, "\tand %d more: see --json\n", len(o.CannotRun)-i)
			break
		}
		if i == 0 {
			fmt.Fprintf(w, "attnx cannot run it\t%s\n", why)
		} else {
			fmt.Fprintf(w, "\t%s\n", why)
		}
	}
}

// printOperators writes the tables of operators and functions.
func printOperators(tw *tabwriter.Writer, o *attnx.InspectedONNX) error {
	if len(o.Functions) > 0 {
		fmt.Fprintln(tw, "\nfunction\tinputs\toutputs\tnodes")
		for _, f := range o.Functions {
			fmt.Fprintf(tw, "%s\t%d\t%d\t%d\n", Printable(f.Domain+"."+f.Name), len(f.Inputs), len(f.Outputs), f.Nodes)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	if len(o.Operators) > 0 {
		fmt.Fprintln(tw, "\noperator\tnodes")
		for _, op := range o.Operators {
			fmt.Fprintf(tw, "%s\t%d%s\n", Printable(op.Name()), op.Nodes, cannotRun(op.WhyNot))
		}
	}
	return tw.Flush()
}

// cannotRun marks a line of something that attnx cannot run.
func cannotRun(why string) string {
	if why == "" {
		return ""
	}
	return "\tattnx cannot run it: " + Printable(why)
}
