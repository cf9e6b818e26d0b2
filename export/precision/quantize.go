package precision

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// quantized returns the model of r with the weights of its products as
// integers. A weight is the second factor of a MatMul that is a matrix in the
// file: (in,out), or (out,in) if a Transpose follows. A table that such a
// product shares with the token embedding is stored once, and both read it: in 8
// bits, or in the 4 of int4 if these hold it exactly. r holds the types of the new
// nodes' outputs.
func quantized(r *rewrite, from Source, f Form) (*onnx.Model, Numbers, error) {
	kind := f.Quantize
	form := forms[kind]
	q := &quantizer{
		rewrite: r, form: form, keep: f.Keep.Bits(), tied: map[string]bool{}, left: map[string]int{}, done: map[string]stored{}, inputs: map[string]activation{},
		report: Numbers{Quantize: kind, Remarks: slices.Clone(form.remarks)},
	}
	q.find(from.Graph)
	for name := range q.keep {
		if !q.has(name) {
			return nil, Numbers{}, &NumbersError{Tensor: name, Reason: "it is to be kept, and is not the second factor of a product", Remedy: "name a matrix of weights, as attnx inspect shows it"}
		}
	}
	for _, n := range r.from.Graph.Nodes {
		if err := q.add(n); err != nil {
			return nil, Numbers{}, err
		}
	}
	if q.report.Weights == 0 {
		if len(q.keep) > 0 {
			return nil, Numbers{}, &NumbersError{Reason: "every matrix of weights is kept", Remedy: "keep fewer, or export it without quantization"}
		}
		return nil, Numbers{}, ErrNoProduct
	}
	q.report.Error = math.Sqrt(q.changed / q.squares)
	if q.squares == 0 {
		q.report.Error = 0
	}
	q.report.Kept = q.kept()
	metadata := map[string]string{MetaQuantize: string(kind)}
	if f.Keep != "" {
		metadata[MetaKeep] = string(f.Keep)
	}
	return q.model(metadata), q.report, nil
}

// has reports whether a product reads a weight.
func (q *quantizer) has(weight string) bool {
	for _, m := range q.products {
		if m.name == weight {
			return true
		}
	}
	return false
}

// form is how a kind of quantization stores a weight and writes a product.
type form struct {
	remarks []string
	// store quantizes the matrix w, (in,out), or (out,in) if transposed is set.
	store func(q *quantizer, name string, w []float32, rows, columns int, transposed bool) (stored, error)
	// product writes x·w, named output.
	product func(q *quantizer, x string, w stored, output string)
	// rows writes the lookup of ids in the rows of w, named output.
	rows func(q *quantizer, w stored, ids, output string) error
}

var forms = map[Quantize]form{
	Int8: {
		remarks: []string{"activations are rounded to 8 bits in each run, with one scale for a product's whole first factor: a token's logits depend on what is computed with it, so a prompt may give another text in a batch than alone"},
		store:   storeInt8, product: productInt8, rows: rowsInt8,
	},
	Int4: {
		remarks: []string{"MatMulNBits is an operator of ONNX Runtime: other runtimes do not open the file"},
		store:   storeBlocks, product: productBlocks, rows: rowsBlocks,
	},
}

// stored is a quantized weight.
type stored struct {
	integers, scales string // names of initializers
	in, out, bits    int
	transposed       bool // stored as (out,in)
}

// matrix is a weight of the graph, (in,out), or (out,in) if transposed is set.
type matrix struct {
	name       string
	transposed bool
}

type quantizer struct {
	*rewrite
	form             form
	products         map[string]matrix // by name of the product
	tables           map[string]matrix // by name of the rows looked up
	keep             map[string]int    // bits of weights that are kept; 32: as they are
	spared           int               // products with a weight that is kept as it is
	tied             map[string]bool   // weights shared by a transposed product and an embedding
	done             map[string]stored // by name of the weight
	inputs           map[string]activation
	report           Numbers
	squares, changed float64 // sums of squares: of all weights, and of their changes by rounding
	left             map[string]int
}

