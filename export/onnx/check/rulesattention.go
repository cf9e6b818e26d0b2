package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

func init() {
	rules["Attention"], rules["LinearAttention"] = attention, linearAttention
	rules["ai.onnx.preview.FlexAttention"] = flexAttention
}

// attention is the rule of Attention for inputs of four axes: (batch, heads, rows,
// size). In inputs of three axes the heads are concatenated.
func attention(c *call) {
	c.elem(0, 0)
	q, ok := c.shape(0)
	if ok {
		c.attended(q)
	} else {
		c.cached(0, nil)
	}
	if c.op.Since < 25 {
		return
	}
	for _, name := range []string{"left_window_size", "right_window_size"} {
		if v := c.int(name, -1); v < -1 {
			refuse("%s is %d", name, v)
		}
	}
	made := func(i int) bool { return i < len(c.outs) && c.node.Outputs[i] != "" }
	heads, keys := c.attribute("q_num_heads"), c.attribute("kv_num_heads")
	switch {
	case c.has(4) != c.has(5):
		refuse("it has one of past_key and past_value")
	case made(1) != made(2):
		refuse("it has one of present_key and present_value")
	case c.has(6) && (c.has(4) || made(1)):
		refuse("it has nonpad_kv_seqlen and a cache")
	case ok && len(q) == 4 && (heads != nil || keys != nil):
		refuse("it has numbers of heads, and inputs with 4 axes")
	}
}

// attended is attention for a query of a known shape.
func (c *call) attended(q []onnx.Dim) {
	for i := range 3 {
		if dims, known := c.shape(i); known && len(dims) != 3 && len(dims) != 4 {
			refuse("input %d has %d axes, expects 3 or 4", i, len(dims))
		}
	}
	heads, keys := c.attribute("q_num_heads"), c.attribute("kv_num_heads")
	if len(q) == 3 && (heads == nil || keys == nil) {
		refuse("inputs with 3 axes need q_num_heads and kv_num_heads")
	}
	scores := []onnx.Dim{q[0]}
	var columns int64 // of the keys; 0 if not known
	v, known := c.shape(2)
	switch {
	case !known || len(v) != len(q):
	case len(q) == 4:
		columns = v[2].Value
		c.sized(0, []onnx.Dim{q[0], q[1], q[2], v[3]})
		scores = append(scores, q[1], q[2], onnx.Dim{Value: columns})
	default:
		if heads.Int <= 0 || keys.Int <= 0 {
			refuse("q_num_heads %d and kv_num_heads %d", heads.Int, keys.Int)
		}
		columns = v[1].Value
		c.sized(0, []onnx.Dim{q[0], q[1], {Value: v[2].Value / keys.Int * heads.Int}})
		scores = append(scores, onnx.Dim{Value: heads.Int}, q[1], onnx.Dim{Value: columns})
	}
	c.cached(columns, scores)
}

// cached gives the scores and the present keys and values their types and shapes.
func (c *call) cached(columns int64, scores []onnx.Dim) {
	made := func(i int) bool { return i < len(c.outs) && c.node.Outputs[i] != "" }
	if made(3) {
		c.elem(0, 3)
		c.sized(3, scores)
	}
	if !made(1) || !made(2) || !c.has(4) || !c.has(5) {
		return
	}
	c.elem(4, 1)
	c.elem(5, 2)
	keys, okK := c.shape(4)
	values, okV := c.shape(5)
	if !okK || !okV {
		return
	}
	if len(keys) != 4 || len(values) != 4 {
		refuse("the past has %d and %d axes, expects 4", len(keys), len(values))
	}
	if columns <= 0 || keys[2].Open {
		return
	}
	total := onnx.Dim{Value: columns + keys[2].Value}
	if made(3) && len(scores) == 4 {
		scores[3] = total
		c.sized(3, scores)
	}
	c.sized(1, []onnx.Dim{keys[0], keys[1], total, keys[3]})
	c.sized(2, []onnx.Dim{values[0], values[1], total, values[3]})
}

// updates are the optional inputs that each update rule of LinearAttention takes:
// the decay and beta.
var updates = map[string][2]bool{"linear": {}, "gated": {true, false}, "delta": {false, true}, "gated_delta": {true, true}}

