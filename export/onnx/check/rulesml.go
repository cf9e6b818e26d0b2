package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

// Rules of ai.onnx.ml, and of the operators of training.
func init() {
	for name, r := range map[string]rule{
		"ArrayFeatureExtractor": featureExtractor, "Binarizer": same, "CastMap": castMap, "CategoryMapper": categoryMapper,
		"DictVectorizer": dictVectorizer, "LabelEncoder": labelEncoder, "LinearClassifier": linearClassifier, "OneHotEncoder": oneHotEncoder,
		"SVMClassifier": labelled, "TreeEnsemble": treeEnsemble, "TreeEnsembleClassifier": treeClassifier, "TreeEnsembleRegressor": treeRegressor,
		"ZipMap": zipMap,
	} {
		rules["ai.onnx.ml."+name] = r
	}
	for name, lists := range map[string]int{"Adagrad": 3, "Momentum": 3, "Adam": 4} {
		rules["ai.onnx.preview.training."+name] = optimizer(lists)
	}
}

func featureExtractor(c *call) {
	c.elem(0, 0)
	dims, ok := c.shape(0)
	if !ok || len(dims) == 1 {
		return
	}
	if len(dims) == 0 {
		c.ranked(0, 1)
		return
	}
	last := onnx.Dim{Open: true}
	if at, known := c.shape(1); known && len(at) > 0 {
		last = product(at)
	}
	c.sized(0, append(slices.Clone(dims[:len(dims)-1]), last))
}

func castMap(c *call) {
	t := onnx.Float
	if a := c.attribute("cast_to"); a != nil {
		switch string(a.String) {
		case "TO_INT64":
			t = onnx.Int64
		case "TO_STRING":
			t = onnx.String
		}
	}
	c.is(0, t)
}

func categoryMapper(c *call) {
	numbers, strings := c.attribute("cats_int64s"), c.attribute("cats_strings")
	if numbers == nil || strings == nil || len(numbers.Ints) != len(strings.Strings) {
		refuse("cats_int64s and cats_strings are lists of one length")
	}
	if t := c.in(0); t != nil && t.DataType == onnx.String {
		c.is(0, onnx.Int64)
	} else if t != nil && t.DataType == onnx.Int64 {
		c.is(0, onnx.String)
	}
	c.keep(0, 0)
}

func dictVectorizer(c *call) {
	if t := c.in(0); t != nil && t.Kind == onnx.MapType && t.Elem != nil {
		c.is(0, t.Elem.DataType)
	}
}

// listOf returns the element type and the length of the first of a few attributes
// that the node has, 0 if it has none.
func (c *call) listOf(names ...string) (t onnx.DataType, n int64) {
	for _, name := range names {
		if a := c.attribute(name); a != nil {
			return elements(a)
		}
	}
	return 0, 0
}

// elements returns the element type of a list, or of a tensor with one axis, and
// its length.
func elements(a *onnx.Attribute) (t onnx.DataType, n int64) {
	switch {
	case len(a.Ints) > 0:
		return onnx.Int64, int64(len(a.Ints))
	case len(a.Floats) > 0:
		return onnx.Float, int64(len(a.Floats))
	case len(a.Strings) > 0:
		return onnx.String, int64(len(a.Strings))
	case a.Tensor != nil:
		if len(a.Tensor.Dims) != 1 {
			refuse("attribute %.80q has %d axes, expects 1", a.Name, len(a.Tensor.Dims))
		}
		return a.Tensor.DataType, a.Tensor.Dims[0]
	}
	return 0, 0
}

