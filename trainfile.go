package attnx

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
)

// fileArch is the architecture of a model that is the graph of an ONNX file.
const fileArch = "onnx-file"

// trainable is the graph of an ONNX file as a model to train.
type trainable struct {
	model  *model.Checkpoint
	freeze []string // patterns of what is not trained by default
}

// readTrainable reads an ONNX file of any tool as a graph. sizes are those of a
// batch, for a file whose graph depends on them.
func readTrainable(path string, sizes func(x *ONNX) map[string]int, tell Tell) (*trainable, error) {
	x, err := readONNX(path)
	if err != nil {
		return nil, err
	}
	r, err := read.Model(x.File, read.Options{Dir: filepath.Dir(x.Path)})
	if open := (*read.OpenError)(nil); errors.As(err, &open) {
		r, err = read.Model(x.File, read.Options{Dir: filepath.Dir(x.Path), Sizes: sizes(x)})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.Path, err)
	}
	c := &model.Checkpoint{Arch: fileArch, Config: []byte(`{"model_type":"` + fileArch + `"}`), Graph: r.Graph, Weights: model.Weights(r.Weights).Clone()}
	if _, at, err := find.TokenizerNear(x.Path, x.File); err == nil {
		if t, _, err := find.TokenizerAt(at, tell); err == nil {
			if c.Tokenizer, err = t.MarshalJSON(); err != nil {
				return nil, err
			}
		}
	}
	takeRoles(r.Graph)
	out := &trainable{model: c}
	return out, out.constants(x)
}

// takeRoles gives the inputs for texts and the logits the roles that their names
// stand for.
func takeRoles(g *graph.Graph) {
	for _, in := range g.Inputs {
		r, ok := role.FromName(in.Name)
		if ok && slices.Contains([]role.Kind{role.Tokens, role.AttentionMask, role.Positions, role.Segments}, r.Kind) && in.DType == format.Int64 && len(in.Shape) == 2 {
			in.Node.Op = graph.Input{Role: r}
		}
	}
	for i, o := range g.Outputs {
		if o.Name == role.Logits.Name() {
			g.Outputs[i].Role = role.Of(role.Logits)
		}
	}
}

// tokenizerOf reads the tokenizer of a model. How many ids the graph of an ONNX
// file takes is not known.
func tokenizerOf(path string, c *model.Checkpoint) (*tokens.Tokenizer, error) {
	if c.Arch == fileArch && len(c.Tokenizer) > 0 {
		return tokens.Parse(c.Tokenizer)
	}
	return find.Tokenizer(path, c.Tokenizer, c)
}

// constants finds what no optimizer should change: integers, the running moments
// of batches, numbers of nodes, and single numbers that are no bias.
func (t *trainable) constants(x *ONNX) error {
	initializers := map[string]*onnx.Tensor{}
	for _, i := range x.File.Graph.Initializers {
		initializers[i.Name] = i
	}
	keep := map[*graph.Value]bool{} // biases of one element
	moments := map[*graph.Value]bool{}
	for _, n := range t.model.Graph.Nodes {
		if _, ok := n.Op.(graph.BatchNormalization); ok {
			moments[n.Args[3]], moments[n.Args[4]] = true, true
		}
		for i, a := range n.Args {
			product := i > 0 && slices.Contains([]string{"Gemm", "Conv", "ConvTranspose"}, n.Op.Name())
			if n.Op.Name() == "Add" {
				other := n.Args[1-i]
				product = !other.Leaf() && slices.Contains([]string{"MatMul", "Gemm", "Conv"}, other.Op().Name())
			}
			keep[a] = keep[a] || product
		}
	}
	half := ""
	for i, p := range t.model.Graph.Params {
		w := t.model.Weights[i]
		switch {
		case p.DType == format.Float16 || p.DType == format.BFloat16 || p.DType == format.Float64:
			half = p.Name
		case p.DType != format.Float32, initializers[p.Name] == nil, moments[p], w.Elements() == 1 && !keep[p]:
		default:
			continue
		}
		t.freeze = append(t.freeze, literal(p.Name))
	}
	if len(t.freeze) == len(t.model.Graph.Params) {
		if half != "" {
			return fmt.Errorf("%s: its weights, such as %.80q, are not float32: convert the file to float32 first", x.Path, half)
		}
		return fmt.Errorf("%s: none of its weights can be trained: they are integers or constants", x.Path)
	}
	return nil
}

// literal returns the pattern that only a name itself matches.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// batchSizes returns the sizes of a file's named dimensions for a batch of texts
// or other examples: the first of each input is the batch, the second of one of
// tokens their number.
func batchSizes(batch, length int) func(x *ONNX) map[string]int {
	return func(x *ONNX) map[string]int {
		sizes := map[string]int{}
		for _, v := range x.inputs {
			if len(v.Shape) > 0 && v.Shape[0].Name != "" {
				sizes[v.Shape[0].Name] = batch
			}
			if r, ok := role.FromName(v.Name); ok && r.Kind != role.None && len(v.Shape) > 1 && v.Shape[1].Name != "" {
				sizes[v.Shape[1].Name] = length
			}
		}
		return sizes
	}
}

// checkSizes refuses batches that a graph of fixed sizes cannot compute.
func checkSizes(path string, g *graph.Graph, batch int) error {
	for _, in := range g.Inputs {
		if len(in.Shape) == 0 {
			continue
		}
		if n, fixed := in.Shape[0].Number(); fixed && n != batch {
			return &Error{Option: "Batch", Value: fmt.Sprint(batch), Err: fmt.Errorf("%s: its input %.60q has the shape %s: the file computes %d at once, so take %d, or export it with a size that is open", path, in.Name, in.Shape, n, n)}
		}
	}
	return nil
}

// inputNames lists the inputs of a graph for a message.
func inputNames(g *graph.Graph) string {
	var names []string
	for _, in := range g.Inputs {
		names = append(names, fmt.Sprintf("%s %s", quote.Line(in.Name, 60), in.Type))
	}
	return strings.Join(names, ", ")
}