func linearAttention(c *call) {
	heads, keys := c.int("q_num_heads", 0), c.int("kv_num_heads", 0)
	if heads <= 0 || keys <= 0 || heads%keys != 0 {
		refuse("q_num_heads %d and kv_num_heads %d", heads, keys)
	}
	rule := "gated_delta"
	if a := c.attribute("update_rule"); a != nil {
		rule = string(a.String)
	}
	takes, known := updates[rule]
	if !known || takes[0] != c.has(4) || takes[1] != c.has(5) {
		refuse("update_rule %.80q with %d inputs", rule, len(c.node.Inputs))
	}
	c.elem(0, 0)
	from := 0
	if t := c.in(3); c.has(3) && t != nil && t.Kind == onnx.TensorType {
		from = 3
	}
	c.elem(from, 1)
	batch, steps, groups := unknown(), unknown(), &onnx.Dim{Value: keys}
	width, depth := unknown(), unknown()
	var packed [3]*onnx.Dim
	for i := range packed {
		packed[i] = unknown()
		c.unify(i, batch, steps, packed[i])
	}
	c.unify(3, batch, groups, width, depth)
	c.unify(4, batch, steps, unknown())
	c.unify(5, batch, steps, unknown())
	for i, into := range []*onnx.Dim{width, width, depth} {
		n := keys
		if i == 0 {
			n = heads
		}
		if p := packed[i]; !p.Open {
			if p.Value%n != 0 {
				refuse("input %d has %d columns for %d heads", i, p.Value, n)
			}
			meet(onnx.Dim{Value: p.Value / n}, into, i)
		}
	}
	last := func(i int) (n int64, ok bool) {
		dims, ok := c.shape(i)
		return dimOr(dims, 2), ok && c.has(i) && !dims[2].Open
	}
	if n, ok := last(4); ok && n != keys && (width.Open && n%keys != 0 || !width.Open && n != keys*width.Value) {
		refuse("a decay of %d columns for %d heads", n, keys)
	}
	if n, ok := last(5); ok && n != 1 && n != keys {
		refuse("a beta of %d columns for %d heads", n, keys)
	}
	out := *unknown()
	if !depth.Open {
		out = onnx.Dim{Value: heads * depth.Value}
	}
	c.sized(0, []onnx.Dim{*batch, *steps, out})
	c.sized(1, []onnx.Dim{*batch, *groups, *width, *depth})
}

// dimOr returns the i-th size, 0 if there is none.
func dimOr(dims []onnx.Dim, i int) int64 {
	if i < len(dims) {
		return dims[i].Value
	}
	return 0
}

func flexAttention(c *call) {
	c.tensors(0, 1, 2)
	for i := 1; i < 3; i++ {
		if c.in(i).DataType != c.in(0).DataType {
			refuse("inputs of other types")
		}
	}
	c.elem(0, 0)
	q, _ := c.shape(0)
	k, _ := c.shape(1)
	v, _ := c.shape(2)
	if len(q) != 4 || len(k) != 4 || len(v) != 4 {
		refuse("inputs with %d, %d and %d axes, expects 4", len(q), len(k), len(v))
	}
	equal := func(a, b onnx.Dim) {
		if !a.Open && !b.Open && a.Value != b.Value {
			refuse("inputs of %d and %d", a.Value, b.Value)
		}
	}
	equal(k[1], v[1])
	equal(k[2], v[2])
	equal(q[3], k[3])
	if a, b := q[1], k[1]; !a.Open && !b.Open && a.Value != b.Value && (b.Value <= 0 || a.Value%b.Value != 0) {
		refuse("%d heads for %d", a.Value, b.Value)
	}
	batch := q[0]
	meet(k[0], &batch, 1)
	meet(v[0], &batch, 2)
	c.sized(0, []onnx.Dim{batch, q[1], q[2], v[3]})
	precision := onnx.Float
	if c.in(0).DataType == onnx.Double {
		precision = onnx.Double
	}
	if a := c.attribute("softmax_precision"); a != nil {
		precision = onnx.DataType(a.Int)
	}
	if !slices.Contains([]onnx.DataType{onnx.Float, onnx.Float16, onnx.BFloat16, onnx.Double}, precision) {
		refuse("softmax_precision is %s", precision)
	}
	c.modifier("score_mod", precision)
	c.modifier("prob_mod", precision)
}

// modifier checks a graph of FlexAttention: one input and one output, of four axes
// and one shape.
func (c *call) modifier(name string, t onnx.DataType) {
	a := c.attribute(name)
	if a == nil {
		return
	}
	if a.Graph == nil || len(a.Graph.Inputs) != 1 || len(a.Graph.Outputs) != 1 {
		refuse("the graph %.80q expects one input and one output", name)
	}
	in, out := typeOf(a.Graph.Inputs[0]), typeOf(a.Graph.Outputs[0])
	if in.Kind == onnx.TensorType && in.DataType != t || out.Kind != 0 && (out.Kind != onnx.TensorType || out.DataType != t) {
		refuse("the graph %.80q is of %s and %s, expects %s", name, in, out, t)
	}
	if shaped(in) && len(in.Dims) != 4 || shaped(out) && len(out.Dims) != 4 {
		refuse("the graph %.80q is of %s and %s, expects 4 axes", name, in, out)
	}
	if shaped(in) && shaped(out) {
		for i, d := range in.Dims {
			if e := out.Dims[i]; !d.Open && !e.Open && d.Value != e.Value {
				refuse("the graph %.80q changes the shape", name)
			}
		}
	}
}
