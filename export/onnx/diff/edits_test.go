package diff_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/diff"
)

// edited is what an edit did: how a report must name it.
type edited struct {
	kind diff.Kind // "": no change
	node string    // name of the node, or its first result
	name string    // of the attribute, input or stored value
}

// editor changes a copy of a model.
type editor struct {
	*onnx.Model
	draw   func(n int) int
	stored map[string]*onnx.Tensor
	made   map[string]*onnx.Node
	reads  map[string]int // how often a value is read
}

func newEditor(m *onnx.Model, r *rand.Rand) *editor {
	e := &editor{Model: copied(m), draw: r.IntN, stored: map[string]*onnx.Tensor{}, made: map[string]*onnx.Node{}, reads: map[string]int{}}
	for _, t := range e.Graph.Initializers {
		e.stored[t.Name] = t
	}
	for _, n := range e.Graph.Nodes {
		for _, v := range n.Outputs {
			e.made[v] = n
		}
		for _, v := range n.Inputs {
			e.reads[v]++
		}
		if n.Op == "Constant" && len(n.Attributes) == 1 && n.Attributes[0].Tensor != nil {
			e.stored[n.Outputs[0]] = n.Attributes[0].Tensor
		}
	}
	return e
}

// copied returns a copy of a model: only elements of tensors are shared.
func copied(m *onnx.Model) *onnx.Model {
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		panic(err)
	}
	c, err := onnx.Decode(b.Bytes())
	if err != nil {
		panic(err)
	}
	return c
}

func (e *editor) node() *onnx.Node { return e.Graph.Nodes[e.draw(len(e.Graph.Nodes))] }

func called(n *onnx.Node) string {
	if n.Name != "" {
		return n.Name
	}
	return n.Outputs[0]
}

// computed reports whether a value is an input or what a node computes.
func (e *editor) computed(v string) bool { return v != "" && e.stored[v] == nil }

