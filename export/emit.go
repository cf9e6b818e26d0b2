package export

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// emitter turns a graph into an ONNX model. Values keep their names, so that
// two runtimes can be compared value by value.
type emitter struct {
	graph  *graph.Graph
	opset  int64
	form   nodeForm
	out    onnx.Graph
	shared map[string]bool // helper values made so far, by name
	fused  *fusions        // nil: every value has a node of its own
}

func newEmitter(l lowered, opset int) *emitter {
	return &emitter{graph: l.graph, opset: int64(opset), form: l.nodes, fused: l.fused, out: onnx.Graph{Name: "attnx"}, shared: map[string]bool{}}
}

// irVersions gives the IR version that came with an operator set, from ONNX's
// docs/Versioning.md. Runtimes refuse one that is newer than they know.
var irVersions = map[int64]int64{
	9: 4, 10: 5, 11: 6, 12: 7, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10,
}

// letterNames are the names of open axes in a file: those that optimum and
// transformers.js look for.
var letterNames = map[string]string{"B": "batch_size", "T": "sequence_length", "P": "past_sequence_length"}

// dim returns an axis as ONNX writes it. A sum has no symbol in ONNX but a
// text that says it.
func dim(d graph.Dim) onnx.Dim {
	if n, ok := d.Number(); ok {
		return onnx.Dim{Value: int64(n)}
	}
	var text strings.Builder
	for i, t := range d.Terms() {
		n := t.Coefficient
		switch {
		case i > 0 && n < 0:
			text.WriteString(" - ")
			n = -n
		case i > 0:
			text.WriteString(" + ")
		}
		factors := make([]string, 0, len(t.Symbols)+1)
		if n != 1 || len(t.Symbols) == 0 {
			factors = append(factors, strconv.Itoa(n))
		}
		for _, s := range t.Symbols {
			factors = append(factors, cmp.Or(letterNames[s], s))
		}
		text.WriteString(strings.Join(factors, "*"))
	}
	return onnx.Dim{Open: true, Param: text.String()}
}

func info(name string, v *graph.Value) (onnx.ValueInfo, error) {
	t, err := dataType(v.DType)
	i := onnx.ValueInfo{Name: name, DataType: t}
	for _, d := range v.Shape {
		i.Dims = append(i.Dims, dim(d))
	}
	return i, err
}

func dataType(t format.DType) (onnx.DataType, error) {
	switch t {
	case format.Float32:
		return onnx.Float, nil
	case format.Float64:
		return onnx.Double, nil
	case format.Int64:
		return onnx.Int64, nil
	case format.Bool:
		return onnx.Bool, nil
	}
	return 0, fmt.Errorf("export: element type %s is not supported", t)
}

func (e *emitter) model(weights []format.Tensor, metadata map[string]string) (*onnx.Model, error) {
	given := e.graph.Inputs
	if e.form.weightInputs {
		given = append(slices.Clone(given), e.graph.Params...)
	}
	for _, v := range given {
		i, err := e.declared(v.Name, v)
		if err != nil {
			return nil, err
		}
		e.out.Inputs = append(e.out.Inputs, i)
	}
	byName := map[string]format.Tensor{}
	for _, t := range weights {
		byName[t.Name] = t
	}
	for _, p := range e.graph.Params { // those that are left: Lower drops what no output needs
		if e.form.weightInputs {
			break
		}
		if err := e.initializer(p.Name, byName[p.Name]); err != nil {
			return nil, err
		}
	}
	for _, n := range e.graph.Nodes {
		if e.fused != nil && e.fused.write(e, n) {
			continue
		}
		if err := e.write(n); err != nil {
			return nil, fmt.Errorf("export: %s %.80q: %w", n.Op.Name(), n.Name(), err)
		}
	}
	for _, o := range e.graph.Outputs {
		if o.Name != o.Value.Name || o.Value.Leaf() {
			e.node("Identity", o.Name, []string{o.Value.Name})
		}
		i, err := e.declared(o.Name, o.Value)
		if err != nil {
			return nil, err
		}
		e.out.Outputs = append(e.out.Outputs, i)
	}
	opsets := []onnx.Opset{{Version: e.opset}}
	if e.fused != nil {
		opsets = append(opsets, onnx.Opset{Domain: microsoft, Version: 1})
	}
	return &onnx.Model{
		IRVersion: irVersions[e.opset], ProducerName: producer, Graph: &e.out,
		Opsets: opsets, Metadata: metadata,
	}, nil
}

