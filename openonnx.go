package attnx

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// Oracle is the value of Options.Runtime that makes OpenONNX use the oracle:
// the graph of the file, evaluated in float64.
const Oracle = "oracle"

// oracleName is the oracle's name in a report.
const oracleName = "the oracle in float64"

// ONNX is an ONNX file of any tool, open in a runtime or in the oracle.
type ONNX struct {
	Path    string // path of the file
	File    *onnx.Model
	Runtime runtime.Place // where it runs: "ONNX Runtime 1.30.0 on cpu"

	partly  bool // File lacks outputs of the file on the disk, which are in left; notes says so
	apart   bool // runtimes get File too: the file on the disk has outputs that are not tensors of numbers
	left    map[string]bool
	stands  map[string]string // outputs of left for which tensors stand, and the note of it
	ignored []string          // outputs that nothing stands for, and why
	named   []string          // all outputs on the disk
	notes   []string
	kinds   *kinds // of a file with inputs that are not tensors of numbers; nil: it has none

	inputs  []runtime.Value
	session runtime.Session // nil for the oracle, which opens one per case
	whole   *reading        // of the file alone; nil until it is asked for
}

// reading is what read.Model returned.
type reading struct {
	*read.Result
	err error
}

// reading returns the file as a graph. The error is a *read.OpenError if it depends on the
// sizes of a case.
func (x *ONNX) reading() (*read.Result, error) {
	if x.whole == nil {
		r, err := read.Model(x.File, read.Options{Dir: filepath.Dir(x.Path)})
		x.whole = &reading{r, err}
	}
	return x.whole.Result, x.whole.err
}

// OpenONNX opens an ONNX file of any tool. Options.Runtime is one of Runners or
// Oracle. If it is empty, OpenONNX uses the first installed runtime, or the
// oracle if none is installed.
func OpenONNX(path string, o Options) (*ONNX, error) {
	o = o.runName()
	if err := o.check(); err != nil {
		return nil, err
	}
	x, err := readONNX(path)
	if err != nil {
		return nil, err
	}
	r, found, err := o.anyRunner()
	if err != nil {
		return nil, err
	}
	if err := x.leftOut(r.String(), true, o.Runtime != ""); found && err != nil {
		o.Tell.Say(Notice, "the oracle runs it: %v", err)
		found = false
	}
	if !found {
		return x, x.openOracle()
	}
	how := r.options(o)
	if len(r.Levels) > 0 && how.Level == "" && x.leftOut("", false, true) != nil {
		how.Level = r.Levels[0]
		o.Tell.Say(Notice, "%s: %s runs it without its optimizations: it has more than %s nodes", x.Path, r.Name, quote.Count(mostOptimized))
	}
	if err := x.bounded(nil); err != nil {
		return nil, err
	}
	f, err := r.file(x.Path, x.File)
	if err != nil {
		return nil, err
	}
	open := r.Open
	if r.openAny != nil {
		open = r.openAny
	}
	open = x.guarded(open)
	if x.mayGoOn() {
		o.Tell.Say(Notice, "%s: data may decide how many rounds its loops make: a run is stopped after %s", x.Path, patience)
	}
	if x.session, err = open(f, how); err != nil {
		return nil, x.refusedBy(withoutKernel(x.Path, x.File, err))
	}
	x.Runtime = r.placed(x.session)
	return x, nil
}

// refusedBy adds what ONNX's own checker says to a runtime's refusal of the file, or else what
// to do about it.
func (x *ONNX) refusedBy(err error) error {
	var typed interface{ Remedy() string }
	if errors.Is(err, runtime.ErrUnavailable) || errors.As(err, &typed) || errors.As(err, new(*TimeError)) {
		return err
	}
	if !strings.Contains(err.Error(), x.Path) {
		err = fmt.Errorf("%s: %w", x.Path, err)
	}
	if wrong := invalid(x.Path, x.File); len(wrong) > 0 {
		return fmt.Errorf("%w; it is %s: mend the file", err, wrong[0])
	}
	return fmt.Errorf("%w: run it in another runtime, or in the oracle", err)
}

// readONNX reads a file without opening it in a runtime.
func readONNX(path string) (*ONNX, error) {
	x, err := readStructure(path)
	if err != nil {
		return nil, err
	}
	return x, x.declareNumbers()
}

// readStructure reads a file whose inputs and outputs may be of any kind.
func readStructure(path string) (*ONNX, error) {
	path = find.ModelIn(path)
	if _, err := find.Expect(path, find.ONNXFile, find.ONNX); err != nil {
		return nil, err
	}
	m, err := find.ReadModelAs(path, onnx.CheckStructure) // the runtime checks the operators itself
	if err != nil {
		return nil, err
	}
	if len(m.Graph.Outputs) == 0 {
		return nil, fmt.Errorf("%s: it has no outputs, so there is nothing to compute: add one to the file", path)
	}
	return &ONNX{Path: path, File: m}, nil
}