// edits are ways to change a model. Each returns false where the place that it drew
// has nothing to change.
var edits = map[string]func(e *editor) (edited, bool){
	"attribute": func(e *editor) (x edited, ok bool) {
		n := e.node()
		if len(n.Attributes) == 0 || n.Op == "Constant" {
			return x, false
		}
		a := &n.Attributes[e.draw(len(n.Attributes))]
		switch {
		case a.Type == onnx.AttrInt:
			a.Int += 3
		case a.Type == onnx.AttrFloat:
			a.Float = a.Float*1.25 + 0.125
		case a.Type == onnx.AttrInts && len(a.Ints) > 0 && a.Name != "kernel_shape":
			a.Ints[e.draw(len(a.Ints))] += 2
		default:
			return x, false
		}
		return edited{diff.Attribute, called(n), a.Name}, true
	},
	"element": func(e *editor) (x edited, ok bool) {
		n := e.node()
		for _, in := range n.Inputs {
			t := e.stored[in]
			if t == nil || t.DataType != onnx.Float || len(t.Raw) == 0 {
				continue
			}
			t.Raw = slices.Clone(t.Raw)
			at := 4 * e.draw(len(t.Raw)/4)
			v := math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[at:]))
			binary.LittleEndian.PutUint32(t.Raw[at:], math.Float32bits(v+1))
			return edited{diff.Elements, "", in}, true
		}
		return x, false
	},
	"operator": func(e *editor) (x edited, ok bool) {
		n := e.node()
		if n.Op == "Constant" {
			return x, false
		}
		n.Op, n.Domain = "Other"+n.Op, "test"
		return edited{diff.Operator, called(n), ""}, true
	},
	"extra node": func(e *editor) (x edited, ok bool) {
		i := e.draw(len(e.Graph.Nodes))
		n := e.Graph.Nodes[i]
		if len(n.Inputs) == 0 {
			return x, false
		}
		at := e.draw(len(n.Inputs))
		if !e.computed(n.Inputs[at]) {
			return x, false
		}
		added := &onnx.Node{Op: "Softsign", Name: "extra", Inputs: []string{n.Inputs[at]}, Outputs: []string{"extra.result"}}
		n.Inputs[at] = "extra.result"
		e.Graph.Nodes = slices.Insert(e.Graph.Nodes, i, added)
		return edited{diff.NodeAdded, "extra", ""}, true
	},
	"missing node": func(e *editor) (x edited, ok bool) {
		i := e.draw(len(e.Graph.Nodes))
		n := e.Graph.Nodes[i]
		if len(n.Outputs) != 1 || len(n.Inputs) == 0 || !e.computed(n.Inputs[0]) || e.reads[n.Outputs[0]] == 0 || e.isOutput(n.Outputs[0]) {
			return x, false
		}
		for _, reader := range e.Graph.Nodes {
			for k, v := range reader.Inputs {
				if v == n.Outputs[0] {
					reader.Inputs[k] = n.Inputs[0]
				}
			}
			for _, a := range reader.Attributes {
				if a.Graph != nil {
					return x, false
				}
			}
		}
		e.Graph.Nodes = slices.Delete(e.Graph.Nodes, i, i+1)
		return edited{diff.NodeRemoved, called(n), ""}, true
	},
	"swapped": func(e *editor) (x edited, ok bool) {
		n := e.node()
		if len(n.Inputs) < 2 || n.Inputs[0] == n.Inputs[1] || n.Inputs[0] == "" || n.Inputs[1] == "" {
			return x, false
		}
		a, b := e.stored[n.Inputs[0]], e.stored[n.Inputs[1]]
		if a != nil && b != nil && bytes.Equal(a.Raw, b.Raw) {
			return x, false
		}
		n.Inputs[0], n.Inputs[1] = n.Inputs[1], n.Inputs[0]
		return edited{diff.Swapped, called(n), ""}, true
	},
	"rewired": func(e *editor) (x edited, ok bool) {
		i := e.draw(len(e.Graph.Nodes))
		n := e.Graph.Nodes[i]
		if len(n.Inputs) == 0 || i == 0 {
			return x, false
		}
		at := e.draw(len(n.Inputs))
		other := e.Graph.Nodes[e.draw(i)]
		if !e.computed(n.Inputs[at]) || other.Op == "Constant" || slices.Contains(n.Inputs, other.Outputs[0]) || other.Outputs[0] == "" {
			return x, false
		}
		n.Inputs[at] = other.Outputs[0]
		return edited{diff.Rewired, called(n), ""}, true
	},
	"dtype": func(e *editor) (x edited, ok bool) {
		n := e.node()
		for _, in := range n.Inputs {
			t := e.stored[in]
			if t == nil || t.DataType != onnx.Float || len(t.Raw) == 0 {
				continue
			}
			var raw []byte
			for at := 0; at < len(t.Raw); at += 4 {
				raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[at:])))))
			}
			t.DataType, t.Raw = onnx.Double, raw
			return edited{diff.ElementType, "", in}, true
		}
		return x, false
	},
	"transposed": func(e *editor) (x edited, ok bool) {
		n := e.node()
		for _, in := range n.Inputs {
			t := e.stored[in]
			if t == nil || t.DataType != onnx.Float || len(t.Dims) != 2 || t.Dims[0] < 2 || t.Dims[1] < 2 {
				continue
			}
			rows, columns := int(t.Dims[0]), int(t.Dims[1])
			raw := make([]byte, 0, len(t.Raw))
			for j := range columns {
				for i := range rows {
					raw = append(raw, t.Raw[4*(i*columns+j):4*(i*columns+j)+4]...)
				}
			}
			if bytes.Equal(raw, t.Raw) {
				return x, false
			}
			t.Raw, t.Dims = raw, []int64{t.Dims[1], t.Dims[0]}
			return edited{diff.Transposed, "", in}, true
		}
		return x, false
	},
	"output": func(e *editor) (x edited, ok bool) {
		out := &e.Graph.Outputs[e.draw(len(e.Graph.Outputs))]
		if out.Other != nil || out.DataType != onnx.Float {
			return x, false
		}
		out.DataType = onnx.Float16
		return edited{diff.Declared, "", "output " + out.Name}, true
	},
	"operator set": func(e *editor) (x edited, ok bool) {
		for i := range e.Opsets {
			if o := &e.Opsets[i]; o.Domain == "" {
				o.Version++
				return edited{diff.Opset, "", "ai.onnx"}, true
			}
		}
		return x, false
	},
	"metadata": func(e *editor) (x edited, ok bool) {
		if e.Metadata == nil {
			e.Metadata = map[string]string{}
		}
		e.Metadata["made.by"] = "a test"
		return edited{diff.Metadata, "", "made.by"}, true
	},
	"constants": func(e *editor) (x edited, ok bool) {
		var nodes []*onnx.Node
		e.Graph.Initializers = slices.DeleteFunc(e.Graph.Initializers, func(t *onnx.Tensor) bool {
			c := *t
			c.Name = ""
			nodes = append(nodes, &onnx.Node{Op: "Constant", Outputs: []string{t.Name}, Attributes: []onnx.Attribute{onnx.TensorAttr("value", &c)}})
			return true
		})
		e.Graph.Nodes = append(nodes, e.Graph.Nodes...)
		return x, len(nodes) > 0
	},
	"none": func(e *editor) (x edited, ok bool) { return x, true },
}