// declared returns what the file says of an input or output.
func (e *emitter) declared(name string, v *graph.Value) (onnx.ValueInfo, error) {
	i, err := info(name, v)
	if e.fused != nil {
		i = e.fused.declare(i)
	}
	return i, err
}

func (e *emitter) initializer(name string, t format.Tensor) error {
	typ, err := dataType(t.DType)
	if err != nil {
		return err
	}
	out := &onnx.Tensor{Name: name, DataType: typ, Raw: t.Data}
	for _, d := range t.Shape {
		out.Dims = append(out.Dims, int64(d))
	}
	e.out.Initializers = append(e.out.Initializers, out)
	return nil
}

// node adds a node of one output, named after it.
func (e *emitter) node(op, output string, inputs []string, attrs ...onnx.Attribute) {
	e.out.Nodes = append(e.out.Nodes, &onnx.Node{Op: op, Name: output, Inputs: inputs, Outputs: []string{output}, Attributes: attrs})
}

// nodeOf adds a node with the results of n.
func (e *emitter) nodeOf(n *graph.Node, inputs []string, attrs ...onnx.Attribute) {
	e.out.Nodes = append(e.out.Nodes, &onnx.Node{Op: n.Op.Name(), Name: n.Name(), Inputs: inputs, Outputs: names(n.Results), Attributes: attrs})
}

func names(values []*graph.Value) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.Name
	}
	return out
}

// integers returns the name of an int64 list, stored once.
func (e *emitter) integers(v ...int64) string {
	name := "int64"
	raw := []byte{}
	for _, x := range v {
		name += fmt.Sprintf(".%d", x)
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	if !e.shared[name] {
		e.shared[name] = true
		e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(len(v))}, Raw: raw})
	}
	return name
}

// size returns the name of a list of one integer: the size d. An open size is
// read off an axis of an input, by a Shape node of that one axis: what feeds
// on it takes it from the CPU's memory, where Shape puts it, so that no
// arithmetic on sizes has to leave a device.
func (e *emitter) size(d graph.Dim) (string, error) {
	if n, ok := d.Number(); ok {
		return e.integers(int64(n)), nil
	}
	for _, in := range e.graph.Inputs {
		for axis, x := range in.Shape {
			if x != d {
				continue
			}
			name := "size." + dim(d).Param
			if !e.shared[name] {
				e.shared[name] = true
				e.node("Shape", name, []string{in.Name}, onnx.IntAttr("start", int64(axis)), onnx.IntAttr("end", int64(axis+1)))
			}
			return name, nil
		}
	}
	return e.computedSize(d)
}

// computedSize returns the name of the size d, which is computed from the
// named dimensions: int64 arithmetic that ONNX Runtime does on the CPU.
func (e *emitter) computedSize(d graph.Dim) (string, error) {
	name := "size." + dim(d).Param
	if e.shared[name] {
		return name, nil
	}
	if d == graph.Sym(d.String()) {
		return "", fmt.Errorf("size %s is the size of no input's dimension", d)
	}
	sum := ""
	for _, t := range d.Terms() {
		product := ""
		if t.Coefficient != 1 || len(t.Symbols) == 0 {
			product = e.integers(int64(t.Coefficient))
		}
		for _, s := range t.Symbols {
			factor, err := e.size(graph.Sym(s))
			if err != nil {
				return "", err
			}
			product = e.sizeOf("Mul", product, factor)
		}
		sum = e.sizeOf("Add", sum, product)
	}
	// The last node takes the name of the whole.
	last := e.out.Nodes[len(e.out.Nodes)-1]
	last.Name, last.Outputs[0] = name, name
	e.shared[name] = true
	return name, nil
}

// sizeOf applies op to two sizes by name; the empty name is its neutral element.
func (e *emitter) sizeOf(op, x, y string) string {
	if x == "" {
		return y
	}
	name := fmt.Sprintf("size.%s_%d", strings.ToLower(op), len(e.out.Nodes))
	e.node(op, name, []string{x, y})
	return name
}

// offOn returns the name of the two values of a one-hot row, stored once.
func (e *emitter) offOn() string {
	const name = "float.0.1"
	if !e.shared[name] {
		e.shared[name] = true
		raw := binary.LittleEndian.AppendUint32(nil, math.Float32bits(0))
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(1))
		e.out.Initializers = append(e.out.Initializers, &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: []int64{2}, Raw: raw})
	}
	return name
}
