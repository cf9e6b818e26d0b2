package precision

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// Quantized returns m with the weights of its products as integers. What is a
// weight: the second factor of a MatMul that is a matrix of the file, (in,out),
// or one that a Transpose turns, (out,in). A table that such a product shares
// with the embedding of tokens is stored once, as 8 bits, and both read it.
// The model given stays as it is.
func Quantized(m *onnx.Model, kind Quantize) (*onnx.Model, Numbers, error) {
	form, ok := forms[kind]
	if !ok {
		return nil, Numbers{}, fmt.Errorf("export: no quantization is called %.80q: take %s or %s", kind, Int8, Int4)
	}
	if err := asExported(m); err != nil {
		return nil, Numbers{}, err
	}
	q := &quantizer{
		rewrite: newRewrite(m), form: form, turned: map[string]string{}, done: map[string]stored{}, inputs: map[string]activation{},
		report: Numbers{Quantize: kind, Remarks: slices.Clone(form.remarks)},
	}
	q.findTies()
	for _, n := range m.Graph.Nodes {
		if err := q.add(n); err != nil {
			return nil, Numbers{}, err
		}
	}
	if q.report.Weights == 0 {
		return nil, Numbers{}, &NumbersError{Reason: "no product in the model has a matrix of weights as its second factor", Remedy: "export it without quantization"}
	}
	q.report.Error = math.Sqrt(q.changed / q.squares)
	if q.squares == 0 {
		q.report.Error = 0
	}
	q.report.Kept = q.kept()
	return q.model(map[string]string{MetaQuantize: string(kind)}), q.report, nil
}

// asExported refuses a model whose numbers are no longer those of the
// checkpoint: rounding twice would lose more than its report says.
func asExported(m *onnx.Model) error {
	const again = "take the file as it was exported from the checkpoint"
	for _, key := range []string{MetaDType, MetaQuantize} {
		if v, ok := m.Metadata[key]; ok {
			return &NumbersError{Reason: "the model's numbers are " + v + " already", Remedy: again}
		}
	}
	for _, n := range m.Graph.Nodes {
		if n.Op == "MatMulInteger" || n.Op == "MatMulNBits" {
			return &NumbersError{Reason: fmt.Sprintf("node %.80q is a product of integers already", n.Name), Remedy: again}
		}
	}
	return nil
}

// form is how a kind of quantization stores a weight and writes a product.
type form struct {
	remarks []string
	// store quantizes the matrix w, (in,out), or (out,in) where turned.
	store func(q *quantizer, name string, w []float32, rows, columns int, turned bool) (stored, error)
	// product writes x·w, named output.
	product func(q *quantizer, x string, w stored, output string)
	// rows writes the rows of w that ids names, named output.
	rows func(q *quantizer, w stored, ids, output string) error
}

var forms = map[Quantize]form{
	Int8: {
		remarks: []string{"activations are rounded to 8 bits in each run, one scale for all of a product's first factor: a token's logits depend on what is computed beside it, and the text of a prompt in a batch may be another than alone"},
		store:   storeInt8, product: productInt8, rows: rowsInt8,
	},
	Int4: {
		remarks: []string{"MatMulNBits is an operator of ONNX Runtime: other runtimes do not open the file"},
		store:   storeBlocks, product: productBlocks, rows: rowsBlocks,
	},
}

// stored is a weight in integers.
type stored struct {
	integers, scales string // names of initializers
	in, out, bits    int
	turned           bool // stored as (out,in)
}

type quantizer struct {
	*rewrite
	form             form
	turned           map[string]string // results of a Transpose of a weight, with its name
	tied             map[string]bool   // weights that a turned product and an embedding share
	done             map[string]stored // by the weight's name
	inputs           map[string]activation
	report           Numbers
	squares, changed float64 // of all weights, of what rounding changed
	left             map[string]int
}

// findTies finds the products whose weight is turned, and the embeddings that
// read the same one.
func (q *quantizer) findTies() {
	q.tied, q.left = map[string]bool{}, map[string]int{}
	heads := map[string]bool{}
	for _, n := range q.from.Graph.Nodes {
		switch {
		case n.Op == "Transpose" && q.matrix(n.Inputs[0]) && turns(n):
			q.turned[n.Outputs[0]] = n.Inputs[0]
		case n.Op == "MatMul" && q.turned[n.Inputs[1]] != "":
			heads[q.turned[n.Inputs[1]]] = true
		}
	}
	for _, n := range q.from.Graph.Nodes {
		if n.Op == "Gather" && n.Domain == "" && heads[n.Inputs[0]] && axis(n) == 0 {
			q.tied[n.Inputs[0]] = true
		}
	}
}