func labelEncoder(c *call) {
	in := c.in(0)
	var read onnx.DataType
	if in != nil {
		read = in.DataType
	}
	if c.op.Since == 1 {
		switch read {
		case onnx.String:
			c.is(0, onnx.Int64)
		case onnx.Int64:
			c.is(0, onnx.String)
		}
		return
	}
	if c.op.Since < 4 {
		for _, side := range []string{"keys", "values"} {
			count := 0
			for _, kind := range []string{"_strings", "_int64s", "_floats"} {
				if c.attribute(side+kind) != nil {
					count++
				}
			}
			if count != 1 {
				refuse("it has %d lists of %s, expects one", count, side)
			}
		}
		for name, t := range map[string]onnx.DataType{"strings": onnx.String, "int64s": onnx.Int64, "floats": onnx.Float} {
			if c.attribute("keys_"+name) != nil && read != t {
				refuse("keys of %s for %s", t, read)
			}
			if c.attribute("values_"+name) != nil {
				c.is(0, t)
			}
		}
		c.keep(0, 0)
		return
	}
	keys, count := c.listOf("keys_tensor", "keys_strings", "keys_int64s", "keys_floats")
	if keys == 0 || keys != read {
		refuse("keys of %s for %s", keys, read)
	}
	values, n := c.listOf("values_tensor", "values_strings", "values_int64s", "values_floats")
	if values == 0 || n != count {
		refuse("%d keys and %d values", count, n)
	}
	if a := c.attribute("default_tensor"); a != nil && a.Tensor != nil && a.Tensor.DataType != 0 {
		if t := a.Tensor; t.DataType != values || len(t.Dims) != 1 || t.Dims[0] != 1 {
			refuse("the default is %s%v, expects one of %s", t.DataType, t.Dims, values)
		}
	}
	c.is(0, values)
	c.keep(0, 0)
}

// labels returns the number of class labels, and gives the first output their type.
func (c *call) labels(integers string) (n int) {
	if a := c.attribute("classlabels_strings"); a != nil && len(a.Strings) > 0 {
		c.is(0, onnx.String)
		return len(a.Strings)
	}
	c.is(0, onnx.Int64)
	if a := c.attribute(integers); a != nil {
		return len(a.Ints)
	}
	return 0
}

func labelled(c *call) { c.labels("classlabels_ints") }

func linearClassifier(c *call) {
	labels := c.labels("classlabels_ints")
	c.is(1, onnx.Float)
	classes := 0
	if a := c.attribute("intercepts"); a != nil {
		if classes = len(a.Floats); classes == 1 && labels == 2 {
			classes = 2
		}
	}
	batch := onnx.Dim{Open: true}
	if dims, ok := c.shape(0); ok {
		switch len(dims) {
		case 1:
			batch = onnx.Dim{Value: 1}
		case 2:
			batch = dims[0]
		default:
			refuse("input 0 has %d axes, expects 1 or 2", len(dims))
		}
	}
	c.sized(0, []onnx.Dim{batch})
	c.sized(1, []onnx.Dim{batch, {Value: int64(classes)}})
}

func oneHotEncoder(c *call) {
	numbers, strings := c.attribute("cats_int64s"), c.attribute("cats_strings")
	if (numbers == nil) == (strings == nil) {
		refuse("it needs either cats_int64s or cats_strings")
	}
	n := 0
	if numbers != nil {
		n = len(numbers.Ints)
	} else {
		n = len(strings.Strings)
	}
	if dims, ok := c.shape(0); ok {
		c.is(0, onnx.Float)
		c.sized(0, append(slices.Clone(dims), onnx.Dim{Value: int64(n)}))
	}
}

// rows returns the first size of the input, which has two axes.
func (c *call) rows() onnx.Dim {
	dims, ok := c.shape(0)
	if !ok {
		return onnx.Dim{Open: true}
	}
	if len(dims) != 2 {
		refuse("input 0 has %d axes, expects 2", len(dims))
	}
	return dims[0]
}

