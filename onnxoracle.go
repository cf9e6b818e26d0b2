package attnx

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// cases returns cases with the given inputs, the others drawn. Without an open
// dimension they differ only in their numbers. If all inputs are given, there is one.
func (x *ONNX) cases(given map[string]format.Tensor, seed uint64) (cases []runtime.Case, err error) {
	for i, open := range foreignCases {
		inputs, how, err := x.draw(given, seed+uint64(i), open)
		if err != nil {
			return nil, err
		}
		c := runtime.Case{Batch: open.batch, Length: open.length}
		for _, v := range x.inputs {
			c.Given = append(c.Given, inputs[v.Name].WithName(v.Name))
		}
		if len(given) > 0 && len(how) == 0 {
			c.Name = "the given inputs"
		} else if slices.ContainsFunc(cases, func(other runtime.Case) bool { return other.String() == c.String() }) {
			c.Name = fmt.Sprintf("%s, draw %d", c, i+1) // the file leaves no size open
		}
		cases = append(cases, c)
		if len(given) > 0 && len(how) == 0 {
			break
		}
	}
	return cases, nil
}

// opensLength reports whether the file leaves a size open beside that of a batch.
func (x *ONNX) opensLength() bool {
	return slices.ContainsFunc(x.inputs, func(v runtime.Value) bool {
		return !v.Ranked || slices.ContainsFunc(v.Shape[min(1, len(v.Shape)):], func(d runtime.Dim) bool { return d.Name != "" })
	})
}

// drawnCoverage returns what cases of drawn inputs reach: sizes, and what no case has.
func (x *ONNX) drawnCoverage(verified *runtime.Coverage, cases []runtime.Case, given map[string]format.Tensor, seed uint64) *runtime.Coverage {
	c := runtime.CoverageOf(cases, nil, 0)
	budget := 0
	for _, k := range cases {
		budget += k.Tokens()
	}
	_, how, err := x.draw(given, seed, foreignCases[0])
	if err != nil {
		return verified
	}
	for _, v := range x.inputs {
		if text, drawn := how[v.Name]; drawn {
			c.LeftOut = append(c.LeftOut, fmt.Sprintf("values of %.80q beside those %s", v.Name, text))
		}
	}
	if x.isOpen() {
		c.LeftOut = append(c.LeftOut, "other sizes")
	}
	return c.With(budget, runtime.Count{}, verified)
}

// fitting leaves out cases of drawn sizes that do not fit one another, unless none does: that
// one dimension is a multiple or a sum of others is not always declared.
func (x *ONNX) fitting(cases []runtime.Case) []runtime.Case {
	if len(cases) < 2 {
		return cases
	}
	var fit []runtime.Case
	for _, c := range cases {
		inputs := map[string]format.Tensor{}
		for _, t := range c.Given {
			inputs[t.Name] = t
		}
		if _, err := x.readFor(inputs); err == nil {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		return cases
	}
	return fit
}

// evaluating makes an ONNX file an oracle. Its graph has the types of the file, so
// the arithmetic follows from them.
type evaluating struct{ *ONNX }

func (e evaluating) Bounds(inputs map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	if err := e.checkInputs(inputs); err != nil {
		return runtime.Bounded{}, err
	}
	o, err := e.oracleFor(inputs)
	if err != nil {
		return runtime.Bounded{}, err
	}
	b, err := o.Bounds(inputs, numbers...)
	if err != nil {
		return b, err
	}
	return e.withoutOrder(inputs, b)
}

// BoundsOf implements runtime.Selecting.
func (e evaluating) BoundsOf(inputs map[string]format.Tensor, keep func(map[string][]int) map[string]runtime.Selection, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	if err := e.checkInputs(inputs); err != nil {
		return runtime.Bounded{}, err
	}
	if slices.ContainsFunc(e.File.Graph.Nodes, unsorted) { // whole outputs are compared
		b, err := e.Bounds(inputs, numbers...)
		shapes := map[string][]int{}
		for name, t := range b.Outputs {
			shapes[name] = t.Shape
		}
		keep(shapes)
		return b, err
	}
	o, err := e.oracleFor(inputs)
	if err != nil {
		return runtime.Bounded{}, err
	}
	return o.BoundsOf(inputs, keep, numbers...)
}

// AttributeAt implements runtime.Attributor.
func (e evaluating) AttributeAt(inputs map[string]format.Tensor, n runtime.Numbers, output string, index []int) (runtime.Roundings, error) {
	if err := e.checkInputs(inputs); err != nil {
		return runtime.Roundings{}, err
	}
	o, err := e.oracleFor(inputs)
	if err != nil {
		return runtime.Roundings{}, err
	}
	return o.AttributeAt(inputs, n, output, index)
}

// Bends implements runtime.Bender.
func (e evaluating) Bends(inputs map[string]format.Tensor, n runtime.Numbers, bad ...runtime.BadValue) (string, error) {
	if err := e.checkInputs(inputs); err != nil {
		return "", err
	}
	o, err := e.oracleFor(inputs)
	if err != nil {
		return "", err
	}
	return o.Bends(inputs, n, bad...)
}

func (e evaluating) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	outputs, err := e.ONNX.Run(inputs)
	named := map[string]format.Tensor{}
	for _, t := range outputs {
		named[t.Name] = t
	}
	return named, err
}

// Close does nothing: the file is closed by whoever opened it.
func (evaluating) Close() error { return nil }

// remembering is an oracle that computes each case once: it takes longest.
type remembering struct {
	runtime.Oracle
	outputs map[uint64]map[string]format.Tensor
	bounded map[uint64]runtime.Bounded
}

// Unwrap returns the oracle that computes.
func (r *remembering) Unwrap() runtime.Oracle { return r.Oracle }

func (r *remembering) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	key := keyOf(inputs)
	if out, ok := r.outputs[key]; ok {
		return maps.Clone(out), nil
	}
	out, err := r.Oracle.Run(inputs)
	if err == nil {
		r.outputs[key] = maps.Clone(out)
	}
	return out, err
}

func (r *remembering) Bounds(inputs map[string]format.Tensor, numbers ...runtime.Numbers) (runtime.Bounded, error) {
	key := maphash.Comparable(seedOfKeys, fmt.Sprint(keyOf(inputs), numbers))
	if b, ok := r.bounded[key]; ok {
		return b, nil
	}
	b, err := r.Oracle.Bounds(inputs, numbers...)
	if err == nil {
		r.bounded[key], r.outputs[keyOf(inputs)] = b, maps.Clone(b.Outputs)
	}
	return b, err
}

var seedOfKeys = maphash.MakeSeed()

// keyOf returns a hash of inputs.
func keyOf(inputs map[string]format.Tensor) uint64 {
	var h maphash.Hash
	h.SetSeed(seedOfKeys)
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		fmt.Fprintf(&h, "%q%v", name, inputs[name].Shape)
		h.Write(inputs[name].Data)
	}
	return h.Sum64()
}
