package attnx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/diff"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
)

// ONNXComparison is the comparison of two ONNX files: what differs in structure, and
// what that makes of the outputs.
type ONNXComparison struct {
	A     string `json:"a"` // the compared files
	B     string `json:"b"`
	Equal bool   `json:"equal"` // they differ in names, order and storage at most
	// Identical: structure proves that they compute the same for every input. If not,
	// Reason is what stands against it.
	Identical bool   `json:"identical"`
	Reason    string `json:"reason,omitempty"`
	diff.Report
	Numbers *ONNXNumbers `json:"numbers"` // null if nothing was run
}

// ONNXNumbers compares the outputs of two files for the same inputs.
type ONNXNumbers struct {
	Runtime string             `json:"runtime"`
	Seed    uint64             `json:"seed"`
	Reason  string             `json:"reason,omitempty"` // why nothing, or no bound, is compared
	Inputs  []RunInput         `json:"inputs"`
	Outputs []OutputDifference `json:"outputs"`
}

// OutputDifference is how far the outputs of two files are apart.
type OutputDifference struct {
	Name  string `json:"name"`            // in the first file
	Other string `json:"other,omitempty"` // in the second file, if that is another
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	// MaxAbs is the largest difference, and MaxRel that as a share of the element, or
	// of the root mean square of all, if that is larger.
	MaxAbs runtime.Number `json:"max_abs"`
	MaxRel runtime.Number `json:"max_rel"`
	// OfBound is the largest difference as a multiple of what rounding explains, which
	// is twice the derived bound, because both files were run in a runtime.
	OfBound runtime.Number `json:"of_bound"`
	Status  OutputStatus   `json:"status"`
	Within  *bool          `json:"within,omitempty"` // whether Status is OutputWithin; nil if the output is not compared
	Reason  string         `json:"reason,omitempty"` // the first element that differs, or why they cannot be compared
}

// OutputStatus is what comparing an output gave.
type OutputStatus string

// The statuses.
const (
	OutputWithin  OutputStatus = "within bounds" // every element; equal, where no bound is known
	OutputDiffers OutputStatus = "differs"
	// OutputNotCompared is the status of an output that random draws of one of the files decide.
	OutputNotCompared OutputStatus = "not compared"
)

// DiffOptions configure CompareONNX.
type DiffOptions struct {
	Options               // Runtime may be Oracle
	Inputs         Files  // of the first file, read from files; the others are drawn
	Tokenizer      string // of inputs that are texts; empty: the one beside the file
	Seed           uint64 // of drawn inputs
	StructureAlone bool   // run nothing
}

// ONNXFiles reports whether all paths lead to ONNX files, or to folders with one that
// hold no checkpoint.
func ONNXFiles(paths ...string) bool {
	for _, path := range paths {
		if kind, err := find.ExpectModel(find.TestedIn(path)); err != nil || kind != find.ONNX {
			return false
		}
	}
	return true
}

// CompareONNX compares two ONNX files of any tools: their nodes, which are matched by
// what they compute and not by name, their weights, inputs and outputs. If they differ,
// both are run on the same inputs.
func CompareONNX(_ context.Context, a, b string, o DiffOptions) (*ONNXComparison, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var files [2]diff.File
	paths := []string{find.ModelIn(find.TestedIn(a)), find.ModelIn(find.TestedIn(b))}
	for i, path := range paths {
		if _, err := find.Expect(path, find.ONNXFile, find.ONNX); err != nil {
			return nil, err
		}
		m, err := find.ReadModelAs(path, onnx.CheckStructure)
		if err != nil {
			return nil, err
		}
		files[i] = diff.File{Model: m, Dir: filepath.Dir(path)}
	}
	matching, err := diff.Match(files[0], files[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", paths[0], paths[1], err)
	}
	report, err := matching.Report()
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", paths[0], paths[1], err)
	}
	x := &ONNXComparison{A: paths[0], B: paths[1], Equal: report.Equal(), Report: *report}
	if x.Equal { // the nodes are the same: so is the normal form
		x.Identical = true
		return x, nil
	}
	x.prove(files, matching)
	if !o.StructureAlone {
		x.Numbers, err = compareNumbers(paths, o)
	}
	return x, err
}

