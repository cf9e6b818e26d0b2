package foreign

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
)

// checkHead rejects a file whose logits or token embedding come from another
// table, if the network shares one table between head and embedding. Table
// names prove nothing, so it traces the graph back from the logits and forward
// from the ids.
func checkHead(path string, m *onnx.Model, c *model.Checkpoint) error {
	name, tied := huggingface.TiedHead(c)
	if !tied {
		return nil
	}
	embedding := c.Weights[slices.IndexFunc(c.Weights, func(t format.Tensor) bool { return t.Name == name })]
	flow := newFlow(m.Graph)
	head, err := flow.head()
	if err != nil {
		return fmt.Errorf("%s: %w: cannot tell whether the head is the token embedding", path, err)
	}
	if head.name == "" {
		return fmt.Errorf("%s: the head is computed, not an initializer: cannot tell whether it is the token embedding", path)
	}
	same, err := flow.equal(path, head, embedding)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%s: initializer %.80q gives the logits and differs from the token embedding: its configuration makes them one: set tie_word_embeddings to false in config.json if the model has a separate head", path, head.name)
	}
	tables, err := flow.tables()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, table := range tables {
		if same, err := flow.equal(path, table, embedding); err != nil || !same {
			if err == nil {
				err = fmt.Errorf("%s: ids are looked up in initializer %.80q, which differs from %s: the model's embedding and head differ", path, table.name, name)
			}
			return err
		}
	}
	return nil
}

// flow traces values through a graph.
type flow struct {
	graph        *onnx.Graph
	producers    map[string]*onnx.Node
	initializers map[string]*onnx.Tensor
}

func newFlow(g *onnx.Graph) flow {
	f := flow{g, map[string]*onnx.Node{}, map[string]*onnx.Tensor{}}
	for _, n := range g.Nodes {
		for _, out := range n.Outputs {
			f.producers[out] = n
		}
	}
	for _, t := range g.Initializers {
		f.initializers[t.Name] = t
	}
	return f
}

// matrix is an initializer, possibly transposed. An empty name means none.
type matrix struct {
	name       string
	transposed bool
}

// reshaping lists the operators that change type, shape or order of their
// first input, but no element.
var reshaping = []string{"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather"}

// head returns the matrix (C,V) that multiplies the last hidden states to give
// the logits.
func (f flow) head() (matrix, error) {
	if len(f.graph.Outputs) == 0 {
		return matrix{}, fmt.Errorf("it has no outputs")
	}
	value := f.graph.Outputs[0].Name
	for _, o := range f.graph.Outputs {
		if o.Name == role.Logits.Name() {
			value = o.Name
		}
	}
	for range f.graph.Nodes {
		n := f.producers[value]
		switch {
		case n == nil || len(n.Inputs) == 0:
			return matrix{}, fmt.Errorf("no node gives the logits")
		case slices.Contains(reshaping, n.Op):
			value = n.Inputs[0]
		case plainProduct(n):
			m := f.source(n.Inputs[1])
			if intOf(n, "transB") != 0 {
				m.transposed = !m.transposed
			}
			return m, nil
		default:
			return matrix{}, fmt.Errorf("a node %s gives the logits, expected a plain product with the head", n.Op)
		}
	}
	return matrix{}, fmt.Errorf("its nodes form a cycle")
}

// plainProduct reports whether a node only multiplies two matrices.
func plainProduct(n *onnx.Node) bool {
	switch n.Op {
	case "MatMul":
		return len(n.Inputs) == 2
	case "Gemm":
		return (len(n.Inputs) == 2 || len(n.Inputs) == 3 && n.Inputs[2] == "") && floatOf(n, "alpha", 1) == 1 && intOf(n, "transA") == 0
	case "FusedMatMul":
		return len(n.Inputs) == 2 && floatOf(n, "alpha", 1) == 1 && intOf(n, "transA") == 0 && intOf(n, "transBatchA") == 0 && intOf(n, "transBatchB") == 0
	}
	return false
}

// maxSteps bounds the nodes between a product and its initializer, such as
// Transpose and Cast.
const maxSteps = 16

// source returns the initializer that value comes from.
func (f flow) source(value string) (m matrix) {
	for range maxSteps {
		if _, ok := f.initializers[value]; ok {
			m.name = value
			return m
		}
		n := f.producers[value]
		switch {
		case n == nil || len(n.Inputs) == 0:
			return matrix{}
		case n.Op == "Transpose":
			m.transposed = !m.transposed
		case n.Op != "Identity" && n.Op != "Cast":
			return matrix{}
		}
		value = n.Inputs[0]
	}
	return matrix{}
}

// maxTables bounds the tables in which ids are looked up; a network has one.
const maxTables = 8

// tables returns, as matrices (C,V), the initializers in which input_ids, cast
// or reshaped, are looked up.
func (f flow) tables() (out []matrix, err error) {
	ids := map[string]bool{role.Tokens.Name(): true}
	for _, n := range f.graph.Nodes { // in topological order
		if len(n.Inputs) == 0 {
			continue
		}
		if slices.Contains(reshaping, n.Op) && ids[n.Inputs[0]] {
			for _, o := range n.Outputs {
				ids[o] = true
			}
		}
		if n.Op != "Gather" || len(n.Inputs) != 2 || !ids[n.Inputs[1]] {
			continue
		}
		m := f.source(n.Inputs[0])
		if m.transposed = !m.transposed; m.name == "" {
			return nil, fmt.Errorf("ids are looked up in %.80q, which is computed: cannot tell whether it is the token embedding", n.Inputs[0])
		}
		if slices.Contains(out, m) {
			continue
		}
		if out = append(out, m); len(out) > maxTables {
			return nil, fmt.Errorf("ids are looked up in more than %d tables, the network has one", maxTables)
		}
	}
	return out, nil
}

// equal reports whether a matrix (C,V) is the transposed token embedding
// (V,C), bit for bit in float32.
func (f flow) equal(path string, m matrix, embedding format.Tensor) (bool, error) {
	t, _, err := load(path, f.initializers[m.name])
	if err != nil {
		return false, err
	}
	v, c := embedding.Shape[0], embedding.Shape[1]
	if m.transposed {
		return slices.Equal(t.Shape, []int{v, c}) && bytes.Equal(t.Data, embedding.Data), nil
	}
	if !slices.Equal(t.Shape, []int{c, v}) {
		return false, nil
	}
	const size = 4 // bytes of a float32
	for row := range v {
		for column := range c {
			a, b := t.Data[(column*v+row)*size:], embedding.Data[(row*c+column)*size:]
			if !bytes.Equal(a[:size], b[:size]) {
				return false, nil
			}
		}
	}
	return true, nil
}

func attributeOf(n *onnx.Node, name string) *onnx.Attribute {
	if i := slices.IndexFunc(n.Attributes, func(a onnx.Attribute) bool { return a.Name == name }); i >= 0 {
		return &n.Attributes[i]
	}
	return nil
}

func intOf(n *onnx.Node, name string) int64 {
	if a := attributeOf(n, name); a != nil {
		return a.Int
	}
	return 0
}

func floatOf(n *onnx.Node, name string, absent float32) float32 {
	if a := attributeOf(n, name); a != nil {
		return a.Float
	}
	return absent
}