func (e *editor) isOutput(v string) bool {
	return slices.ContainsFunc(e.Graph.Outputs, func(o onnx.ValueInfo) bool { return o.Name == v })
}

// disguise renames all inner values and nodes, and writes the nodes in another order.
func disguise(m *onnx.Model, r *rand.Rand) {
	keep := map[string]bool{"": true}
	for _, v := range slices.Concat(m.Graph.Inputs, m.Graph.Outputs) {
		keep[v.Name] = true
	}
	names := map[string]string{}
	numbers := r.Perm(1 << 20)
	rename(m.Graph, func(v string) string {
		if keep[v] {
			return v
		}
		if names[v] == "" {
			names[v] = fmt.Sprint("v", numbers[len(names)])
		}
		return names[v]
	})
	m.Graph.Values = nil
	maker, waits, readers := map[string]int{}, make([]int, len(m.Graph.Nodes)), map[int][]int{}
	for i, n := range m.Graph.Nodes {
		for _, v := range n.Outputs {
			maker[v] = i
		}
	}
	var ready []int
	for i, n := range m.Graph.Nodes {
		for _, v := range taken(n) {
			if from, ok := maker[v]; ok && v != "" {
				waits[i]++
				readers[from] = append(readers[from], i)
			}
		}
		if waits[i] == 0 {
			ready = append(ready, i)
		}
	}
	var nodes []*onnx.Node
	for len(ready) > 0 {
		k := r.IntN(len(ready))
		i := ready[k]
		ready[k] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		nodes = append(nodes, m.Graph.Nodes[i])
		for _, j := range readers[i] {
			if waits[j]--; waits[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	m.Graph.Nodes = nodes
	for i, n := range m.Graph.Nodes {
		if n.Name != "extra" {
			n.Name = fmt.Sprint("n", i)
		}
	}
	r.Shuffle(len(m.Graph.Initializers), func(i, j int) {
		m.Graph.Initializers[i], m.Graph.Initializers[j] = m.Graph.Initializers[j], m.Graph.Initializers[i]
	})
}

// taken returns what a node reads, also in subgraphs.
func taken(n *onnx.Node) []string {
	all := slices.Clone(n.Inputs)
	for _, a := range n.Attributes {
		if a.Graph != nil {
			for _, inner := range a.Graph.Nodes {
				all = append(all, taken(inner)...)
			}
			for _, out := range a.Graph.Outputs {
				all = append(all, out.Name)
			}
		}
	}
	return all
}

func rename(g *onnx.Graph, to func(string) string) {
	for _, list := range [][]onnx.ValueInfo{g.Inputs, g.Outputs} {
		for i := range list {
			list[i].Name = to(list[i].Name)
		}
	}
	for _, t := range g.Initializers {
		t.Name = to(t.Name)
	}
	for _, n := range g.Nodes {
		for i := range n.Inputs {
			n.Inputs[i] = to(n.Inputs[i])
		}
		for i := range n.Outputs {
			n.Outputs[i] = to(n.Outputs[i])
		}
		for _, a := range n.Attributes {
			if a.Graph != nil {
				rename(a.Graph, to)
			}
		}
	}
}
