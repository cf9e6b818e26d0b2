package read

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// encoderFamily has the operators of ai.onnx.ml that prepare features. Strings are
// refused.
var encoderFamily = family{
	"FeatureVectorizer": records(readFeatureVectorizer),
	"Imputer":           records(readImputer),
	"LabelEncoder":      records(readLabelEncoder),
	"OneHotEncoder":     records(readOneHotEncoder),
	"SVMRegressor":      records(readSVMRegressor),
	"SVMClassifier":     {read: readSVMClassifier},
}

// readFeatureVectorizer puts rows of numbers side by side, each cut or filled with zeros
// to a number of columns.
func readFeatureVectorizer(n *node) *graph.Value {
	widths := n.ints("inputdimensions")
	if len(widths) != len(n.args) || len(widths) == 0 {
		n.invalid("%d inputs and %d widths", len(n.args), len(widths))
	}
	parts := make([]*graph.Value, len(widths))
	for i, width := range widths {
		x := n.cast(n.arg(i), format.Float32)
		rows := graph.N(1)
		if len(x.Shape) > 1 {
			rows = x.Shape[0]
		}
		columns := x.Shape[min(1, len(x.Shape)-1):].Elements()
		have, known := columns.Number()
		if !known {
			n.open("%s columns", columns)
		}
		x = n.b.Reshape(x, rows, columns)
		if width < 0 || width > 1<<24 {
			n.invalid("%d columns", width)
		}
		if width != have {
			x = n.apply(graph.Pad{Mode: "constant", Before: graph.Numbers(0, 0), After: graph.Numbers(0, width-have)}, x)
		}
		parts[i] = x
	}
	return n.b.Concat(1, parts...)
}

// readImputer replaces a number, which may be NaN, by one number or by one for each
// column.
func readImputer(n *node) *graph.Value {
	x := n.arg(0)
	var imputed *graph.Value
	var replaced float64
	if x.DType.Float() {
		n.pass([]string{"imputed_value_int64s", "replaced_value_int64"})
		imputed, replaced = n.b.Const(single(n, "imputed", n.floats("imputed_value_floats"))), n.float("replaced_value_float", 0)
	} else {
		n.pass([]string{"imputed_value_floats", "replaced_value_float"})
		list := n.int64s("imputed_value_int64s")
		imputed, replaced = n.b.Const(format.FromInt64s("imputed", []int{len(list)}, list)), float64(n.int("replaced_value_int64", 0))
	}
	count := imputed.Shape[0]
	if len(x.Shape) == 0 || count.Is(0) || !count.Is(1) && x.Shape[len(x.Shape)-1] != count {
		n.invalid("%s numbers for the columns of %s", count, x.Shape)
	}
	imputed = n.cast(imputed, x.DType)
	found := n.b.Equal(x, n.like(x, replaced))
	if replaced != replaced {
		found = n.apply(graph.IsNaN, x)
	}
	return n.b.Where(found, imputed, x)
}

// tableOf returns the keys or values of a LabelEncoder with its attributes' beginning,
// nil if it has none.
func (n *node) tableOf(what string) *graph.Value {
	if n.isSet(what + "_strings") {
		n.refuse("%s that are strings", what)
	}
	if a := n.attribute(what+"_tensor", onnx.AttrTensor); a != nil {
		t, err := Tensor(a.Tensor, n.r.o.Dir)
		if err != nil {
			panic(refusal{err})
		}
		t.Shape = []int{t.Elements()}
		return n.b.Const(t.WithName(what))
	}
	if list := n.floats(what + "_floats"); list != nil {
		return n.b.Const(single(n, what, list))
	}
	if list := n.int64s(what + "_int64s"); list != nil {
		return n.b.Const(format.FromInt64s(what, []int{len(list)}, list))
	}
	return nil
}