// find finds the products and tables of g to quantize.
func (q *quantizer) find(g *graph.Graph) {
	q.products, q.tables = map[string]matrix{}, map[string]matrix{}
	heads := map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		if _, ok := n.Op.(graph.MatMul); !ok {
			continue
		}
		w := n.Args[1]
		if t, ok := graph.Is[graph.Transpose](w); ok && slices.Equal(t.Perm, []int{1, 0}) && isWeight(w.Args()[0]) {
			q.products[n.Name()] = matrix{w.Args()[0].Name, true}
			heads[w.Args()[0]] = true
		} else if isWeight(w) {
			q.products[n.Name()] = matrix{w.Name, false}
		}
	}
	for _, n := range g.Nodes {
		if op, ok := n.Op.(graph.Gather); ok && op.Axis == 0 && heads[n.Args[0]] {
			q.tables[n.Name()] = matrix{n.Args[0].Name, true}
			q.tied[n.Args[0].Name] = true
		}
	}
}

// isWeight reports whether v is a matrix of weights.
func isWeight(v *graph.Value) bool {
	_, param := graph.Is[graph.Param](v)
	_, constant := v.Constant()
	return (param || constant) && v.DType == format.Float32 && len(v.Shape) == 2
}

// add writes a node of the old model, unchanged or quantized.
func (q *quantizer) add(n *onnx.Node) error {
	m, product := q.products[n.Outputs[0]]
	table, looked := q.tables[n.Outputs[0]]
	switch {
	case product && q.keep[m.name] == keptWholeBits, looked && q.keep[table.name] == keptWholeBits:
		if q.nodes = append(q.nodes, n); product {
			q.spared++
		}
		return nil
	case product:
		w, err := q.weight(m)
		if err == nil {
			q.form.product(q, n.Inputs[0], w, n.Outputs[0])
		}
		return err
	case looked:
		w, err := q.weight(table)
		if err != nil {
			return err
		}
		return q.form.rows(q, w, n.Inputs[1], n.Outputs[0])
	}
	q.left[n.Op]++
	q.nodes = append(q.nodes, n)
	return nil
}

// weight returns the quantized weight. It quantizes each weight once.
func (q *quantizer) weight(m matrix) (stored, error) {
	name, transposed := m.name, m.transposed
	if w, ok := q.done[name]; ok && w.transposed == transposed {
		return w, nil
	}
	t := q.tensors[name]
	v, err := finiteFloats(t)
	if err != nil {
		return stored{}, err
	}
	w, err := q.form.store(q, name, v, int(t.Dims[0]), int(t.Dims[1]), transposed)
	if err != nil {
		return stored{}, err
	}
	q.report.Weights++
	q.done[name] = w
	return w, nil
}

// finiteFloats returns the elements of a float32 tensor. NaN and infinities
// are errors.
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

// count adds the rounding errors of a tensor to the report.
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

// keptWhole lists the operators that stay float32 in a quantized model, and
// why.
var keptWhole = []struct{ op, what, reason string }{
	{"LayerNormalization", "layer normalization", "its weights are vectors: nothing is saved, and every value behind it would be rounded twice"},
	{"SkipSimplifiedLayerNormalization", "layer normalization", "its weights are vectors: nothing is saved, and every value behind it would be rounded twice"},
	{"SkipLayerNormalization", "layer normalization", "its weights are vectors: nothing is saved, and every value behind it would be rounded twice"},
	{"Softmax", "softmax", "its results span many orders of magnitude, which 8 bits do not"},
	{"MatMul", "products of activations", "both factors change in each run: they would be rounded in each run, for 4 % of the work at GPT-2's size"},
	{"GroupQueryAttention", "attention", "both factors change in each run"},
	{"Gather", "tables that are only looked up", "a run reads a few rows of them"},
}

func (q *quantizer) kept() []Kept {
	var out []Kept
	if q.spared > 0 {
		out = append(out, Kept{"weights that were asked for", q.spared, "rounding them would change the model more than was allowed"})
	}
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

// constant stores an integer tensor once and returns its name.
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
