package attnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/runtime"
)

// RunAlone is the remedy for a file of which not all inputs and outputs are tensors of
// numbers.
const RunAlone = "RunONNX runs it"

// kindError reports an input or output that is not a tensor of numbers.
type kindError struct {
	what, name string
	kind       string
}

func (e *kindError) Error() string {
	return fmt.Sprintf("%s %.80q is a %.200s: only tensors of numbers are compared; %s", e.what, e.name, e.kind, RunAlone)
}

// Remedy is what to do about it.
func (e *kindError) Remedy() string { return RunAlone }

// kinded is a file whose inputs and outputs are of any kind, in ONNX Runtime or, without
// strings and maps, in the oracle.
type kinded struct {
	*ONNX                // its inputs are those that are tensors of numbers
	all     []*onnx.Type // of all inputs, in order
	names   []string     // of all inputs
	session runtime.DataSession
}

// runData is RunONNX for a file with inputs or outputs that are not tensors of numbers.
func runData(path string, o RunOptions, other *kindError) (*RunReport, error) {
	path = find.ModelIn(path)
	m, err := find.ReadModelAs(path, onnx.CheckStructure)
	if err != nil {
		return nil, err
	}
	x := &kinded{ONNX: &ONNX{Path: path, File: m}}
	if err := x.declare(); err != nil {
		return nil, err
	}
	r, err := x.open(o.Options, other)
	if err != nil {
		return nil, err
	}
	defer x.session.Close()
	inputs, from, err := x.data(o)
	if err != nil {
		return nil, err
	}
	outputs, err := x.inTime(inputs)
	if err != nil {
		return nil, err
	}
	report := &RunReport{File: path, Runtime: r.placed(x.session).String(), Seed: o.Seed, Inputs: []RunInput{}, Outputs: []RunOutput{}}
	for _, name := range x.names {
		report.Inputs = append(report.Inputs, RunInput{name, inputs[name].Kind(), inputs[name].Shape(), from[name]})
	}
	for _, out := range m.Graph.Outputs {
		d := outputs[out.Name]
		row := RunOutput{Name: out.Name, DType: d.Kind(), Shape: d.Shape(), First: []runtime.Number{}}
		if d.Tensor != nil {
			row, err = measured(d.Tensor.WithName(out.Name))
		} else {
			row.noNumbers()
			row.Value, err = json.Marshal(d)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: output %.80q: %w", path, out.Name, err)
		}
		report.Outputs = append(report.Outputs, row)
	}
	if o.Out == "" {
		return report, nil
	}
	if o.Saving != nil {
		o.Saving()
	}
	return report, report.saveData(o.Out, outputs)
}

// declare reads the inputs that the file asks for.
func (x *kinded) declare() error {
	stored := map[string]bool{}
	for _, t := range x.File.Graph.Initializers {
		stored[t.Name] = true
	}
	for _, in := range x.File.Graph.Inputs {
		if stored[in.Name] {
			continue
		}
		t := typeOf(in)
		x.names, x.all = append(x.names, in.Name), append(x.all, t)
		if isNumbers(t) {
			v, err := inputOf(in)
			if err != nil {
				return fmt.Errorf("%s: %w", x.Path, err)
			}
			x.inputs = append(x.inputs, v)
		}
	}
	return nil
}

// isNumbers reports whether a type is a tensor of numbers.
func isNumbers(t *onnx.Type) bool {
	if t.Kind != onnx.TensorType {
		return false
	}
	_, err := read.ElementType(t.DataType)
	return err == nil
}

// open opens the file in the named runtime. Without a name it is a runtime, and the oracle
// if none is there.
func (x *kinded) open(o Options, other *kindError) (r row, err error) {
	oracle := !x.hasWords()
	if oracle && o.Runtime == Oracle {
		x.session = oracleData{x}
		return r, nil
	}
	for _, r := range runtimes {
		if r.OpenData == nil || o.Runtime != "" && o.Runtime != r.Name {
			continue
		}
		how := r.options(o)
		if err := r.available(how); err != nil {
			if oracle && o.Runtime == "" {
				x.session = oracleData{x}
				return r, nil
			}
			return r, fmt.Errorf("%s: %s %.80q is a %.200s, which only %s runs here: %w", x.Path, other.what, other.name, other.kind, r.Name, err)
		}
		if err := x.bounded(nil); err != nil {
			return r, err
		}
		how.Foreign = x.foreign()
		x.session, err = r.OpenData(runtime.File{Path: x.Path}, how)
		return r, withoutKernel(x.Path, x.File, err)
	}
	in, remedy := o.Runtime, "run it in ort"
	if in == Oracle {
		in = "the oracle"
	}
	if oracle {
		remedy += " or in the oracle"
	}
	return r, &Error{Err: fmt.Errorf("%s: %s %.80q is a %.200s, which %s does not run", x.Path, other.what, other.name, other.kind, in), Do: remedy}
}

// inTime runs the file, and ends a run that data keep in a loop.
func (x *kinded) inTime(inputs map[string]runtime.Datum) (map[string]runtime.Datum, error) {
	if !x.mayGoOn() {
		return x.session.RunData(inputs)
	}
	late := time.AfterFunc(patience, x.session.Stop)
	outputs, err := x.session.RunData(inputs)
	if !late.Stop() && err != nil {
		err = fmt.Errorf("%s: %w", x.Path, &TimeError{patience, goesOn})
	}
	return outputs, err
}

