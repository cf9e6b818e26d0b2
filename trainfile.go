package attnx

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
)

// fileArch is the architecture of a model that is the graph of an ONNX file.
const fileArch = "onnx-file"

// trainable is the graph of an ONNX file as a model to train.
type trainable struct {
	model  *model.Checkpoint
	freeze []string // patterns of what is not trained by default

	names map[string]string // of the file's nodes, by their results

	doubtful []string // numbers that may be parameters or constants: they are not trained

	batchMoments bool // the file's BatchNormalization normalizes with the moments of the batch
}

// readTrainable reads an ONNX file of any tool as a graph. sizes are those of a
// batch, for a file whose graph depends on them, and freeze the patterns of what is
// not trained: !NAME trains a number that may be a constant.
func readTrainable(path string, sizes func(x *ONNX) map[string]int, freeze []string, tell Tell) (*trainable, error) {
	x, err := readONNX(path)
	if err != nil {
		return nil, err
	}
	uses := read.Uses(x.File)
	o := read.Options{Dir: filepath.Dir(x.Path), Training: true, Learned: map[string]bool{}}
	for name := range uses {
		for _, pattern := range freeze {
			if rest, thaw := strings.CutPrefix(pattern, "!"); thaw && rest != "*" {
				fits, _ := train.Match(rest, name)
				o.Learned[name] = o.Learned[name] || fits
			}
		}
	}
	r, err := read.Model(x.File, o)
	if open := (*read.OpenError)(nil); errors.As(err, &open) {
		o.Sizes = sizes(x)
		r, err = read.Model(x.File, o)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.Path, err)
	}
	if r.Graph, err = graph.EightBits(r.Graph); err != nil {
		return nil, fmt.Errorf("%s: %w", x.Path, err)
	}
	for i, p := range r.Graph.Params {
		if r.Weights[i].DType != p.DType {
			r.Weights[i] = graph.Widened(r.Weights[i])
		}
		if !p.DType.Stored() {
			return nil, fmt.Errorf("%s: weight %.80q is %s, which a run's checkpoints cannot keep: quantize the model to 8 bits, or with ONNX Runtime's MatMulNBits (QuantFormat.QOperator)", x.Path, p.Name, p.DType)
		}
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
	out := &trainable{model: c, batchMoments: r.BatchMoments, names: map[string]string{}}
	for _, n := range x.File.Graph.Nodes {
		for _, v := range n.Outputs {
			out.names[v] = n.Name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(uses)) {
		if uses[name] == read.Doubtful && !o.Learned[name] {
			out.doubtful = append(out.doubtful, name)
		}
	}
	return out, out.constants(x.Path, uses)
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

// ThawNumber is the advice for a number that may be a parameter or a constant.
const ThawNumber = "Freeze takes !NAME for one that is learned"

// tokenizerOf reads the tokenizer of a model. How many ids the graph of an ONNX
// file takes is not known.
func tokenizerOf(path string, c *model.Checkpoint) (*tokens.Tokenizer, error) {
	if c.Arch == fileArch && len(c.Tokenizer) > 0 {
		return tokens.Parse(c.Tokenizer)
	}
	return find.Tokenizer(path, c.Tokenizer, c)
}

// constants finds what no optimizer should change: integers, the running moments
// of batches, numbers of nodes, and what is no parameter.
func (t *trainable) constants(path string, uses map[string]read.Use) error {
	moments, trained := map[*graph.Value]bool{}, map[*graph.Value]bool{}
	for _, n := range t.model.Graph.Nodes {
		_, normalizes := n.Op.(graph.BatchNormalization)
		for i, a := range n.Args {
			a = a.Origin()
			if normalizes && i >= 3 {
				moments[a] = true
			} else if n.Op != graph.Identity {
				trained[a] = true
			}
		}
	}
	half := ""
	for _, p := range t.model.Graph.Params {
		switch {
		case p.DType == format.Float16 || p.DType == format.BFloat16 || p.DType == format.Float64:
			half = p.Name
		case p.DType != format.Float32, uses[p.Name] != read.Parameter, moments[p] && !trained[p]:
		default:
			continue
		}
		t.freeze = append(t.freeze, literal(p.Name))
	}
	if len(t.freeze) < len(t.model.Graph.Params) {
		return nil
	}
	if half != "" {
		return fmt.Errorf("%s: its weights, such as %.80q, are not float32: convert the file to float32 first", path, half)
	}
	if integers, _ := graph.Integers(t.model.Graph); !integers { // an adapter is trained over integers
		return fmt.Errorf("%s: none of its weights can be trained: they are integers or constants", path)
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
