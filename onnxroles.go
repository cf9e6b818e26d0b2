package attnx

import (
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// What the inputs of a foreign file are for is read off its graph: integers that look up rows of
// a table are ids, what is joined with new columns and handed out is a past, other
// integers of the ids' shape are a mask. So the cases are designed as those of a checkpoint.

// texts are the inputs of a file that takes texts.
type texts struct {
	*ONNX
	below     map[string]int // rows of the table that an input's integers look up, by input
	tokens    runtime.Value  // the ids of the text
	positions string         // the input with the position of each token; "" if there is none
	masks     []string
	pasts     map[string]int // the axis of the past tokens, by input
	grouped   bool           // attention with a length for each text, which takes no other masks
	seed      uint64
	budget    int
}

// pastInputs are the operators that take a past: the inputs that it may be, and its axis.
var pastInputs = map[string]struct {
	inputs []int
	axis   int
}{
	"Attention":           {[]int{4, 5}, 2},
	"GroupQueryAttention": {[]int{groupedPastKey, groupedPastValue}, 2},
	"MultiHeadAttention":  {[]int{6, 7}, 2},
}

// textsOf returns the roles of the file's inputs; ok is false if no integers (batch,length) look up
// rows of a table.
func (x *ONNX) textsOf(seed uint64, budget int) (t texts, ok bool) {
	t = texts{ONNX: x, pasts: map[string]int{}, seed: seed, budget: budget, grouped: x.has("GroupQueryAttention")}
	shapes, err := x.sizes(nil, openSizes{batch: 1, length: drawnLength})
	if err != nil {
		return t, false
	}
	t.below = x.below(shapes, nil)
	for name, n := range t.below {
		if n == 0 {
			delete(t.below, name)
		}
	}
	held := x.buffers()
	isMatrix := func(v runtime.Value) bool {
		bits, _ := v.DType.Integer()
		return v.Ranked && len(v.Shape) == 2 && (bits >= 32 || v.DType == format.Bool)
	}
	likely := 0
	for _, v := range x.inputs {
		n := t.below[v.Name]
		if n == 0 || !isMatrix(v) || v.Shape[1].Name == "" {
			continue
		}
		score := n // of several the one with the largest table, unless it has a score for each of its ids, or the name
		if slices.ContainsFunc(x.File.Graph.Outputs, func(out onnx.ValueInfo) bool {
			last := len(out.Dims) - 1
			return last > 0 && !out.Dims[last].Open && int(out.Dims[last].Value) == n
		}) {
			score += math.MaxInt32
		}
		if r, _ := role.FromName(v.Name); r.Kind == role.Tokens {
			score += 2 * math.MaxInt32
		}
		if score > likely {
			likely, t.tokens = score, v
		}
	}
	if t.tokens.Name == "" || len(held.past) > 0 || len(held.within) > 0 {
		return t, false // a buffer of a fixed length has rules of its own
	}
	t.findPasts()
	divisors := x.divisors()
	for _, v := range x.inputs {
		r, _ := role.FromName(v.Name)
		switch {
		case r.Kind == role.Positions:
			t.positions = v.Name
		case isMatrix(v) && t.below[v.Name] == 0 && !divisors[v.Name] && v.Shape[0] == t.tokens.Shape[0] && v.Shape[1].Name != "":
			t.masks = append(t.masks, v.Name)
		}
	}
	return t, true
}

// findPasts finds the inputs to which new columns are appended.
func (t texts) findPasts() {
	from, inputs, outputs := map[string]*onnx.Node{}, map[string]runtime.Value{}, map[string]bool{}
	for _, v := range t.inputs {
		inputs[v.Name] = v
	}
	for _, n := range t.File.Graph.Nodes {
		for _, name := range n.Outputs {
			from[name] = n
		}
	}
	for _, out := range t.File.Graph.Outputs {
		outputs[moved(out.Name, from)] = true
	}
	note := func(name string, axis int) {
		v, is := inputs[moved(name, from)]
		if axis < 0 {
			axis += len(v.Shape)
		}
		if is && v.DType.Float() && v.Ranked && axis > 0 && axis < len(v.Shape) && v.Shape[axis].Name != "" {
			t.pasts[v.Name] = axis
		}
	}
	for _, n := range t.File.Graph.Nodes {
		if p, takes := pastInputs[n.Op]; takes {
			for _, i := range p.inputs {
				if i < len(n.Inputs) {
					note(n.Inputs[i], p.axis)
				}
			}
		}
		if n.Op == "Concat" && len(n.Inputs) == 2 && outputs[n.Outputs[0]] {
			for _, a := range n.Attributes {
				if a.Name == "axis" {
					note(n.Inputs[0], int(a.Int))
				}
			}
		}
	}
}
