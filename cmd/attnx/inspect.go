package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
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
	IRVersion  int64             `json:"ir_version,omitempty"`
	Opset      map[string]int64  `json:"opset,omitempty"`
	Inputs     []string          `json:"inputs,omitempty"`
	Outputs    []string          `json:"outputs,omitempty"`
	Nodes      map[string]int    `json:"nodes,omitempty"` // by operator
}

type inspectedTensor struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`
}

func inspectCommand(s streams) *cobra.Command {
	var asJSON, nodes bool
	cmd := &cobra.Command{
		Use:     "inspect FILE",
		Short:   "Show what is in a checkpoint, a model folder or an ONNX file",
		Example: "  attnx inspect runs/go\n  attnx inspect go.onnx --nodes",
		Args:    oneArg("checkpoint, safetensors file, folder or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return again(args[0], func() error { return inspect(s, args[0], asJSON, nodes) })
		},
	}
	jsonFlag(cmd, &asJSON, inspection{})
	cmd.Flags().BoolVar(&nodes, "nodes", false, "ONNX: print the graph, a node a line")
	return cmd
}

// inspect shows what is in the file or folder of a name.
func inspect(s streams, name string, asJSON, nodes bool) error {
	if name = modelIn(name); huggingface.IsFolder(name) {
		x, err := inspectFolder(name)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(s.out, x)
		}
		return x.print(s.out)
	}
	path, err := resolve(name, s)
	if err != nil {
		return err
	}
	kind, err := sniff(path)
	if err != nil {
		return err
	}
	if nodes && asJSON {
		return fmt.Errorf("--nodes and --json exclude each other: --json has no nodes, only their number")
	}
	if kind != onnxFile && nodes {
		return fmt.Errorf("--nodes: %s has no nodes, it is a safetensors file", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	x := inspection{File: path, Bytes: info.Size(), Metadata: map[string]string{}}
	if kind == onnxFile {
		m, err := readModel(path)
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

// inspectFolder looks at the weights of a Hugging Face folder, in one file or
// in shards.
func inspectFolder(folder string) (x inspection, err error) {
	x = inspection{File: folder}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return x, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".safetensors") {
			continue
		}
		path := filepath.Join(folder, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			return x, err
		}
		x.Bytes += info.Size()
		if err := x.safetensors(path); err != nil {
			return x, err
		}
	}
	if len(x.Tensors) == 0 {
		return x, fmt.Errorf("%s: it has a config.json but no file of safetensors", folder)
	}
	x.Kind, x.Sealed, x.Root, x.ContentID = "huggingface", false, "", "" // a seal is of one file
	return x, nil
}

func (x *inspection) safetensors(path string) error {
	f, err := format.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	x.Kind, x.Metadata = "safetensors", f.Metadata()
	if seal := f.Seal(); seal != nil {
		x.Sealed, x.Root, x.ContentID = true, seal.Root.String(), seal.ContentID.String()
	}
	for _, t := range f.Tensors() {
		n, _ := format.Elements(t.Shape)
		x.Tensors = append(x.Tensors, inspectedTensor{t.Name, t.DType.String(), t.Shape, int64(n * t.DType.Size())})
		if t.DType.Float() && !strings.HasPrefix(t.Name, format.MomentPrefix) {
			x.Parameters += int64(n)
		}
	}
	return nil
}

func (x *inspection) onnx(m *onnx.Model) {
	x.Kind, x.Metadata, x.IRVersion = "onnx", m.Metadata, m.IRVersion
	x.Opset, x.Nodes = map[string]int64{}, map[string]int{}
	for _, o := range m.Opsets {
		x.Opset[o.Domain] = o.Version
	}
	for _, v := range m.Graph.Inputs {
		x.Inputs = append(x.Inputs, v.String())
	}
	for _, v := range m.Graph.Outputs {
		x.Outputs = append(x.Outputs, v.String())
	}
	for _, n := range m.Graph.Nodes {
		x.Nodes[n.Op]++
	}
	for _, t := range m.Graph.Initializers {
		n := t.Elements()
		shape := make([]int, len(t.Dims))
		for i, d := range t.Dims {
			shape[i] = int(d)
		}
		x.Tensors = append(x.Tensors, inspectedTensor{t.Name, t.DataType.String(), shape, n * t.DataType.Size()})
		if t.DataType.Floating() {
			x.Parameters += n
		}
	}
	// A file of ours has constants beside the parameters, such as the mask.
	if c, err := model.ParseConfig(m.Metadata[model.MetaConfig]); err == nil {
		if n, err := c.Parameters(); err == nil {
			x.Parameters = int64(n)
		}
	}
}

func (x *inspection) print(w io.Writer) error {
	fmt.Fprintf(w, "%s: %s, %s bytes, %s parameters\n", x.File, x.Kind, thousands(int(x.Bytes)), thousands(int(x.Parameters)))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if x.Kind == "onnx" {
		fmt.Fprintf(tw, "IR version\t%d\n", x.IRVersion)
		for _, domain := range sortedKeys(x.Opset) {
			name := domain
			if name == "" {
				name = "ai.onnx"
			}
			fmt.Fprintf(tw, "opset\t%s %d\n", name, x.Opset[domain])
		}
		for _, i := range x.Inputs {
			fmt.Fprintf(tw, "input\t%s\n", i)
		}
		for _, o := range x.Outputs {
			fmt.Fprintf(tw, "output\t%s\n", o)
		}
	}
	switch {
	case x.Sealed:
		fmt.Fprintf(tw, "seal\troot %s\n\tcontent %s\n", x.Root, x.ContentID)
	case x.Kind == "safetensors":
		fmt.Fprintf(tw, "seal\tnone: nothing tells whether it is what was saved\n")
	}
	for _, k := range sortedKeys(x.Metadata) {
		fmt.Fprintf(tw, "%s\t%s\n", k, shortened(x.Metadata[k]))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(x.Nodes) > 0 {
		fmt.Fprintln(tw, "\noperator\tnodes")
		for _, op := range sortedKeys(x.Nodes) {
			fmt.Fprintf(tw, "%s\t%d\n", op, x.Nodes[op])
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(tw, "\ntensor\ttype\tshape\tbytes")
	for _, t := range x.Tensors {
		fmt.Fprintf(tw, "%s\t%s\t%v\t%s\n", t.Name, t.DType, t.Shape, thousands(int(t.Bytes)))
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
	s = oneLine(s)
	if r := []rune(s); len(r) > 100 {
		return fmt.Sprintf("%s... (%d characters)", string(r[:100]), len(r))
	}
	return s
}
