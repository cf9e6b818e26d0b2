package attnx

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/check"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
)

// InspectedONNX describes an ONNX file apart from its tensors.
type InspectedONNX struct {
	IRVersion int64               `json:"ir_version"`
	Opset     map[string]int64    `json:"opset"`
	Inputs    []string            `json:"inputs"`
	Outputs   []string            `json:"outputs"`
	Nodes     map[string]int      `json:"nodes"` // by operator, as in operators but without versions
	Operators []InspectedOperator `json:"operators"`
	Functions []InspectedFunction `json:"functions,omitempty"`
	CannotRun []string            `json:"cannot_run,omitempty"` // why attnx refuses the file, and what ONNX's own checker would refuse

	Model *onnx.Model       `json:"-"`
	Unfit map[string]string `json:"-"` // inputs and outputs that attnx cannot run, and why
}

// InspectedOperator is an operator with the number of its nodes in the graph, in
// subgraphs, in functions and in training information.
type InspectedOperator struct {
	Domain  string `json:"domain"` // "ai.onnx" is the standard domain
	Op      string `json:"op"`
	Version int64  `json:"version"` // of the domain
	Nodes   int    `json:"nodes"`
	Runs    bool   `json:"runs"`
	WhyNot  string `json:"why_not,omitempty"`
}

// InspectedFunction is a function of the file.
type InspectedFunction struct {
	Domain     string   `json:"domain"`
	Name       string   `json:"name"`
	Overload   string   `json:"overload,omitempty"`
	Inputs     []string `json:"inputs"`
	Outputs    []string `json:"outputs"`
	Attributes []string `json:"attributes,omitempty"`
	Nodes      int      `json:"nodes"`
}

// Name returns the operator as onnx.Print writes it.
func (o InspectedOperator) Name() string {
	if o.Domain == standardDomain {
		return o.Op
	}
	return o.Domain + "." + o.Op
}

const standardDomain = "ai.onnx"

// DomainName returns the name of an operator domain. The standard domain is also
// written "".
func DomainName(domain string) string {
	if domain == "" {
		return standardDomain
	}
	return domain
}

