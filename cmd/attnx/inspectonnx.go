package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
)

// onnxInspection is what inspect reports of an ONNX file beside its tensors.
type onnxInspection struct {
	IRVersion int64            `json:"ir_version"`
	Opset     map[string]int64 `json:"opset"`
	Inputs    []string         `json:"inputs"`
	Outputs   []string         `json:"outputs"`
	Nodes     map[string]int   `json:"nodes"` // by operator; as in operators, and without versions
	Operators []inspectedOp    `json:"operators"`
	Functions []inspectedFunc  `json:"functions,omitempty"`
	CannotRun []string         `json:"cannot_run,omitempty"` // why attnx does not take the file

	unfit map[string]string // inputs and outputs, and why attnx cannot run them
}

// inspectedOp is an operator and its nodes in the graph, in the graphs within
// its nodes, in functions and in training information.
type inspectedOp struct {
	Domain  string `json:"domain"` // "ai.onnx" is the standard one
	Op      string `json:"op"`
	Version int64  `json:"version"` // of the domain
	Nodes   int    `json:"nodes"`
	Runs    bool   `json:"runs"`
	WhyNot  string `json:"why_not,omitempty"`
}

type inspectedFunc struct {
	Domain     string   `json:"domain"`
	Name       string   `json:"name"`
	Overload   string   `json:"overload,omitempty"`
	Inputs     []string `json:"inputs"`
	Outputs    []string `json:"outputs"`
	Attributes []string `json:"attributes,omitempty"`
	Nodes      int      `json:"nodes"`
}

// name returns the operator as Print writes it.
func (o inspectedOp) name() string {
	if o.Domain == standardDomain {
		return o.Op
	}
	return o.Domain + "." + o.Op
}

// standardDomain is a name of the standard operators' domain, which is also
// written "".
const standardDomain = "ai.onnx"

func domainName(domain string) string {
	if domain == "" {
		return standardDomain
	}
	return domain
}

func (x *inspection) onnx(m *onnx.Model) {
	x.Kind, x.Metadata = "onnx", m.Metadata
	o := &onnxInspection{
		IRVersion: m.IRVersion, Opset: map[string]int64{}, Inputs: []string{}, Outputs: []string{}, Nodes: map[string]int{},
		Operators: []inspectedOp{}, unfit: map[string]string{}, CannotRun: problemsOf(x.File, m),
	}
	x.onnxInspection = o
	for _, s := range m.Opsets {
		o.Opset[s.Domain] = s.Version
	}
	texts := func(list []onnx.ValueInfo) []string {
		out := []string{}
		for _, v := range list {
			out = append(out, v.String())
			o.unfit[v.String()] = v.WhyNot()
		}
		return out
	}
	o.Inputs, o.Outputs = texts(m.Graph.Inputs), texts(m.Graph.Outputs)
	for _, op := range m.Operators() {
		shown := inspectedOp{domainName(op.Domain), op.Op, op.Version, op.Nodes, op.WhyNot == "", op.WhyNot}
		o.Operators = append(o.Operators, shown)
		o.Nodes[shown.name()] += op.Nodes
		if !shown.Runs && len(o.CannotRun) == 0 { // a domain of which the checker says nothing
			o.CannotRun = []string{fmt.Sprintf("operator %s: %s", printable(shown.name()), op.WhyNot)}
		}
	}
	for _, f := range m.Functions {
		o.Functions = append(o.Functions, inspectedFunc{domainName(f.Domain), f.Name, f.Overload, orEmpty(f.Inputs), orEmpty(f.Outputs), f.Attributes, len(f.Nodes)})
	}
	for _, t := range m.Graph.Initializers {
		x.Tensors = append(x.Tensors, inspectedTensor{Name: t.Name, DType: t.DataType.String(), Shape: shapeOf(t.Dims), Bytes: t.Bytes(), WhyNot: t.WhyNot()})
		if t.DataType.Floating() {
			x.Parameters += t.Elements()
		}
	}
	for _, t := range m.Graph.Sparse {
		shown := inspectedTensor{Name: t.Name(), Shape: shapeOf(t.Dims), Sparse: true, WhyNot: "sparse tensors are not supported"}
		if t.Values != nil {
			shown.DType, shown.Bytes = t.Values.DataType.String(), t.Values.Bytes()
		}
		x.Tensors = append(x.Tensors, shown)
	}
	// A file of ours has constants beside the parameters, such as the mask.
	if c, err := model.FromMetadata(m.Metadata, len(m.Graph.Initializers)); err == nil {
		if n, err := c.Parameters(); err == nil {
			x.Parameters = int64(n)
		}
	}
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func shapeOf(dims []int64) []int {
	shape := make([]int, len(dims))
	for i, d := range dims {
		shape[i] = int(d)
	}
	return shape
}

// problemsOf returns why attnx does not take a model, in the words of those who
// would refuse it.
func problemsOf(path string, m *onnx.Model) (out []string) {
	for _, err := range onnx.Problems(m, filepath.Dir(path)) {
		if bad := new(onnx.FormatError); errors.As(err, &bad) && bad.External != "" {
			if pointer := find.RefusePointer(filepath.Join(filepath.Dir(path), filepath.FromSlash(bad.External))); pointer != nil {
				err = pointer
			}
		}
		out = append(out, strings.TrimPrefix(printable(oneLine(err.Error())), "onnx: "))
	}
	return out
}

// shownProblems is how many reasons the text has.
const shownProblems = 5

// print writes the lines before the metadata.
func (o *onnxInspection) print(w io.Writer) {
	fmt.Fprintf(w, "IR version\t%d\n", o.IRVersion)
	for _, domain := range sortedKeys(o.Opset) {
		fmt.Fprintf(w, "opset\t%s %d\n", printable(domainName(domain)), o.Opset[domain])
	}
	for _, v := range o.Inputs {
		fmt.Fprintf(w, "input\t%s%s\n", printable(v), cannotRun(o.unfit[v]))
	}
	for _, v := range o.Outputs {
		fmt.Fprintf(w, "output\t%s%s\n", printable(v), cannotRun(o.unfit[v]))
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
func (o *onnxInspection) printOperators(tw *tabwriter.Writer) error {
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
			fmt.Fprintf(tw, "%s\t%d%s\n", printable(op.name()), op.Nodes, cannotRun(op.WhyNot))
		}
	}
	return tw.Flush()
}

// cannotRun is how a line marks what attnx cannot run.
func cannotRun(why string) string {
	if why == "" {
		return ""
	}
	return "\tattnx cannot run it: " + printable(why)
}