// readLabelEncoder maps numbers to numbers by a table. What the table lacks becomes the
// default.
func readLabelEncoder(n *node) *graph.Value {
	b, x := n.b, n.arg(0)
	if n.version < 2 {
		n.refuse("a table of strings")
	}
	keys, values := n.tableOf("keys"), n.tableOf("values")
	if keys == nil || values == nil || keys.DType != x.DType || !keys.Shape.Equal(values.Shape) || keys.Shape[0].Is(0) {
		n.invalid("a table without keys or values of the types of its input and output")
	}
	n.pass([]string{"default_float", "default_int64", "default_string", "default_tensor"})
	otherwise := n.like(values, float64(n.int("default_int64", -1)))
	if values.DType.Float() {
		otherwise = n.like(values, n.float("default_float", 0)) // ONNX's -0 is 0
	}
	if a := n.attribute("default_tensor", onnx.AttrTensor); a != nil {
		t, err := Tensor(a.Tensor, n.r.o.Dir)
		if err != nil {
			panic(refusal{err})
		}
		if t.Elements() != 1 || t.DType != values.DType {
			n.invalid("a default of %d elements", t.Elements())
		}
		t.Shape = []int{}
		otherwise = b.Const(t.WithName("default"))
	}
	column := b.Reshape(x, append(slices.Clone(x.Shape), graph.N(1))...)
	hit := b.Equal(column, keys)
	if x.DType.Float() { // NaN is a key too
		hit = b.Or(hit, b.And(n.apply(graph.IsNaN, column), n.apply(graph.IsNaN, keys)))
	}
	hits := b.Cast(hit, format.Float32)
	at := n.apply(graph.ArgMax{Axis: len(x.Shape)}, hits) // of several equal keys the first one
	found := b.Greater(b.ReduceMax(hits, false, -1), b.Scalar(0.5))
	return b.Where(found, b.Gather(values, at), otherwise)
}

// readOneHotEncoder compares with each category along a new axis.
func readOneHotEncoder(n *node) *graph.Value {
	if n.isSet("cats_strings") {
		n.refuse("categories that are strings")
	}
	n.pass([]string{"zeros"}) // whether anything else is an error
	list := n.int64s("cats_int64s")
	if len(list) == 0 {
		n.invalid("it has no categories")
	}
	x := n.cast(n.arg(0), format.Int64)
	column := n.b.Reshape(x, append(slices.Clone(x.Shape), graph.N(1))...)
	return n.b.Cast(n.b.Equal(column, n.b.Const(format.FromInt64s("categories", []int{len(list)}, list))), format.Float32)
}

// svm is what support vector machines share.
type svm struct {
	x       *graph.Value // (N,F)
	kernel  *graph.Value // (N,vectors)
	vectors int
	rho     []float64
}

// supportVectors reads the vectors, and records the kernel of each row with each of
// them. Without vectors the model is linear: kernel is nil.
func (n *node) supportVectors(count int) svm {
	m := svm{x: n.cast(n.arg(0), format.Float32), vectors: count, rho: n.floats("rho")}
	n.pass([]string{"kernel_type", "kernel_params", "support_vectors"})
	if len(m.x.Shape) != 2 || len(m.rho) == 0 || count < 0 {
		n.invalid("rows of %s with %d offsets", m.x.Shape, len(m.rho))
	}
	if count == 0 {
		return m
	}
	list := n.floats("support_vectors")
	if len(list)%count != 0 || !m.x.Shape[1].Is(len(list)/count) {
		n.invalid("%d numbers in %d support vectors for %s", len(list), count, m.x.Shape)
	}
	vectors := n.matrix("support_vectors", list, len(list)/count)
	params := append(n.floats("kernel_params"), 0, 0, 0)
	gamma, first, degree := n.like(m.x, params[0]), n.like(m.x, params[1]), n.like(m.x, params[2])
	product := func() *graph.Value { return n.b.MatMul(m.x, n.b.Transpose(vectors, 1, 0)) }
	switch kernel := n.text("kernel_type", "LINEAR"); kernel {
	case "LINEAR":
		m.kernel = product()
	case "POLY":
		m.kernel = n.b.Pow(n.b.Add(n.b.Mul(product(), gamma), first), degree)
	case "SIGMOID":
		m.kernel = n.b.Tanh(n.b.Add(n.b.Mul(product(), gamma), first))
	case "RBF":
		d := n.b.Sub(n.b.Reshape(m.x, m.x.Shape[0], graph.N(1), m.x.Shape[1]), vectors)
		m.kernel = n.b.Exp(n.b.Neg(n.b.Mul(n.b.ReduceSum(n.b.Mul(d, d), false, 2), gamma)))
	default:
		n.refuse("kernel_type %.80q", kernel)
	}
	return m
}