// prove compares the normal forms.
func (x *ONNXComparison) prove(files [2]diff.File, m *diff.Matching) {
	inputs, outputs := m.Declared()
	r, err := identicalAs(Stored{files[0].Model, files[0].Dir}, Stored{files[1].Model, files[1].Dir}, inputs, outputs)
	switch {
	case err != nil:
		x.Reason = err.Error()
	case r.Identical:
		x.Identical = true
	default:
		x.Reason = strings.TrimSpace(quote.Line(r.A, 120) + " " + r.Reason)
	}
}

// compareNumbers runs both files on the same inputs. What cannot be run is no error:
// the files may be those of a tool that nothing here runs.
func compareNumbers(paths []string, o DiffOptions) (*ONNXNumbers, error) {
	n := &ONNXNumbers{Seed: o.Seed, Inputs: []RunInput{}, Outputs: []OutputDifference{}}
	var open [2]*ONNX
	for i, path := range paths {
		x, err := OpenONNX(path, o.Options)
		var option *OptionError
		switch {
		case errors.As(err, &option) || err != nil && o.Runtime != "":
			return nil, err
		case err != nil:
			n.Reason = err.Error()
			return n, nil
		}
		defer x.Close()
		open[i] = x
	}
	n.Runtime = open[0].Runtime.String()
	given, from, err := open[0].readInputs(o.Inputs, o.Tokenizer)
	if err != nil {
		return nil, err
	}
	inputs, how, err := open[0].Draw(given, o.Seed)
	if err != nil {
		n.Reason = err.Error()
		return n, nil
	}
	for _, v := range open[0].inputs {
		t := inputs[v.Name]
		n.Inputs = append(n.Inputs, RunInput{v.Name, t.DType.String(), t.Shape, from[v.Name] + how[v.Name]})
	}
	if err := n.compare(open[0], open[1], inputs); err != nil {
		n.Reason = err.Error()
	}
	return n, nil
}

// compare runs both files and compares their outputs.
func (n *ONNXNumbers) compare(a, b *ONNX, inputs map[string]format.Tensor) error {
	pair, err := paired(a, b)
	if err != nil {
		return err
	}
	theirs, err := pair.inputs(inputs)
	if err != nil {
		return err
	}
	outputs, err := a.Run(inputs)
	if err != nil {
		return err
	}
	for i, t := range outputs { // the second run may use the same memory
		outputs[i].Data = append([]byte{}, t.Data...)
	}
	random := randomIn(a, b, pair)
	bounds := n.bounds(a, pair, inputs)
	others, err := b.Run(theirs)
	if err != nil {
		return err
	}
	results := map[string]format.Tensor{}
	for _, t := range others {
		results[t.Name] = t
	}
	matched, err := pair.results(results)
	if err != nil {
		return err
	}
	for _, t := range outputs {
		got, ok := matched[t.Name]
		switch node := random[t.Name]; {
		case !ok:
		case node != "": // alike or not, the draws decided it
			none := runtime.Number(math.NaN())
			n.Outputs = append(n.Outputs, OutputDifference{Name: t.Name, DType: t.DType.String(), Shape: t.Shape, MaxAbs: none, MaxRel: none, OfBound: none,
				Status: OutputNotCompared, Reason: "not compared: it depends on what " + node + " draws at random"})
		default:
			n.Outputs = append(n.Outputs, differenceOf(t, got, bounds, pair))
		}
	}
	return nil
}

// randomIn returns the outputs of the first file that depend on random draws in one of the
// files, each with the node that draws for it.
func randomIn(a, b *ONNX, pair *pairing) map[string]string {
	random := map[string]string{}
	for name, node := range randomOutputs(b.File) {
		if ours, ok := pair.outputs[name]; ok {
			random[ours] = "node " + node + " of the second file"
		}
	}
	for name, node := range randomOutputs(a.File) {
		random[name] = "node " + node
	}
	return random
}