// matrix reports whether name is a matrix of weights.
func (q *quantizer) matrix(name string) bool {
	t := q.tensors[name]
	return t != nil && t.DataType == onnx.Float && len(t.Dims) == 2
}

func turns(n *onnx.Node) bool {
	for _, a := range n.Attributes {
		if a.Name == "perm" {
			return slices.Equal(a.Ints, []int64{1, 0})
		}
	}
	return true // the order of the axes reversed
}

func axis(n *onnx.Node) int64 {
	for _, a := range n.Attributes {
		if a.Name == "axis" {
			return a.Int
		}
	}
	return 0
}

// add writes a node of the old model, as it is or in integers.
func (q *quantizer) add(n *onnx.Node) error {
	weight, turned := "", false
	if n.Op == "MatMul" && n.Domain == "" {
		weight = n.Inputs[1]
		if t := q.turned[weight]; t != "" {
			weight, turned = t, true
		}
	}
	switch {
	case weight != "" && q.matrix(weight):
		w, err := q.weight(weight, turned)
		if err != nil {
			return err
		}
		q.form.product(q, n.Inputs[0], w, n.Outputs[0])
	case n.Op == "Gather" && n.Domain == "" && q.tied[n.Inputs[0]] && axis(n) == 0:
		w, err := q.weight(n.Inputs[0], true)
		if err != nil {
			return err
		}
		return q.form.rows(q, w, n.Inputs[1], n.Outputs[0])
	default:
		q.left[n.Op]++
		q.nodes = append(q.nodes, n)
	}
	return nil
}

// weight returns the weight in integers, quantized once.
func (q *quantizer) weight(name string, turned bool) (stored, error) {
	if w, ok := q.done[name]; ok && w.turned == turned {
		return w, nil
	}
	t := q.tensors[name]
	if t.External != nil {
		return stored{}, &NumbersError{Tensor: name, Reason: "its elements lie in another file", Remedy: "load them into the model first"}
	}
	v, err := finiteFloats(t)
	if err != nil {
		return stored{}, err
	}
	w, err := q.form.store(q, name, v, int(t.Dims[0]), int(t.Dims[1]), turned)
	if err != nil {
		return stored{}, err
	}
	q.report.Weights++
	q.done[name] = w
	return w, nil
}

// finiteFloats returns the elements of a float32 tensor, none of which is NaN
// or infinite.
func finiteFloats(t *onnx.Tensor) ([]float32, error) {
	v := make([]float32, len(t.Raw)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:]))
		if x := float64(v[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, &NumbersError{Tensor: t.Name, Reason: fmt.Sprintf("element %d is %g", i, x), Remedy: "the training has diverged: take an earlier checkpoint"}
		}
	}
	return v, nil
}

// count adds what rounding did to a tensor to the report.
func (q *quantizer) count(name string, squares, changed float64) {
	q.squares += squares
	q.changed += changed
	if squares == 0 {
		return
	}
	if e := math.Sqrt(changed / squares); e > q.report.WorstError {
		q.report.WorstError, q.report.Worst = e, name
	}
}

// keptWhole are the operators that stay float32 in a quantized model, and why.
var keptWhole = []struct{ op, what, reason string }{
	{"LayerNormalization", "layer normalization", "its weights are vectors: nothing is saved, and every value behind it would be rounded twice"},
	{"SkipLayerNormalization", "layer normalization", "its weights are vectors: nothing is saved, and every value behind it would be rounded twice"},
	{"Softmax", "softmax", "its results span many orders of magnitude, which 8 bits do not"},
	{"MatMul", "products of activations", "both factors change in each run: they would be rounded in each run, for 4 % of the work at GPT-2's size"},
	{"GroupQueryAttention", "attention", "both factors change in each run"},
	{"Gather", "tables that are only looked up", "a run reads a few rows of them"},
}

func (q *quantizer) kept() []Kept {
	var out []Kept
	for _, row := range keptWhole {
		n := q.left[row.op]
		if n == 0 {
			continue
		}
		if i := slices.IndexFunc(out, func(k Kept) bool { return k.What == row.what }); i >= 0 {
			out[i].Nodes += n
			continue
		}
		out = append(out, Kept{row.what, n, row.reason})
	}
	return out
}

// floatTensor returns a float32 initializer.
func floatTensor(name string, dims []int64, v []float32) *onnx.Tensor {
	raw := make([]byte, 4*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(x))
	}
	return &onnx.Tensor{Name: name, DataType: onnx.Float, Dims: dims, Raw: raw}
}

// constant puts a tensor of integers once and returns its name.
func (q *quantizer) constant(v ...int64) string {
	name := "int64"
	raw := []byte{}
	for _, x := range v {
		name += fmt.Sprintf(".%d", x)
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	q.put(&onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{int64(len(v))}, Raw: raw})
	return name
}