// declareNumbers reads the inputs, and refuses a file with inputs or outputs that are not
// tensors of numbers.
func (x *ONNX) declareNumbers() (err error) {
	if x.inputs, err = inputsOf(x.File); err != nil {
		return fmt.Errorf("%s: %w", x.Path, err)
	}
	return nil
}

// anyRunner returns the requested runtime, whatever profiles it supports; found is
// false for the oracle.
func (o Options) anyRunner() (r row, found bool, err error) {
	if o.Runtime == Oracle {
		return row{}, false, nil
	}
	names := append(Runners(), Oracle)
	if o.Runtime != "" && !slices.Contains(names, o.Runtime) {
		return row{}, false, &OptionError{Option: "Runtime", Reason: fmt.Sprintf(": no runtime is called %.80q: take %s", o.Runtime, quote.Or(names))}
	}
	var first error
	for _, r := range runtimes {
		if r.Open == nil {
			continue
		}
		for _, r := range r.atLevels() {
			if r.String() == o.Runtime {
				return r, true, r.available(r.options(o))
			}
		}
		if o.Runtime != "" || !r.foreign() {
			continue
		}
		err := r.available(r.options(o))
		if err == nil || o.Library != "" || o.Device == "cuda" {
			return r, true, err
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		o.Tell.Say(Notice, "the oracle runs it: %v", first)
	}
	return row{}, false, nil
}

// openOracle prepares the oracle to run the file. A graph that depends on the
// sizes of a case is read again for each case.
func (x *ONNX) openOracle() error {
	x.Runtime = runtime.Place{Runtime: oracleName}
	r, err := x.reading()
	var open *read.OpenError
	if errors.As(err, &open) {
		return nil
	}
	if err == nil && r.Assumes {
		return nil
	}
	if err == nil {
		x.session, err = ref.New(r.Graph, r.Weights)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", x.Path, err)
	}
	return nil
}

// inputsOf returns the declared inputs of a file that have no initializer.
func inputsOf(m *onnx.Model) (all []runtime.Value, err error) {
	given := map[string]bool{}
	for _, t := range m.Graph.Initializers {
		given[t.Name] = true
	}
	for _, in := range m.Graph.Inputs {
		if given[in.Name] {
			continue
		}
		v, err := inputOf(in)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	for _, out := range m.Graph.Outputs {
		if err := numbersOnly("output", out); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// inputOf returns a declared input, which must be a tensor of numbers.
func inputOf(in onnx.ValueInfo) (v runtime.Value, err error) {
	if err := numbersOnly("input", in); err != nil {
		return v, err
	}
	v = runtime.Value{Name: in.Name, Ranked: !in.NoShape}
	if v.DType, err = read.ElementType(in.DataType); err != nil {
		return v, err
	}
	for _, d := range in.Dims {
		switch {
		case !d.Open:
			v.Shape = append(v.Shape, runtime.Dim{Size: int(d.Value)})
		case d.Param == "":
			v.Shape = append(v.Shape, runtime.Dim{Name: "?"})
		default:
			v.Shape = append(v.Shape, runtime.Dim{Name: d.Param})
		}
	}
	return v, nil
}

// numbersOnly refuses an input or output that is not a tensor of numbers.
func numbersOnly(what string, v onnx.ValueInfo) error {
	if v.Other != nil {
		return &kindError{what, v.Name, v.Other.String()}
	}
	if v.DataType == onnx.String {
		return &kindError{what, v.Name, (&onnx.Type{Kind: onnx.TensorType, DataType: v.DataType, Dims: v.Dims, NoShape: v.NoShape}).String()}
	}
	if _, err := read.ElementType(v.DataType); err != nil {
		return fmt.Errorf("%s %.80q: %w: cast it in the file", what, v.Name, err)
	}
	return nil
}

// Inputs returns the inputs of the file, in order. It leaves out inputs with an
// initializer, which is their value.
func (x *ONNX) Inputs() []runtime.Value { return slices.Clone(x.inputs) }

// Run computes the outputs, in the order of the file. The inputs must have the
// declared types and shapes. The oracle returns floating-point outputs as F64.
// The tensors are valid until the next Run.
func (x *ONNX) Run(inputs map[string]format.Tensor) ([]format.Tensor, error) {
	if err := x.checkInputs(inputs); err != nil {
		return nil, err
	}
	session := x.session
	if _, exact := session.(*ref.Oracle); !exact && session != nil {
		if err := x.bounded(inputs); err != nil {
			return nil, err
		}
	}
	if session == nil {
		var err error
		if session, err = x.oracleFor(inputs); err != nil {
			return nil, err
		}
	}
	results, err := session.Run(inputs)
	if err != nil {
		if !strings.Contains(err.Error(), x.Path) {
			err = fmt.Errorf("%s: %w", x.Path, err)
		}
		return nil, err
	}
	outputs := make([]format.Tensor, len(x.File.Graph.Outputs))
	for i, out := range x.File.Graph.Outputs {
		outputs[i] = results[out.Name].WithName(out.Name)
	}
	return outputs, nil
}

// checkInputs refuses inputs that are missing, unknown or of another type.
func (x *ONNX) checkInputs(inputs map[string]format.Tensor) error {
	for _, v := range x.inputs {
		t, there := inputs[v.Name]
		if !there {
			return fmt.Errorf("%s: input %.80q is missing: the file takes %s", x.Path, v.Name, x.takes())
		}
		if err := fits(t.WithName(v.Name), v); err != nil {
			return fmt.Errorf("%s: %w", x.Path, err)
		}
	}
	return x.known(inputs)
}

// oracleFor returns the oracle of a file that is open in the oracle, for inputs
// that have been checked.
func (x *ONNX) oracleFor(inputs map[string]format.Tensor) (*ref.Oracle, error) {
	if o, ok := x.session.(*ref.Oracle); ok {
		return o, nil
	}
	r, err := x.readFor(inputs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.Path, err)
	}
	o, err := ref.New(r.Graph, r.Weights)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.Path, err)
	}
	return o, nil
}

// known refuses an input that the file does not declare.
func (x *ONNX) known(inputs map[string]format.Tensor) error {
	for name := range inputs {
		if !slices.ContainsFunc(x.inputs, func(v runtime.Value) bool { return v.Name == name }) {
			if slices.ContainsFunc(x.File.Graph.Inputs, func(v onnx.ValueInfo) bool { return v.Name == name }) {
				return fmt.Errorf("%s: input %.80q has a stored value in the file: remove this initializer from the file to give another value", x.Path, name)
			}
			return fmt.Errorf("%s: it has no input %.80q: it takes %s", x.Path, name, x.takes())
		}
	}
	return nil
}

// takes lists the inputs for a message.
func (x *ONNX) takes() string {
	var texts []string
	for _, v := range x.inputs {
		texts = append(texts, v.String())
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(few(texts), ", ")
}

// fits refuses a tensor of another type or shape than an input declares.
func fits(t format.Tensor, v runtime.Value) error {
	if err := t.Check(); err != nil {
		return err
	}
	if t.DType != v.DType {
		return fmt.Errorf("input %.80q is %s, the file takes %s: convert it", v.Name, t.DType, v)
	}
	return fitsShape(t.Shape, v)
}

// fitsShape refuses another shape than an input declares.
func fitsShape(shape []int, v runtime.Value) error {
	same := len(shape) == len(v.Shape)
	for i := 0; same && i < len(shape); i++ {
		same = v.Shape[i].Name != "" || v.Shape[i].Size == shape[i]
	}
	if v.Ranked && !same {
		return fmt.Errorf("input %.80q has shape %v, the file takes %s: reshape it", v.Name, shape, v)
	}
	return nil
}

// Close closes the runtime's session.
func (x *ONNX) Close() error {
	if x.session == nil {
		return nil
	}
	return x.session.Close()
}

// readFor reads the file. If it needs the sizes and values of the case, it reads
// the file again with them.
func (x *ONNX) readFor(inputs map[string]format.Tensor) (*read.Result, error) {
	r, err := x.reading()
	return readAgain(x.File, filepath.Dir(x.Path), inputs, r, err)
}

// readFor is ONNX.readFor for a model in memory.
func readFor(m *onnx.Model, dir string, inputs map[string]format.Tensor) (*read.Result, error) {
	r, err := read.Model(m, read.Options{Dir: dir})
	return readAgain(m, dir, inputs, r, err)
}

// readAgain returns what was read, or what it is for a case.
func readAgain(m *onnx.Model, dir string, inputs map[string]format.Tensor, r *read.Result, err error) (*read.Result, error) {
	var open *read.OpenError
	if !errors.As(err, &open) && (err != nil || !r.Assumes) {
		return r, err
	}
	o := read.Options{Dir: dir, Shapes: map[string][]int{}}
	for name, t := range inputs {
		o.Shapes[name] = t.Shape
	}
	if r, err = read.Model(m, o); !errors.As(err, &open) {
		return r, err
	}
	o.Values = inputs
	return read.Model(m, o)
}