func treeEnsemble(c *call) {
	rows := c.rows()
	splits, weights, targets := c.attribute("nodes_splits"), c.attribute("leaf_weights"), c.attribute("leaf_targetids")
	if splits == nil || splits.Tensor == nil || len(splits.Tensor.Dims) != 1 {
		refuse("nodes_splits is no tensor with one axis")
	}
	var read onnx.DataType
	if t := c.in(0); t != nil {
		read = t.DataType
	}
	if splits.Tensor.DataType != read {
		refuse("splits of %s for %s", splits.Tensor.DataType, read)
	}
	count := splits.Tensor.Dims[0]
	for _, list := range []struct {
		name     string
		t        onnx.DataType
		required bool
	}{
		{"nodes_featureids", onnx.Int64, true}, {"nodes_hitrates", onnx.Float, false}, {"nodes_modes", onnx.Uint8, true}, {"nodes_truenodeids", onnx.Int64, true},
		{"nodes_falsenodeids", onnx.Int64, true}, {"nodes_trueleafs", onnx.Int64, true}, {"nodes_falseleafs", onnx.Int64, true}, {"nodes_missing_value_tracks_true", onnx.Int64, false},
	} {
		a := c.attribute(list.name)
		if a == nil {
			if list.required {
				refuse("attribute %.80q is missing", list.name)
			}
			continue
		}
		if t, n := elements(a); t != list.t || n != count {
			refuse("attribute %.80q has %d of %s, expects %d of %s", list.name, n, t, count, list.t)
		}
	}
	if a := c.attribute("membership_values"); a != nil && (a.Tensor == nil || a.Tensor.DataType != read) {
		refuse("membership_values are not %s", read)
	}
	if targets == nil || weights == nil || weights.Tensor == nil || len(weights.Tensor.Dims) < 1 || int64(len(targets.Ints)) != weights.Tensor.Dims[0] {
		refuse("leaf_targetids and leaf_weights are lists of one length")
	}
	if weights.Tensor.DataType != read {
		refuse("weights of %s for %s", weights.Tensor.DataType, read)
	}
	c.is(0, read)
	c.sized(0, []onnx.Dim{rows, c.targets()})
}

// targets returns the number of targets.
func (c *call) targets() onnx.Dim {
	if a := c.attribute("n_targets"); a != nil {
		return onnx.Dim{Value: a.Int}
	}
	return onnx.Dim{Open: true}
}

// oneForm refuses lists that are there both as numbers and as a tensor.
func (c *call) oneForm(names ...string) {
	for _, name := range names {
		if c.attribute(name) != nil && c.attribute(name+"_as_tensor") != nil {
			refuse("it has both %s and %s_as_tensor", name, name)
		}
	}
}

func treeClassifier(c *call) {
	if c.op.Since < 3 {
		c.labels("classlabels_int64s")
		return
	}
	c.oneForm("nodes_values", "nodes_hitrates", "class_weights", "base_values")
	n := c.labels("classlabels_int64s")
	c.is(1, onnx.Float)
	rows := c.rows()
	if n == 0 {
		refuse("it has no class labels")
	}
	c.sized(0, []onnx.Dim{rows})
	c.sized(1, []onnx.Dim{rows, {Value: int64(n)}})
}

func treeRegressor(c *call) {
	c.oneForm("nodes_values", "nodes_hitrates", "target_weights", "base_values")
	c.is(0, onnx.Float)
	c.sized(0, []onnx.Dim{c.rows(), c.targets()})
}

func zipMap(c *call) {
	if dims, ok := c.shape(0); ok && len(dims) != 1 && len(dims) != 2 {
		refuse("input 0 has %d axes, expects 1 or 2", len(dims))
	}
	key := onnx.DataType(0)
	if a := c.attribute("classlabels_strings"); a != nil && len(a.Strings) > 0 {
		key = onnx.String
	}
	if a := c.attribute("classlabels_int64s"); a != nil && len(a.Ints) > 0 {
		key = onnx.Int64
	}
	value := &onnx.Type{Kind: onnx.TensorType, DataType: onnx.Float}
	c.outs[0] = &onnx.Type{Kind: onnx.SequenceType, NoShape: true, Elem: &onnx.Type{Kind: onnx.MapType, DataType: key, NoShape: true, Elem: value}}
}

// optimizer returns the rule of an operator that takes a rate, a count, and lists of
// weights, gradients and one or two moments, and gives the weights and the moments.
func optimizer(lists int) rule {
	return func(c *call) {
		inputs := len(c.node.Inputs) - 2
		if c.op.Name != "Adagrad" && inputs%lists != 0 {
			refuse("%d inputs after the first two, expects lists of one length", inputs)
		}
		n := inputs / lists
		for i := range n {
			for list := range lists {
				if list == 1 { // the gradients
					continue
				}
				from, to := 2+list*n+i, max(0, list-1)*n+i
				c.elem(from, to)
				if dims, ok := c.shape(from); ok {
					c.sized(to, dims)
				}
			}
		}
	}
}