func (x *Inspection) onnx(m *onnx.Model) {
	x.Kind, x.Metadata = "onnx", m.Metadata
	o := &InspectedONNX{
		Model:     m,
		IRVersion: m.IRVersion, Opset: map[string]int64{}, Inputs: []string{}, Outputs: []string{}, Nodes: map[string]int{},
		Operators: []InspectedOperator{}, Unfit: map[string]string{}}
	_, ours := m.Metadata[model.MetaConfig]
	notONNX := invalid(x.File, m)
	o.CannotRun = append(slices.DeleteFunc(problemsOf(x.File, m, ours), func(p string) bool { return slices.Contains(notONNX, notValid+p) }), notONNX...)
	if !ours {
		if err := endless(x.File, m); err != nil {
			o.CannotRun = append(o.CannotRun, strings.TrimPrefix(quote.Line(err.Error(), 500), "onnx: "))
		}
	}
	missing := map[string]int{}
	if !ours { // attnx run reads it
		missing = read.Missing(m)
	}
	x.InspectedONNX = o
	for _, s := range m.Opsets {
		o.Opset[s.Domain] = s.Version
	}
	texts := func(list []onnx.ValueInfo) []string {
		out := []string{}
		for _, v := range list {
			out = append(out, v.String())
			o.Unfit[v.String()] = v.WhyNot()
			if !ours && v.Other == nil {
				o.Unfit[v.String()] = typeNotRead(v.DataType)
			}
		}
		return out
	}
	o.Inputs, o.Outputs = texts(m.Graph.Inputs), texts(m.Graph.Outputs)
	for _, op := range m.Operators() {
		shown := InspectedOperator{Domain: DomainName(op.Domain), Op: op.Op, Version: op.Version, Nodes: op.Nodes, WhyNot: op.WhyNot}
		if !ours {
			shown.WhyNot = ""
			if missing[shown.Name()] > 0 {
				shown.WhyNot = "the oracle does not read it, so only a runtime can run it"
			}
		}
		shown.Runs = shown.WhyNot == ""
		o.Operators = append(o.Operators, shown)
		o.Nodes[shown.Name()] += op.Nodes
		if !shown.Runs && (len(o.CannotRun) == 0 || !ours) { // a domain that the checker does not know
			o.CannotRun = append(o.CannotRun, fmt.Sprintf("operator %s: %s", quote.Line(shown.Name(), 500), shown.WhyNot))
		}
	}
	for _, f := range m.Functions {
		o.Functions = append(o.Functions, InspectedFunction{DomainName(f.Domain), f.Name, f.Overload, orEmpty(f.Inputs), orEmpty(f.Outputs), f.Attributes, len(f.Nodes)})
	}
	for _, t := range m.Graph.Initializers {
		x.Tensors = append(x.Tensors, InspectedTensor{Name: t.Name, DType: t.DataType.String(), Shape: shapeOf(t.Dims), Bytes: t.Bytes(), WhyNot: t.WhyNot()})
		if !ours {
			x.Tensors[len(x.Tensors)-1].WhyNot = typeNotRead(t.DataType)
		}
		if t.DataType.Floating() {
			x.Parameters += t.Elements()
		}
	}
	for _, t := range m.Graph.Sparse {
		shown := InspectedTensor{Name: t.Name(), Shape: shapeOf(t.Dims), Sparse: true}
		if ours {
			shown.WhyNot = "sparse tensors are not supported"
		}
		if t.Values != nil {
			shown.DType, shown.Bytes = t.Values.DataType.String(), t.Values.Bytes()
		}
		x.Tensors = append(x.Tensors, shown)
	}
	// An attnx file has constants in addition to the parameters, such as the mask.
	if !ours {
		return
	}
	c, err := model.FromMetadata(m.Metadata, len(m.Graph.Initializers))
	if err != nil {
		o.CannotRun = append(o.CannotRun, quote.Line(err.Error(), 2000))
		return
	}
	if n, err := c.Parameters(); err == nil {
		x.Parameters = int64(n)
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

// endless returns why no runtime comes to the end of a file, as far as the file alone tells: a
// loop without end, or values beyond any memory though each open size is 1.
func endless(path string, m *onnx.Model) error {
	if err := read.Endless(m); err != nil {
		return err
	}
	if !read.HasLoop(m) && len(m.Graph.Nodes) > fewNodes {
		return nil
	}
	x := &ONNX{Path: path, File: m}
	var err error
	if x.inputs, err = inputsOf(m); err != nil {
		return nil // they are shown as what they are
	}
	inputs, _, err := x.draw(nil, 1, openSizes{batch: 1, length: 1})
	if err != nil {
		return nil
	}
	r, err := x.readFor(inputs)
	if err != nil {
		return nil
	}
	var beyond *MemoryError
	if err := roomFor(r.Graph, inputs, 1<<40); errors.As(err, &beyond) {
		return fmt.Errorf("node %.80q: %s: with each open size 1 its result has the shape %v, beyond any memory: write the file with smaller values", beyond.Node, beyond.Operator, beyond.Shape)
	}
	return nil
}

// notValid begins the problems that ONNX's own checker would report.
const notValid = "not valid ONNX: "

// invalid returns the problems that ONNX's own checker would report.
func invalid(path string, m *onnx.Model) (out []string) {
	for _, err := range check.Full(m, filepath.Dir(path)) {
		out = append(out, notValid+strings.TrimPrefix(quote.Line(err.Error(), 500), "onnx: "))
	}
	return out
}

// typeNotRead returns why the oracle does not read tensors of a type; "" if it does.
func typeNotRead(t onnx.DataType) string {
	if t == 0 { // not declared
		return ""
	}
	if _, err := read.ElementType(t); err != nil {
		return err.Error()
	}
	return ""
}

// problemsOf returns why attnx refuses a model, in the words of the packages
// that would refuse it.
func problemsOf(path string, m *onnx.Model, ours bool) (out []string) {
	problems := onnx.StructureProblems
	if ours {
		problems = onnx.Problems
	}
	for _, err := range problems(m, filepath.Dir(path)) {
		if bad := new(onnx.FormatError); errors.As(err, &bad) && bad.External != "" {
			if pointer := find.RefusePointer(filepath.Join(filepath.Dir(path), filepath.FromSlash(bad.External))); pointer != nil {
				err = pointer
			}
		}
		out = append(out, strings.TrimPrefix(quote.Line(err.Error(), 500), "onnx: "))
	}
	return out
}
