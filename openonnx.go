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

// ONNX is an ONNX file of any tool, open in a runtime or in the oracle.
type ONNX struct {
	Path    string // path of the file
	File    *onnx.Model
	Runtime runtime.Place // where it runs: "ONNX Runtime 1.30.0 on cpu"

	inputs  []runtime.Value
	session runtime.Session // nil for the oracle, which opens one per case
}

// OpenONNX opens an ONNX file of any tool. Options.Runtime is one of Runners or
// Oracle. If it is empty, OpenONNX uses the first installed runtime, or the
// oracle if none is installed.
func OpenONNX(path string, o Options) (*ONNX, error) {
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
	if !found {
		return x, x.openOracle()
	}
	f, err := r.file(x.Path, x.File)
	if err != nil {
		return nil, err
	}
	open := r.Open
	if r.openAny != nil {
		open = r.openAny
	}
	if x.session, err = open(f, r.options(o)); err != nil {
		return nil, withoutKernel(x.Path, x.File, err)
	}
	x.Runtime = r.placed(x.session)
	return x, nil
}

// readONNX reads a file without opening it in a runtime.
func readONNX(path string) (*ONNX, error) {
	path = find.ModelIn(path)
	if _, err := find.Expect(path, find.ONNXFile, find.ONNX); err != nil {
		return nil, err
	}
	m, err := find.ReadModelAs(path, onnx.CheckStructure) // the runtime checks the operators itself
	if err != nil {
		return nil, err
	}
	x := &ONNX{Path: path, File: m}
	if x.inputs, err = inputsOf(m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x, nil
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
	x.Runtime = runtime.Place{Runtime: "the oracle in float64"}
	r, err := read.Model(x.File, read.Options{Dir: filepath.Dir(x.Path)})
	var open *read.OpenError
	if errors.As(err, &open) {
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
		if in.Other != nil {
			return nil, fmt.Errorf("input %.80q is a %s: only files whose inputs are tensors run here", in.Name, in.Other)
		}
		v := runtime.Value{Name: in.Name, Ranked: !in.NoShape}
		if v.DType, err = read.ElementType(in.DataType); err != nil {
			return nil, fmt.Errorf("input %.80q: %w: only files whose inputs are numbers run here", in.Name, err)
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
		all = append(all, v)
	}
	for _, out := range m.Graph.Outputs {
		if out.Other != nil {
			return nil, fmt.Errorf("output %.80q is a %s: only files whose outputs are tensors run here", out.Name, out.Other)
		}
		if _, err := read.ElementType(out.DataType); err != nil {
			return nil, fmt.Errorf("output %.80q: %w: only files whose outputs are numbers run here", out.Name, err)
		}
	}
	return all, nil
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
	r, err := readFor(x.File, filepath.Dir(x.Path), inputs)
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
	same := len(t.Shape) == len(v.Shape)
	for i := 0; same && i < len(t.Shape); i++ {
		same = v.Shape[i].Name != "" || v.Shape[i].Size == t.Shape[i]
	}
	if v.Ranked && !same {
		return fmt.Errorf("input %.80q has shape %v, the file takes %s: reshape it", v.Name, t.Shape, v)
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

// readFor reads a model. If it needs the sizes and values of the case, it reads
// the model again with them.
func readFor(m *onnx.Model, dir string, inputs map[string]format.Tensor) (*read.Result, error) {
	r, err := read.Model(m, read.Options{Dir: dir})
	var open *read.OpenError
	if !errors.As(err, &open) {
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
