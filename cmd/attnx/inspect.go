package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/internal/quote"
)

func inspectCommand(s console.Streams) *cobra.Command {
	var asJSON, nodes bool
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what is in a checkpoint, a folder, a GGUF or an ONNX file",
		Long: `Show what is in a file or folder.

Of an ONNX file inspect shows all that the format allows, other tools' too, and
marks the operators, types and domains that attnx cannot run. --nodes prints
every node, those of graphs within nodes and of functions too. A file is refused
only if its bytes are not ONNX.`,
		Example: "  attnx inspect runs/go\n  attnx inspect go.onnx --nodes",
		Args:    usage.OneArg("checkpoint, safetensors file, folder, GGUF or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if nodes && asJSON {
				return errors.New("--nodes and --json exclude each other: --json has no nodes, only their number")
			}
			x, err := attnx.Inspect(args[0], s.Tell)
			switch {
			case err != nil:
				return err
			case nodes && x.InspectedONNX != nil:
				return onnx.Print(s.Out, x.Model)
			case nodes && x.Kind == "huggingface":
				return fmt.Errorf("--nodes: %s has no nodes, it is a folder of weights", x.File)
			case nodes && x.Kind == "gguf":
				return fmt.Errorf("--nodes: %s has no nodes, it is a GGUF file", x.File)
			case nodes:
				return fmt.Errorf("--nodes: %s has no nodes, it is a safetensors file", x.File)
			case asJSON:
				return usage.PrintJSON(s.Out, x)
			}
			return printInspection(s.Out, x)
		},
	}
	usage.JSONFlag(cmd, &asJSON, attnx.Inspection{})
	cmd.Flags().BoolVar(&nodes, "nodes", false, "ONNX: print the graph, a node a line")
	return cmd
}

// printInspection writes the result of inspect as text.
func printInspection(w io.Writer, x attnx.Inspection) error {
	fmt.Fprintf(w, "%s: %s, %s bytes, %s parameters\n", x.File, x.Kind, thousands(int(x.Bytes)), thousands(int(x.Parameters)))
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
		fmt.Fprintf(tw, "%s\t%s\n", printable(k), shortened(x.Metadata[k]))
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
		fmt.Fprintf(tw, "%s\t%s\t%v\t%s%s\n", printable(t.Name), typ, t.Shape, thousands(int(t.Bytes)), cannotRun(t.WhyNot))
	}
	return tw.Flush()
}

// shortened shortens long metadata, such as a tokenizer, to one line.
func shortened(s string) string {
	if r := []rune(words.OneLine(s[:min(len(s), 1000)])); len(r) > 100 {
		return fmt.Sprintf("%s... (%d characters)", printable(string(r[:100])), utf8.RuneCountInString(s))
	}
	return printable(words.OneLine(s))
}

// printable makes a name from a file safe to print on a terminal.
func printable(s string) string { return quote.Line(s, 500) }

// shownProblems bounds the reasons that the text lists.
const shownProblems = 5

// printONNX writes the lines before the metadata.
func printONNX(w io.Writer, o *attnx.InspectedONNX) {
	fmt.Fprintf(w, "IR version\t%d\n", o.IRVersion)
	for _, domain := range slices.Sorted(maps.Keys(o.Opset)) {
		fmt.Fprintf(w, "opset\t%s %d\n", printable(attnx.DomainName(domain)), o.Opset[domain])
	}
	for _, v := range o.Inputs {
		fmt.Fprintf(w, "input\t%s%s\n", printable(v), cannotRun(o.Unfit[v]))
	}
	for _, v := range o.Outputs {
		fmt.Fprintf(w, "output\t%s%s\n", printable(v), cannotRun(o.Unfit[v]))
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
			fmt.Fprintf(tw, "%s\t%d\t%d\t%d\n", printable(f.Domain+"."+f.Name), len(f.Inputs), len(f.Outputs), f.Nodes)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	if len(o.Operators) > 0 {
		fmt.Fprintln(tw, "\noperator\tnodes")
		for _, op := range o.Operators {
			fmt.Fprintf(tw, "%s\t%d%s\n", printable(op.Name()), op.Nodes, cannotRun(op.WhyNot))
		}
	}
	return tw.Flush()
}

// cannotRun marks a line of something that attnx cannot run.
func cannotRun(why string) string {
	if why == "" {
		return ""
	}
	return "\tattnx cannot run it: " + printable(why)
}
