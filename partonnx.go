package attnx

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/cut"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// cuts runs parts of an ONNX file on known values: in the oracle, and in a
// runtime.
type cuts struct {
	*cut.Model
	dir string // of external data
}

// opener opens a model in a runtime.
type opener func(runtime.File) (runtime.Session, error)

// exact is a value of a file as the oracle computes it: in float64 if it has
// floating-point elements. dtype is its type in the file.
type exact struct {
	format.Tensor
	dtype format.DType
}

// rounded returns the value in its type in the file.
func (e exact) rounded() (format.Tensor, error) {
	if e.DType == e.dtype {
		return e.Tensor, nil
	}
	t, _, err := e.Convert(e.dtype)
	return t, err
}

// results returns the names of the tensors that nodes compute.
func (p *cuts) results(nodes ...int) (names []string) {
	for _, i := range nodes {
		n := p.Graph.Nodes[i]
		if slices.Contains(noTensorResults, n.Op) {
			continue
		}
		for _, v := range n.Outputs {
			if v != "" {
				names = append(names, v)
			}
		}
	}
	return names
}

// noTensorResults are the operators with results that no part can hand over.
var noTensorResults = []string{"SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceMap", "SplitToSequence", "Optional"}

// oracle computes values from fed ones, which include the inputs of the file.
func (p *cuts) oracle(give []string, fed map[string]format.Tensor) (map[string]exact, error) {
	var outputs []onnx.ValueInfo
	for _, v := range give {
		outputs = append(outputs, onnx.ValueInfo{Name: v, NoShape: true})
	}
	nodes, reads := p.Between(give, has(fed))
	model, inputs, names, err := p.part(nodes, reads, fed, outputs)
	if err != nil {
		return nil, err
	}
	r, err := readFor(model, p.dir, inputs)
	if err != nil {
		return nil, err
	}
	oracle, err := ref.New(r.Graph, r.Weights)
	if err != nil {
		return nil, err
	}
	out, err := oracle.Run(inputs)
	if err != nil {
		return nil, err
	}
	values := map[string]exact{}
	for _, o := range r.Graph.Outputs {
		values[names[o.Name]] = exact{out[o.Name].WithName(names[o.Name]), o.Value.DType}
	}
	return values, nil
}

// run computes values from fed ones in a runtime. values holds their types and
// shapes.
func (p *cuts) run(open opener, give []string, fed map[string]format.Tensor, values map[string]exact) (map[string]format.Tensor, error) {
	nodes, reads := p.Between(give, has(fed))
	model, inputs, names, err := p.part(nodes, reads, fed, declared(give, values))
	if err != nil {
		return nil, err
	}
	data, err := inlined(model, p.dir)
	if err != nil {
		return nil, err
	}
	s, err := open(runtime.File{Data: data})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out, err := s.Run(inputs)
	if err != nil {
		return nil, err
	}
	results := map[string]format.Tensor{}
	for name, t := range out {
		if v, ok := names[name]; ok {
			results[v] = t.WithName(v)
		}
	}
	return results, nil
}

// part returns the model of the given nodes, and its inputs from the fed values.
func (p *cuts) part(nodes []int, reads []string, fed map[string]format.Tensor, give []onnx.ValueInfo) (model *onnx.Model, inputs map[string]format.Tensor, names map[string]string, err error) {
	inputs = map[string]format.Tensor{}
	var feed []onnx.ValueInfo
	for _, v := range reads {
		t, ok := fed[v]
		if !ok {
			return nil, nil, nil, fmt.Errorf("value %.80q is not known", v)
		}
		inputs[v] = t.WithName(v)
		feed = append(feed, info(v, t.DType, t.Shape))
	}
	model, names = p.Part(nodes, feed, give)
	return model, inputs, names, nil
}

// declared returns the declarations of values.
func declared(names []string, values map[string]exact) (all []onnx.ValueInfo) {
	for _, v := range names {
		all = append(all, info(v, values[v].dtype, values[v].Shape))
	}
	return all
}

// info returns the declaration of a tensor.
func info(name string, d format.DType, shape []int) onnx.ValueInfo {
	v := onnx.ValueInfo{Name: name, DataType: dataType(d), Dims: []onnx.Dim{}}
	for _, n := range shape {
		v.Dims = append(v.Dims, onnx.Dim{Value: int64(n)})
	}
	return v
}

// dataType returns ONNX's element type.
func dataType(d format.DType) onnx.DataType {
	for t := onnx.Float; t.Known(); t++ {
		if of, err := read.ElementType(t); err == nil && of == d {
			return t
		}
	}
	return 0
}

// has returns whether a name is a key.
func has[V any](all map[string]V) func(string) bool {
	return func(name string) bool { _, ok := all[name]; return ok }
}

// pieceBytes bounds the values of a piece in float64, which are in memory
// together, and pieceNodes its nodes.
const (
	pieceBytes = 512 << 20
	pieceNodes = 4096
)

// pieces splits the nodes, in order, so that the values of each piece fit into
// memory.
func (p *cuts) pieces(inputs map[string]format.Tensor) (all [][]int) {
	size := p.sizes(inputs)
	var piece []int
	bytes := 0
	for i, n := range p.Graph.Nodes {
		more := 0
		for _, v := range n.Outputs {
			more += size(v)
		}
		if len(piece) > 0 && (bytes+more > pieceBytes || len(piece) == pieceNodes) {
			all = append(all, piece)
			piece, bytes = nil, 0
		}
		piece = append(piece, i)
		bytes += more
	}
	if len(piece) > 0 {
		all = append(all, piece)
	}
	return all
}

// sizes returns the bytes of a value in float64, of a file whose sizes can be
// known before it runs. Otherwise it guesses.
func (p *cuts) sizes(inputs map[string]format.Tensor) func(string) int {
	const guess = pieceBytes / 64
	o := read.Options{Dir: p.dir, Shapes: map[string][]int{}, Values: inputs}
	for name, t := range inputs {
		o.Shapes[name] = t.Shape
	}
	r, err := read.Model(p.Model.Model, o)
	if err != nil {
		return func(string) int { return guess }
	}
	return func(name string) int {
		v := r.Graph.Lookup(name)
		if v == nil {
			return 0 // known while reading: small
		}
		shape, ok := v.Shape.Numbers()
		if !ok {
			return guess
		}
		n, _ := format.Elements(shape)
		return 8 * n
	}
}
