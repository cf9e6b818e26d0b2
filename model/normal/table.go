package normal

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Model is a graph with its weights, in the order of the graph's parameters.
type Model struct {
	Graph   *graph.Graph
	Weights []format.Tensor

	prepared bool // by Prepare
}

// Options configure a comparison.
type Options struct {
	// Rounded compares a model in 16 bits with the float32 model that it was made
	// from: floating-point types and casts between them do not count, and a weight
	// of the second model may be the rounding of the first one's to its own type.
	Rounded bool
}

// table numbers the values of several graphs.
type table struct {
	Options
	context int // of the first graph, 0: unlimited
	ids     map[string]int
	exprs   []expr
	blobs   map[blob][sha256.Size]byte // hashes of memory that was read
	first   bool                       // the first graph is being numbered

	reshaped map[string]int // by the number of a value and the shape
	moves    int            // how often a rule may still go on to the arguments, so that every graph takes linear time
}

// expr is a value in normal form.
type expr struct {
	op    graph.Op // nil: the elements of a weight or constant, without a shape
	typ   graph.Type
	index int // of the result
	args  []int
	leaf  format.Tensor // the elements, in one dimension
}

// blob identifies memory.
type blob struct {
	at   *byte
	size int
}

func newTable(o Options, context int) *table {
	return &table{Options: o, context: context, ids: map[string]int{}, blobs: map[blob][sha256.Size]byte{}, first: true, reshaped: map[string]int{}, moves: 1 << 20}
}

// number returns the number for a key, a new one for e if there is none.
func (t *table) number(key string, e expr) int {
	id, ok := t.ids[key]
	if !ok {
		id = len(t.exprs)
		t.exprs = append(t.exprs, e)
		t.ids[key] = id
	}
	return id
}

// value numbers one result of an operator.
func (t *table) value(op graph.Op, typ graph.Type, index int, args ...int) int {
	var key strings.Builder
	key.WriteString(op.Name() + graph.Attributes(op) + " " + t.typeKey(typ))
	if index > 0 {
		key.WriteString(" result " + strconv.Itoa(index))
	}
	for _, a := range args {
		key.WriteString(" " + strconv.Itoa(a))
	}
	return t.number(key.String(), expr{op: op, typ: typ, index: index, args: args})
}

// typeKey prints a type as far as it counts.
func (t *table) typeKey(typ graph.Type) string {
	if t.Rounded && typ.DType.Float() {
		return "float" + typ.Shape.String()
	}
	return typ.String()
}

func (t *table) shape(id int) graph.Shape { return t.exprs[id].typ.Shape }

// is returns the operator of a value if it has the type O.
func is[O graph.Op](t *table, id int) (op O, ok bool) {
	op, ok = t.exprs[id].op.(O)
	return op, ok
}

// arg returns the first argument of a value.
func (t *table) arg(id int) int { return t.exprs[id].args[0] }

// constant numbers the elements of a tensor: in one dimension, and reshaped. If
// all elements are equal, it is one element that is expanded, because tools write
// such constants in either form.
func (t *table) constant(x format.Tensor) int {
	shape := graph.Numbers(x.Shape...)
	if n := x.Elements(); n > 1 && uniform(x) {
		one := x
		one.Shape, one.Data = []int{}, x.Data[:x.DType.Size()]
		return t.expand(t.constant(one), shape)
	}
	return t.reshape(t.elements(x), shape)
}

// uniform reports whether all elements of x have the same bits.
func uniform(x format.Tensor) bool {
	size := x.DType.Size()
	for i := size; i < len(x.Data); i++ {
		if x.Data[i] != x.Data[i-size] {
			return false
		}
	}
	return size > 0
}

func (t *table) elements(x format.Tensor) int {
	n := x.Elements()
	x.Name, x.Shape = "", []int{n}
	key := func(d format.DType, data []byte) string {
		return fmt.Sprintf("elements %s %d %x", d, n, t.hash(data))
	}
	id := t.number(key(x.DType, x.Data), expr{typ: graph.Type{DType: x.DType, Shape: graph.Numbers(n)}, leaf: x})
	if !t.Rounded || !t.first || x.DType != format.Float32 && x.DType != format.Float64 {
		return id
	}
	for _, to := range []format.DType{format.Float16, format.BFloat16} {
		rounded, _, err := x.Convert(to)
		if err != nil {
			continue
		}
		for _, stored := range []format.DType{to, x.DType} { // a tool may have widened it again
			widened, _, err := rounded.Convert(stored)
			if k := key(stored, widened.Data); err == nil {
				if _, taken := t.ids[k]; !taken {
					t.ids[k] = id
				}
			}
		}
	}
	return id
}

// hash returns the SHA-256 of data. Memory that both models share is read once.
func (t *table) hash(data []byte) [sha256.Size]byte {
	if len(data) < 1<<12 {
		return sha256.Sum256(data)
	}
	b := blob{&data[0], len(data)}
	sum, ok := t.blobs[b]
	if !ok {
		sum = sha256.Sum256(data)
		t.blobs[b] = sum
	}
	return sum
}

// tensor returns the elements of a constant value of a known shape.
func (t *table) tensor(id int) (x format.Tensor, ok bool) {
	e := t.exprs[id]
	shape, known := e.typ.Shape.Numbers()
	if !known {
		return x, false
	}
	switch {
	case e.op == nil:
		return e.leaf, true
	case len(e.args) != 1:
		return x, false
	}
	switch e.op.(type) {
	case graph.Reshape:
		x, ok = t.tensor(e.args[0])
		x.Shape = shape
		return x, ok
	case graph.Expand:
		if x, ok = t.tensor(e.args[0]); !ok {
			return x, false
		}
		return expanded(x, shape)
	}
	return x, false
}
