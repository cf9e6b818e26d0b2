package read

import (
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// attendingFamily has the attention operators of other tools.
var attendingFamily = family{
	"Attention":                    {read: readAttention},
	"LinearAttention":              {read: readLinearAttention},
	"RotaryEmbedding":              records(readRotaryEmbedding),
	"SwiGLU":                       records(readSwiGLU),
	"TensorScatter":                records(readTensorScatter),
	"SimplifiedLayerNormalization": records(readRMSNormalization), // ONNX Runtime defines it in the standard domain
}

// previewFamily has ONNX's preview operators.
var previewFamily = family{"FlexAttention": records(readFlexAttention)}

// readAttention reads queries, keys, values, a mask, a past, and the numbers of keys
// without padding.
func readAttention(n *node) []*graph.Value {
	n.pass([]string{"softmax_precision"}) // the oracle's precision is higher
	q, k, v := n.arg(0), n.arg(1), n.arg(2)
	apart := len(q.Shape) == 4
	a := attention{
		q: n.heads(q, n.int("q_num_heads", 0)), k: n.heads(k, n.int("kv_num_heads", 0)), v: n.heads(v, n.int("kv_num_heads", 0)),
		scale: n.float("scale", 0), softcap: n.float("softcap", 0), causal: n.flag("is_causal", false),
	}
	if n.has(4) && n.has(5) {
		past, pastValues := n.arg(4), n.arg(5)
		a.offset = past.Shape[2]
		a.k, a.v = n.b.Concat(2, past, a.k), n.b.Concat(2, pastValues, a.v)
	}
	if n.has(3) {
		n.given(&a, n.arg(3))
	}
	left, right := n.int("left_window_size", -1), n.int("right_window_size", -1)
	if n.has(6) {
		n.filled(&a, n.cast(n.arg(6), format.Int64), left, right)
	} else if left >= 0 || right >= 0 {
		rows, columns := n.rowsAndColumns(a.q.Shape[2], a.k.Shape[2], a.offset)
		n.window(&a, rows, columns, left, right)
	}
	mode := n.int("qk_matmul_output_mode", 0)
	got := n.attend(a, len(n.onnx.Outputs) > 3 && n.onnx.Outputs[3] != "")
	y := got.y
	if !apart {
		y = n.joined(y)
	}
	if mode < 0 || mode > 3 {
		n.invalid("qk_matmul_output_mode is %d", mode)
	}
	return []*graph.Value{y, a.k, a.v, []*graph.Value{got.scores, got.capped, got.biased, got.probs}[mode]}
}

// given adds a mask: truth values, or numbers added to the scores. Keys beyond a
// shorter mask are hidden.
func (n *node) given(a *attention, mask *graph.Value) {
	size := a.k.Shape[2]
	if mask.DType == format.Bool {
		a.seen = n.and(a.seen, n.padded(mask, size, n.constant(0, format.Bool)))
		return
	}
	a.bias = n.plus(a.bias, n.padded(mask, size, n.like(mask, math.Inf(-1))))
}

// filled hides the keys after the first lengths (B), and makes the queries the last of
// these.
func (n *node) filled(a *attention, lengths *graph.Value, left, right int) {
	T, S := a.q.Shape[2], a.k.Shape[2]
	one := graph.N(1)
	lengths = n.b.Reshape(lengths, lengths.Shape[0], one, one, one)
	rows, columns := n.rowsAndColumns(T, S, graph.N(0).Sub(T))
	if !n.has(4) {
		rows = n.b.Add(lengths, rows) // (B,1,T,1)
	} else {
		rows, _ = n.rowsAndColumns(T, S, a.offset)
	}
	if a.causal {
		a.causal, a.seen = false, n.and(a.seen, n.b.LessOrEqual(columns, rows))
	}
	n.window(a, rows, columns, left, right)
	a.seen = n.and(a.seen, n.b.Less(columns, lengths))
}

// window hides keys that are more than left or right positions away from a query; -1
// means no limit.
func (n *node) window(a *attention, rows, columns *graph.Value, left, right int) {
	if left >= 0 {
		a.seen = n.and(a.seen, n.b.GreaterOrEqual(columns, n.b.Sub(rows, n.constant(float64(left), format.Int64))))
	}
	if right >= 0 {
		a.seen = n.and(a.seen, n.b.LessOrEqual(columns, n.b.Add(rows, n.constant(float64(right), format.Int64))))
	}
}

// readFlexAttention applies subgraphs to the scores and the probabilities.
func readFlexAttention(n *node) *graph.Value {
	dtype := n.dtype(0)
	inside := format.Float32
	if dtype == format.Float64 {
		inside = dtype
	}
	if n.isSet("softmax_precision") {
		var err error
		if inside, err = elementType(dataType(n.int("softmax_precision", 0))); err != nil {
			n.refuse("%v", err)
		}
	}
	q, k, v := n.arg(0), n.arg(1), n.arg(2)
	if len(q.Shape) != 4 || len(k.Shape) != 4 || len(v.Shape) != 4 {
		n.invalid("queries %s, keys %s and values %s: expected 4 dimensions", q.Shape, k.Shape, v.Shape)
	}
	scale := n.float("scale", 0)
	if !n.isSet("scale") {
		d, ok := q.Shape[3].Number()
		if !ok {
			n.open("the width of a head is %s", q.Shape[3])
		}
		scale = 1 / math.Sqrt(float64(d))
	}
	keys := n.b.Transpose(n.repeated(n.cast(k, inside), q.Shape[1]), 0, 1, 3, 2)
	scores := n.b.MatMul(n.scaled(n.cast(q, inside), scale), keys)
	probs := n.b.Softmax(n.modified("score_mod", scores), -1)
	probs = n.modified("prob_mod", probs)
	return n.b.MatMul(n.cast(probs, dtype), n.repeated(v, q.Shape[1]))
}

// modified applies the subgraph in an attribute to x. Without the attribute it
// returns x.
func (n *node) modified(name string, x *graph.Value) *graph.Value {
	if !n.isSet(name) {
		return x
	}
	out := n.inner(n.subgraph(name), n.name()+"/"+name+"/", &value{name: n.name() + "/" + name, scope: n.scope, recorded: x})
	if len(out) != 1 {
		n.invalid("its graph %s has %d outputs, expected one", name, len(out))
	}
	y, err := n.r.record(out[0])
	if err != nil {
		panic(refusal{err})
	}
	return y
}

func readSwiGLU(n *node) *graph.Value {
	return n.b.Mul(n.apply(graph.Swish{Alpha: n.float("alpha", 1)}, n.arg(0)), n.arg(1))
}

// readTensorScatter writes an update into a cache.
func readTensorScatter(n *node) *graph.Value {
	cache, update := n.arg(0), n.arg(1)
	axis := n.axis(n.int("axis", -2), len(cache.Shape))
	mode := n.text("mode", "linear")
	if mode != "linear" && mode != "circular" || axis == 0 {
		n.invalid("mode %.80q, axis %d", mode, axis)
	}
	at := n.optional(2)
	if at == nil {
		at = n.b.Expand(n.constant(0, format.Int64), cache.Shape[0])
	}
	return n.written(cache, update, n.cast(at, format.Int64), axis, mode == "circular")
}

// written returns a cache with the update from position at[b] of its axis on.
// With circular, positions beyond the end wrap to the beginning.
func (n *node) written(cache, update, at *graph.Value, axis int, circular bool) *graph.Value {
	b := n.b
	along := func(axis int, d graph.Dim) graph.Shape {
		s := make(graph.Shape, len(cache.Shape))
		for i := range s {
			s[i] = graph.N(1)
		}
		s[axis] = d
		return s
	}
	size := cache.Shape[axis]
	places := b.Reshape(b.Range(graph.N(0), size), along(axis, size)...)
	from := b.Sub(places, b.Reshape(at, along(0, cache.Shape[0])...)) // (B,...,size,...)
	if circular {
		from = n.apply(graph.Mod, from, n.size(size))
	}
	zero := n.constant(0, format.Int64)
	inside := b.And(b.GreaterOrEqual(from, zero), b.Less(from, n.size(update.Shape[axis])))
	ids := b.Expand(b.Where(inside, from, zero), cache.Shape...)
	return b.Where(inside, b.GatherElements(update, ids, axis), cache)
}