// data reads the given inputs and draws the others.
func (x *kinded) data(o RunOptions) (inputs map[string]runtime.Datum, from map[string]string, err error) {
	inputs, from = map[string]runtime.Datum{}, map[string]string{}
	var numbers Files
	for _, f := range o.Inputs {
		i := slices.Index(x.names, f.Input)
		if i < 0 {
			return nil, nil, fmt.Errorf("%s: it has no input %.80q: it takes %s", x.Path, f.Input, x.takesAll())
		}
		if isNumbers(x.all[i]) {
			numbers = append(numbers, f)
			continue
		}
		if _, twice := inputs[f.Input]; twice {
			return nil, nil, fmt.Errorf("%s: input %.80q is given twice: give it once", x.Path, f.Input)
		}
		if inputs[f.Input], err = readDatum(f, x.all[i]); err != nil {
			return nil, nil, err
		}
		from[f.Input] = f.Path
	}
	named := map[string]int{} // sizes that the given strings decide
	for i, t := range x.all {
		if s := inputs[x.names[i]].Strings; s != nil && !t.NoShape {
			for axis, d := range t.Dims {
				if d.Open && d.Param != "" {
					named[d.Param] = s.Shape[axis]
				}
			}
		}
	}
	for _, v := range x.inputs {
		for axis, d := range v.Shape {
			if n, ok := named[d.Name]; ok {
				v.Shape[axis] = runtime.Dim{Size: n}
			}
		}
	}
	given, read, err := x.readInputs(numbers, o.Tokenizer)
	if err != nil {
		return nil, nil, err
	}
	drawn, how, err := x.Draw(given, o.Seed)
	if err != nil {
		return nil, nil, err
	}
	for name, t := range drawn {
		inputs[name], from[name] = runtime.Datum{Tensor: &t}, read[name]+how[name]
		for _, v := range x.inputs {
			if v.Name == name {
				for axis, d := range v.Shape {
					named[d.Name] = t.Shape[axis]
				}
			}
		}
	}
	delete(named, "?")
	delete(named, "")
	for i, t := range x.all {
		name := x.names[i]
		if _, there := inputs[name]; there {
			continue
		}
		if t.Kind != onnx.TensorType || t.DataType != onnx.String || t.NoShape {
			return nil, nil, fmt.Errorf("%s: input %.80q is a %.200s, which is not drawn: give it as a .json or .pb file", x.Path, name, t)
		}
		words, err := drawWords(t.Dims, named, rand.New(rand.NewPCG(o.Seed, uint64(i))))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: input %.80q: %w", x.Path, name, err)
		}
		inputs[name], from[name] = runtime.Datum{Strings: words}, "words, drawn"
	}
	return inputs, from, nil
}

// takesAll lists the inputs for a message.
func (x *kinded) takesAll() string {
	var texts []string
	for i, name := range x.names {
		texts = append(texts, fmt.Sprintf("%.80q %.200s", name, x.all[i]))
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(few(texts), ", ")
}

// maxWords bounds the strings that are drawn.
const maxWords = 1 << 20

// drawWords draws words of a shape, whose open dimensions have the named sizes or 1.
func drawWords(dims []onnx.Dim, named map[string]int, random *rand.Rand) (*runtime.Strings, error) {
	s := &runtime.Strings{Shape: []int{}}
	for _, d := range dims {
		size := int(d.Value)
		if d.Open {
			size = 1
			if n, ok := named[d.Param]; ok {
				size = n
			}
		}
		s.Shape = append(s.Shape, size)
	}
	n, ok := format.Elements(s.Shape)
	if !ok || n > maxWords {
		return nil, fmt.Errorf("shape %v is too large to be drawn: give it", s.Shape)
	}
	words := []string{"the", "cat", "sees", "a", "green", "boat", "and", "two", "old", "trees"}
	for range n {
		s.Elements = append(s.Elements, words[random.IntN(len(words))])
	}
	return s, nil
}

// noNumbers sets the statistics of an output without numbers.
func (o *RunOutput) noNumbers() {
	var none runtime.Number
	_ = none.UnmarshalJSON([]byte("null")) // NaN, which has no error
	o.Min, o.Max, o.Mean, o.Deviation = none, none, none, none
}

// saveData writes the outputs to files in a new folder: .npy, and .json of what is not a
// tensor of numbers.
func (r *RunReport) saveData(folder string, outputs map[string]runtime.Datum) error {
	var files []store.File
	taken := map[string]bool{}
	for i, out := range r.Outputs {
		d := outputs[out.Name]
		ending, write := ".json", func(w io.Writer) error {
			_, err := w.Write(append(slices.Clone(out.Value), '\n'))
			return err
		}
		if d.Tensor != nil {
			ending, write = ".npy", func(w io.Writer) error { return npy.Write(w, *d.Tensor) }
		}
		r.Outputs[i].File = freeName(out.Name, taken) + ending
		files = append(files, store.File{Name: r.Outputs[i].File, Write: write})
	}
	return store.SaveFolder(folder, files)
}

// isKind returns the kindError in err.
func isKind(err error) (*kindError, bool) {
	var other *kindError
	return other, errors.As(err, &other)
}

// openRegular opens a regular file of at most limit bytes.
func openRegular(path string, limit int64) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s: it is not a file: name a .json file", path)
	case info.Size() > limit:
		err = fmt.Errorf("%s: it has more than %d bytes: give fewer values", path, limit)
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}