// bounds returns twice the derived bounds of the first file's outputs, nil if there are
// none.
func (n *ONNXNumbers) bounds(a *ONNX, pair *pairing, inputs map[string]format.Tensor) map[string]format.Tensor {
	own := &ONNX{Path: a.Path, File: a.File, inputs: a.inputs}
	for _, node := range randomOutputs(a.File) { // without these the oracle may read the file
		cut, err := keepNumbers(own, &RandomError{node})
		if err != nil {
			return nil // nothing is compared
		}
		own = cut
		break
	}
	err := own.openOracle()
	if err != nil {
		n.Reason = "no bound is known: " + err.Error()
		return nil
	}
	b, err := evaluating{own}.Bounds(inputs, runtime.Numbers{DType: pair.computed})
	if err != nil {
		n.Reason = "no bound is known: " + err.Error()
		return nil
	}
	if b.Bounds[0].Unknown != "" {
		n.Reason = "a bound is not known: " + b.Bounds[0].Unknown
	}
	twice := map[string]format.Tensor{}
	for name, t := range b.Bounds[0].Of {
		v, err := t.Float64s()
		if err != nil {
			continue
		}
		for i := range v {
			v[i] *= 2
		}
		twice[name] = t
	}
	return twice
}

// differenceOf compares an output of both files.
func differenceOf(first, second format.Tensor, bounds map[string]format.Tensor, pair *pairing) OutputDifference {
	d := OutputDifference{Name: first.Name, DType: first.DType.String(), Shape: first.Shape}
	for theirs, ours := range pair.outputs {
		if ours == first.Name && theirs != ours {
			d.Other = theirs
		}
	}
	var c runtime.Difference
	bound, known := bounds[first.Name]
	if known || !first.DType.Float() {
		c = runtime.Compare(first, second.WithName(first.Name), bound)
		d.OfBound = runtime.Number(c.Used)
	} else {
		c = runtime.CompareWithin(0, first, second.WithName(first.Name))
		d.OfBound = runtime.Number(math.NaN())
	}
	d.MaxAbs, d.MaxRel, d.Status, d.Reason = runtime.Number(c.MaxAbs), runtime.Number(c.MaxRel), OutputDiffers, c.Reason
	d.Within = &c.Within
	if c.Within {
		d.Status = OutputWithin
	}
	if f := c.FirstBad; f != nil {
		d.Reason = fmt.Sprintf("%s is %.9g, in the second file %.9g", f.Place(), f.Oracle, f.Got)
	}
	return d
}

// WriteText writes the comparison as text.
func (x *ONNXComparison) WriteText(w io.Writer) error {
	if err := x.Report.WriteText(w); err != nil {
		return err
	}
	var b strings.Builder
	switch {
	case x.Equal:
		b.WriteString("identical by structure: the same operators compute the same from the same values\n")
	case x.Identical:
		b.WriteString("identical by structure, for every input: both graphs have the same normal form\n")
	case x.Reason != "":
		fmt.Fprintf(&b, "not proved to compute the same: %s\n", x.Reason)
	}
	if x.Numbers != nil {
		x.Numbers.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (n *ONNXNumbers) write(b *strings.Builder) {
	if len(n.Outputs) > 0 {
		fmt.Fprintf(b, "both in %s, from the same inputs, seed %d:\n", n.Runtime, n.Seed)
	}
	for _, in := range n.Inputs {
		if len(n.Outputs) > 0 {
			fmt.Fprintf(b, "  input %s %s%v %s\n", quote.Line(in.Name, 80), in.DType, in.Shape, quote.Line(in.From, 400))
		}
	}
	for _, d := range n.Outputs {
		fmt.Fprintf(b, "  output %s %s%v: ", quote.Line(d.Name, 80), d.DType, d.Shape)
		switch abs := float64(d.MaxAbs); {
		case math.IsNaN(abs): // nothing was measured
			b.WriteString(d.Reason + "\n")
			continue
		case abs == 0 && d.Reason == "":
			b.WriteString("equal")
		case isFinite(abs) && isFinite(float64(d.OfBound)) && d.OfBound > 0:
			fmt.Fprintf(b, "off by %.2e at most, %.3g times what rounding explains", abs, float64(d.OfBound))
		case isFinite(abs):
			fmt.Fprintf(b, "off by %.2e at most, %.2g relative", abs, float64(d.MaxRel))
		default:
			b.WriteString("not finite")
		}
		if d.Reason != "" {
			b.WriteString("; " + d.Reason)
		}
		b.WriteByte('\n')
	}
	if n.Reason != "" {
		what := "numbers not compared: "
		if len(n.Outputs) > 0 {
			what = ""
		}
		fmt.Fprintf(b, "%s%s\n", what, quote.Line(n.Reason, 1000))
	}
}
