package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/huggingface"
)

// inspection is what inspect tells of a file. Fields that a kind of file does
// not have stay empty.
type inspection struct {
	File       string            `json:"file"`
	Kind       string            `json:"kind"` // "safetensors", "onnx" or "huggingface", a folder
	Bytes      int64             `json:"bytes"`
	Parameters int64             `json:"parameters"` // elements of the weights; of all floating-point tensors where it is not known which are
	Metadata   map[string]string `json:"metadata"`
	Tensors    []inspectedTensor `json:"tensors"`
	Sealed     bool              `json:"sealed"`
	Root       string            `json:"root,omitempty"` // of a sealed file; hexadecimal
	ContentID  string            `json:"content_id,omitempty"`
	Refused    string            `json:"refused,omitempty"` // of a folder: why attnx does not read it as a model
	Notes      []string          `json:"notes,omitempty"`   // of a folder: what attnx passes over or does not read
	*onnxInspection
}

type inspectedTensor struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`

	Sparse bool   `json:"sparse,omitempty"`  // bytes are those of the values that are not zero
	WhyNot string `json:"why_not,omitempty"` // attnx cannot run it
}

func inspectCommand(s streams) *cobra.Command {
	var asJSON, nodes bool
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what is in a checkpoint, a model folder or an ONNX file",
		Long: `Show what is in a file or folder.

Of an ONNX file inspect shows all that the format allows, other tools' too, and
marks the operators, types and domains that attnx cannot run. --nodes prints
every node, those of graphs within nodes and of functions too. A file is refused
only if its bytes are not ONNX.`,
		Example: "  attnx inspect runs/go\n  attnx inspect go.onnx --nodes",
		Args:    oneArg("checkpoint, safetensors file, folder or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return find.Again(args[0], func() error { return inspect(s, args[0], asJSON, nodes) })
		},
	}
	jsonFlag(cmd, &asJSON, inspection{})
	cmd.Flags().BoolVar(&nodes, "nodes", false, "ONNX: print the graph, a node a line")
	return cmd
}

// inspect shows what is in the file or folder of a name.
func inspect(s streams, name string, asJSON, nodes bool) error {
	if nodes && asJSON {
		return fmt.Errorf("--nodes and --json exclude each other: --json has no nodes, only their number")
	}
	if name = find.ModelIn(name); huggingface.IsFolder(name) {
		if nodes {
			return fmt.Errorf("--nodes: %s has no nodes, it is a folder of weights", name)
		}
		x, err := inspectFolder(name)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(s.out, x)
		}
		return x.print(s.out)
	}
	path, err := find.Resolve(name, s.tell)
	if err != nil {
		return err
	}
	kind, err := find.ExpectModel(path)
	if err != nil {
		return err
	}
	if kind != find.ONNX && nodes {
		return fmt.Errorf("--nodes: %s has no nodes, it is a safetensors file", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	x := inspection{File: path, Bytes: info.Size(), Metadata: map[string]string{}}
	if kind == find.ONNX {
		m, err := onnx.DecodeFile(path)
		if err != nil {
			return err
		}
		if nodes {
			return onnx.Print(s.out, m)
		}
		x.onnx(m)
	} else if err := x.safetensors(path); err != nil {
		return err
	}
	if asJSON {
		return printJSON(s.out, x)
	}
	return x.print(s.out)
}

func (x *inspection) safetensors(path string) error {
	f, err := format.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	x.Kind = "safetensors"
	x.weights(f)
	return nil
}

// weights adds what is in a safetensors file.
func (x *inspection) weights(f *format.File) {
	x.Metadata = f.Metadata()
	if seal := f.Seal(); seal != nil {
		x.Sealed, x.Root, x.ContentID = true, seal.Root.String(), seal.ContentID.String()
	}
	for _, t := range f.Tensors() {
		n, _ := format.Elements(t.Shape)
		x.Tensors = append(x.Tensors, inspectedTensor{Name: t.Name, DType: t.DType.String(), Shape: t.Shape, Bytes: int64(n * t.DType.Size())})
		if t.DType.Float() && !strings.HasPrefix(t.Name, format.MomentPrefix) {
			x.Parameters += int64(n)
		}
	}
}

func (x *inspection) print(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s, %s bytes, %s parameters\n", x.File, x.Kind, thousands(int(x.Bytes)), thousands(int(x.Parameters)))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if x.onnxInspection != nil {
		x.onnxInspection.print(tw)
	}
	switch {
	case x.Sealed:
		fmt.Fprintf(tw, "seal\troot %s\n\tcontent %s\n", x.Root, x.ContentID)
	case x.Refused != "":
		fmt.Fprintf(tw, "not read\t%s\n", x.Refused)
	case x.Kind == "safetensors":
		fmt.Fprintf(tw, "seal\tnone: nothing shows whether it is what was saved\n")
	}
	for _, note := range x.Notes {
		fmt.Fprintf(tw, "note\t%s\n", oneLine(note))
	}
	for _, k := range sortedKeys(x.Metadata) {
		fmt.Fprintf(tw, "%s\t%s\n", printable(k), shortened(x.Metadata[k]))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if x.onnxInspection != nil {
		if err := x.printOperators(tw); err != nil {
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

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// shortened keeps long metadata, such as a tokenizer, on one line.
func shortened(s string) string {
	if r := []rune(oneLine(s[:min(len(s), 1000)])); len(r) > 100 {
		return fmt.Sprintf("%s... (%d characters)", printable(string(r[:100])), utf8.RuneCountInString(s))
	}
	return printable(oneLine(s))
}

// printable returns a name of a file as it may go to a terminal.
func printable(s string) string { return quote.Line(s, 500) }