// matrix returns numbers as a matrix with the given number of columns.
func (n *node) matrix(name string, v []float64, columns int) *graph.Value {
	if columns < 1 || len(v)%columns != 0 {
		n.invalid("%d numbers %.80q in %d columns", len(v), name, columns)
	}
	t := single(n, name, v)
	t.Shape = []int{len(v) / columns, columns}
	return n.b.Const(t)
}

// readSVMRegressor is Σ coefficient·kernel + rho.
func readSVMRegressor(n *node) *graph.Value {
	m := n.supportVectors(n.int("n_supports", 0))
	terms := m.kernel
	if terms == nil {
		terms = m.x
	}
	list := n.floats("coefficients")
	if !terms.Shape[1].Is(len(list)) {
		n.invalid("%d coefficients for %s", len(list), terms.Shape)
	}
	y := n.b.Add(n.b.MatMul(terms, n.matrix("coefficients", list, 1)), n.like(m.x, m.rho[0]))
	if n.flag("one_class", false) {
		return n.b.Where(n.b.Greater(y, n.like(y, 0)), n.like(y, 1), n.like(y, -1))
	}
	return n.transformed(y)
}

// readSVMClassifier gives the label and the scores of each row. Each pair of classes has
// a score, and the class that wins most of them is the label. Without vectors each
// class has a score.
func readSVMClassifier(n *node) []*graph.Value {
	b, labels, sizes := n.b, n.classes("classlabels_ints"), n.ints("vectors_per_class")
	if n.isSet("prob_a") && len(n.floats("prob_a")) > 0 {
		n.refuse("probabilities, which an iteration approximates: convert the model without them")
	}
	n.pass([]string{"prob_a", "prob_b"})
	count := 0
	for _, size := range sizes {
		if size < 0 || size > 1<<30 {
			n.invalid("vectors_per_class %v", sizes)
		}
		count += size
	}
	m, classes := n.supportVectors(count), len(labels)
	list := n.floats("coefficients")
	if m.kernel == nil {
		if len(list)%classes != 0 || !m.x.Shape[1].Is(len(list)/classes) {
			n.invalid("%d coefficients for %s and %d classes", len(list), m.x.Shape, classes)
		}
		y := b.Add(b.MatMul(m.x, b.Transpose(n.matrix("coefficients", list, len(list)/classes), 1, 0)), n.like(m.x, m.rho[0]))
		return []*graph.Value{n.labelled(y, labels), n.transformed(y)}
	}
	if classes < 2 || len(sizes) != classes || len(list) != (classes-1)*count || len(m.rho) != classes*(classes-1)/2 {
		n.invalid("%d classes with %d groups of vectors, %d coefficients and %d offsets", classes, len(sizes), len(list), len(m.rho))
	}
	weights, votes := pairs(sizes, list, count)
	scores := b.Add(b.MatMul(m.kernel, b.Transpose(n.matrix("pairs", weights, count), 1, 0)), b.Const(single(n, "offsets", m.rho)))
	won := b.Cast(b.Greater(scores, n.like(scores, 0)), format.Float32)
	sum := b.MatMul(b.Sub(b.Mul(won, b.Scalar(2)), b.Scalar(1)), n.matrix("votes", votes, classes)) // victories minus defeats
	label := n.labelled(sum, labels)
	if classes == 2 {
		scores = b.Concat(1, b.Neg(scores), scores)
	}
	return []*graph.Value{label, n.transformed(scores)}
}

// pairs returns the weights of the vectors for each pair of classes, and what a won pair
// is for each class: a victory or a defeat. Each class has as many pairs, so both tell the
// same.
func pairs(sizes []int, coefficients []float64, count int) (weights, votes []float64) {
	starts := make([]int, len(sizes)+1)
	for i, size := range sizes {
		starts[i+1] = starts[i] + size
	}
	for i := range sizes {
		for j := i + 1; j < len(sizes); j++ {
			row, vote := make([]float64, count), make([]float64, len(sizes))
			copy(row[starts[i]:starts[i+1]], coefficients[(j-1)*count+starts[i]:])
			copy(row[starts[j]:starts[j+1]], coefficients[i*count+starts[j]:])
			vote[i], vote[j] = 1, -1
			weights, votes = append(weights, row...), append(votes, vote...)
		}
	}
	return weights, votes
}
