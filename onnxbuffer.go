package attnx

import (
	"path/filepath"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// Inputs of com.microsoft.GroupQueryAttention.
const (
	groupedPastKey   = 3 // (B,G,M,D)
	groupedPastValue = 4
	groupedLengths   = 5 // tokens of each text, minus 1
	groupedTotal     = 6 // length of the present
)

// buffers are the inputs of a file whose GroupQueryAttention has a constant total
// length N: the past and the present are one buffer of that length.
type buffers struct {
	past   map[string]int // N by the name of a past: its axis 2 has this size
	within map[string]int // N by the name of an input that gives the texts' lengths, such as a mask: no axis but the first is longer

	ones map[string]int // what every element of such an input is, if its numbers decide: 1 of a mask, N-1 of the lengths

	mask, tokens string // the mask and the new tokens, if the names of the inputs tell them
}

// buffers finds them by following the nodes' inputs back to those of the file.
func (x *ONNX) buffers() buffers {
	b := buffers{past: map[string]int{}, within: map[string]int{}, ones: map[string]int{}}
	inputs, from := map[string]bool{}, map[string]*onnx.Node{}
	for _, v := range x.inputs {
		inputs[v.Name] = true
	}
	for _, n := range x.File.Graph.Nodes {
		for _, name := range n.Outputs {
			from[name] = n
		}
	}
	for _, n := range x.File.Graph.Nodes {
		if n.Op != "GroupQueryAttention" || len(n.Inputs) <= groupedTotal {
			continue
		}
		total, constant := x.constant(n.Inputs[groupedTotal], from)
		if !constant || total < 1 {
			continue
		}
		for _, i := range []int{groupedPastKey, groupedPastValue} {
			if name := moved(n.Inputs[i], from); inputs[name] {
				b.past[name] = total
			}
		}
		for name := range before(n.Inputs[groupedLengths], from, false) {
			b.within[name] = total
		}
		for name := range before(n.Inputs[groupedLengths], from, true) {
			b.ones[name] = 1
		}
		if name := moved(n.Inputs[groupedLengths], from); inputs[name] {
			b.ones[name] = total - 1
		}
	}
	for _, v := range x.inputs {
		if _, ok := b.within[v.Name]; ok {
			if r, _ := role.FromName(v.Name); r.Kind == role.AttentionMask {
				b.mask = v.Name
			}
		}
		if r, _ := role.FromName(v.Name); r.Kind == role.Tokens {
			b.tokens = v.Name
		}
	}
	if b.mask == "" || b.tokens == "" {
		b.mask, b.tokens = "", ""
	}
	return b
}

// before returns the values from which a value is computed, or only those whose
// numbers it is computed from.
func before(name string, from map[string]*onnx.Node, numbers bool) map[string]bool {
	seen := map[string]bool{}
	for left := []string{name}; len(left) > 0; {
		name := left[len(left)-1]
		left = left[:len(left)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		if n := from[name]; n != nil && !(numbers && n.Op == "Shape") {
			left = append(left, n.Inputs...)
		}
	}
	return seen
}

// moved returns the value of which a value is a copy or a cast.
func moved(name string, from map[string]*onnx.Node) string {
	for range from { // as many steps as there are nodes: the order of a broken file's may be a circle
		n := from[name]
		if n == nil || n.Op != "Cast" && n.Op != "Identity" || len(n.Inputs) != 1 {
			break
		}
		name = n.Inputs[0]
	}
	return name
}

// constant returns the integer that a value is in every run.
func (x *ONNX) constant(name string, from map[string]*onnx.Node) (int, bool) {
	name = moved(name, from)
	var t *onnx.Tensor
	for _, init := range x.File.Graph.Initializers {
		if init.Name == name {
			t = init
		}
	}
	if n := from[name]; n != nil && n.Op == "Constant" {
		for _, a := range n.Attributes {
			if a.Name == "value_int" {
				return int(a.Int), true
			}
			if a.Name == "value" {
				t = a.Tensor
			}
		}
	}
	if t == nil || len(t.Dims) > 1 || len(t.Dims) == 1 && t.Dims[0] != 1 {
		return 0, false
	}
	number, err := read.Tensor(t, filepath.Dir(x.Path))
	if err != nil {
		return 0, false
	}
	values, err := number.AsFloat64s()
	if err != nil || len(values) != 1 || values[0] != float64(int32(values[0])) {
		return 0, false
	}
	return int(values[0]), true
}

// sized returns the size of an open dimension of an input, which is size if no
// buffer decides it.
func (b buffers) sized(v runtime.Value, axis, size int) int {
	if n, ok := b.past[v.Name]; ok && axis == 2 {
		return n
	}
	if n, ok := b.within[v.Name]; ok && axis > 0 {
		if b.tokens == "" {
			return n // whatever else the texts are made of, no place of the past is undefined
		}
		return min(n, size)
	}
	return size
}

// atMost returns a length that every buffer holds.
func (b buffers) atMost(length int) int {
	for _, n := range b.past {
		length = min(length, n)
	}
	for _, n := range b.within {
		length = min(length, n)
	}
	return length
}

// clear sets the places of drawn pasts after their texts to 0: what a runtime
// writes there, if the present is not in the same memory, is not defined but for a
// past that is 0 there. how gets a note for each.
func (b buffers) clear(inputs map[string]format.Tensor, how map[string]string) {
	mask, tokens := inputs[b.mask], inputs[b.tokens]
	if len(mask.Shape) != 2 || len(tokens.Shape) != 2 {
		return
	}
	ones, err := mask.AsFloat64s()
	if err != nil {
		return
	}
	for name := range b.past {
		past := inputs[name]
		if how[name] == "" || len(past.Shape) != 4 || past.Shape[0] != mask.Shape[0] {
			continue
		}
		rows, row := past.Shape[0]*past.Shape[1], past.Shape[3]*past.DType.Size()
		cleared := false
		for r := range rows {
			length := -float64(tokens.Shape[1])
			for _, one := range ones[r/past.Shape[1]*mask.Shape[1]:][:mask.Shape[1]] {
				length += one
			}
			used := min(max(int(length), 0), past.Shape[2])
			tail := past.Data[r*past.Shape[2]*row:][used*row : past.Shape[2]*row]
			clear(tail)
			cleared = cleared || len(tail) > 0
		}
		if cleared {
			how[name] += ", 0 after the tokens in it"
		}
	}
}
