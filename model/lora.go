package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// LoRA is an adapter: changes of low rank of some weights, beside the weights
// (arXiv:2106.09685). Its matrices are weights of the checkpoint.
type LoRA struct {
	Rank    int      `json:"rank"`
	Alpha   float64  `json:"alpha"`   // the change is multiplied by Alpha/Rank
	Targets []string `json:"targets"` // names of the weights that it changes
}

// LoRAError reports an adapter that a network cannot have.
type LoRAError struct{ Reason string }

func (e *LoRAError) Error() string { return e.Reason }

// IntegersError reports an adapter that cannot be added to a weight: it is one of integers
// in the form of an ONNX file.
type IntegersError struct{ Weight string }

func (e *IntegersError) Error() string {
	return fmt.Sprintf("weight %.80q is integers in the form of its ONNX file, to which no adapter can be added", e.Weight)
}

// metaLoRA is the metadata with the adapter of a checkpoint.
const metaLoRA = "attnx.lora"

// The ends of the names of an adapter's matrices, as in PEFT.
const (
	loraA = ".lora_A.weight"
	loraB = ".lora_B.weight"
)

// maxRank bounds the rank of an adapter.
const maxRank = 1 << 16

// Names returns the names of the matrices A (rank,in) and B (out,rank) that
// change a weight.
func (*LoRA) Names(weight string) (a, b string) {
	base := strings.TrimSuffix(weight, ".weight")
	return base + loraA, base + loraB
}

// Scale returns the factor of the changes.
func (l *LoRA) Scale() float64 { return l.Alpha / float64(l.Rank) }

// check refuses numbers that mean nothing.
func (l *LoRA) check() error {
	switch {
	case l.Rank < 1 || l.Rank > maxRank:
		return &LoRAError{fmt.Sprintf("an adapter of rank %d: take 1 to %d", l.Rank, maxRank)}
	case !(l.Alpha > 0) || math.IsInf(l.Alpha, 0):
		return &LoRAError{fmt.Sprintf("an adapter with alpha %g: take a positive number", l.Alpha)}
	}
	return nil
}

func (l *LoRA) changes() []graph.LowRank {
	all := make([]graph.LowRank, len(l.Targets))
	for i, w := range l.Targets {
		a, b := l.Names(w)
		all[i] = graph.LowRank{Weight: w, A: a, B: b, Rank: l.Rank, Scale: l.Scale()}
	}
	return all
}

// apply returns a graph with the adapter.
func (l *LoRA) apply(g *graph.Graph) (*graph.Graph, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	return graph.AddLowRank(l.changes())(g)
}

// WithLoRA returns the model with a new adapter of the rank. It changes the
// weights whose names match a pattern (of path.Match, where * matches / too);
// without patterns, all matrices of products but that of the logits. A is drawn
// from the seed and B is 0, so at first nothing changes.
func (c *Checkpoint) WithLoRA(rank int, alpha float64, patterns []string, seed uint64) (*Checkpoint, error) {
	if c.LoRA != nil {
		return nil, &LoRAError{"the model has an adapter already: merge it first"}
	}
	l := &LoRA{Rank: rank, Alpha: alpha}
	if err := l.check(); err != nil {
		return nil, err
	}
	matrices := graph.Factors(c.Graph)
	used := make([]bool, len(patterns))
	for _, f := range matrices {
		p := f.Weight
		chosen := len(patterns) == 0 && !givesLogits(c.Graph, p)
		for i, pattern := range patterns {
			const other = "\x00" // path.Match's * stops at a slash
			ok, err := path.Match(strings.ReplaceAll(pattern, "/", other), strings.ReplaceAll(p.Name, "/", other))
			if err != nil {
				return nil, &LoRAError{fmt.Sprintf("%.80q is no pattern: take * for any characters, ? for one, [a-z] for one of several", pattern)}
			}
			if ok {
				chosen, used[i] = true, true
			}
		}
		if !chosen {
			continue
		}
		if bits, _ := p.DType.Integer(); bits == 0 && p.DType != format.Float32 {
			return nil, &LoRAError{fmt.Sprintf("weight %.80q is %s: an adapter changes float32: convert the model to float32 first", p.Name, p.DType)}
		}
		if n, _ := p.Shape.Numbers(); rank > min(n[0], n[1]) {
			return nil, &LoRAError{fmt.Sprintf("rank %d is more than weight %.80q %s has: take a smaller rank, or other weights", rank, p.Name, p.Shape)}
		}
		l.Targets = append(l.Targets, p.Name)
	}
	if i := slices.Index(used, false); i >= 0 {
		return nil, &LoRAError{fmt.Sprintf("%.80q: no matrix of a product has such a name: they are %s", patterns[i], someOf(matrices))}
	}
	if len(l.Targets) == 0 {
		if slices.ContainsFunc(c.Graph.Nodes, func(n *graph.Node) bool { _, ok := n.Op.(graph.Requantize); return ok }) {
			return nil, &LoRAError{"its products are rounded to integers again (as QLinearMatMul and QGemm do), so an adapter has no place beside them: quantize the file with QuantizeLinear and DequantizeLinear (QDQ), or dynamically"}
		}
		return nil, &LoRAError{"the network has no matrices of products to change"}
	}
	return c.withMatrices(l, func(p *graph.Value, shape []int) format.Tensor {
		x := make([]float32, shape[0]*shape[1])
		if strings.HasSuffix(p.Name, loraA) { // with the variance of PEFT's
			NewStream(seed, p.Name).FillNormal(x, 1/math.Sqrt(3*float64(shape[1])))
		}
		return format.FromFloat32s(p.Name, shape, x)
	})
}

// WithAdapter returns the model with an adapter and its matrices, by name.
func (c *Checkpoint) WithAdapter(l *LoRA, matrices map[string]format.Tensor) (*Checkpoint, error) {
	if c.LoRA != nil {
		return nil, &LoRAError{"the model has an adapter already: merge it first"}
	}
	out, err := c.withMatrices(l, func(p *graph.Value, _ []int) format.Tensor { return matrices[p.Name] })
	if err != nil {
		return nil, err
	}
	return out, out.Weights.Check(out.Graph)
}

// withMatrices returns the model with an adapter, whose matrices get returns.
func (c *Checkpoint) withMatrices(l *LoRA, get func(p *graph.Value, shape []int) format.Tensor) (*Checkpoint, error) {
	g, err := l.apply(c.Graph)
	if err != nil {
		return nil, err
	}
	out := *c
	out.Graph, out.LoRA, out.Weights = g, l, nil
	for _, p := range g.Params {
		if i := slices.IndexFunc(c.Weights, func(w format.Tensor) bool { return w.Name == p.Name }); i >= 0 {
			out.Weights = append(out.Weights, c.Weights[i])
			continue
		}
		shape, _ := p.Shape.Numbers()
		out.Weights = append(out.Weights, get(p, shape))
	}
	return &out, nil
}

// someOf lists matrices for a message.
func someOf(matrices []graph.Factor) string {
	const most = 6
	var names []string
	for _, f := range matrices {
		names = append(names, quote.Line(f.Weight.Name, 60))
	}
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// GivesLogits reports whether a weight is a factor of the product that is the
// logits.
func (c *Checkpoint) GivesLogits(weight string) bool {
	w := c.Graph.Lookup(weight)
	return w != nil && givesLogits(c.Graph, w)
}

// givesLogits reports whether a weight is a factor of the product that is the
// logits.
func givesLogits(g *graph.Graph, w *graph.Value) bool {
	o, ok := g.Output(role.Of(role.Logits))
	if !ok {
		return false
	}
	v, integers := o.Value, graph.IntegerFactors(g)
	for range 8 { // past biases and changes of the shape
		args := v.Args()
		if len(args) == 0 {
			return false
		}
		if x := integers[v]; x != nil {
			return x == w
		}
		if name := v.Op().Name(); name == "MatMul" || name == "Gemm" {
			x := args[1]
			return x == w || len(x.Args()) == 1 && x.Args()[0] == w
		}
		v = args[max(0, slices.IndexFunc(args, func(a *graph.Value) bool { return !a.Leaf() }))]
	}
	return false
}

// Merged returns the model with the changes of its adapter added to the weights,
// and without the adapter.
func (c *Checkpoint) Merged() (*Checkpoint, error) {
	l := c.LoRA
	if l == nil {
		return nil, &LoRAError{"the model has no adapter to merge"}
	}
	if err := c.Merges(); err != nil {
		return nil, err
	}
	c, err := c.Expanded()
	if err != nil {
		return nil, err
	}
	plain, err := graph.RemoveLowRank(l.changes())(c.Graph)
	if err != nil {
		return nil, err
	}
	byName := map[string]format.Tensor{}
	for _, w := range c.Weights {
		byName[w.Name] = w
	}
	swapped := graph.Matrices(plain)
	out := *c
	out.Graph, out.LoRA, out.Weights, out.Train, out.Seal = plain, nil, nil, nil, nil
	for _, p := range plain.Params {
		w, ok := byName[p.Name]
		if !ok {
			return nil, fmt.Errorf("model: weight %.80q is missing", p.Name)
		}
		if slices.Contains(l.Targets, p.Name) {
			a, b := l.Names(p.Name)
			if w, err = changed(w, byName[a], byName[b], l, swapped[p.Name]); err != nil {
				return nil, err
			}
		}
		out.Weights = append(out.Weights, w)
	}
	return &out, out.Weights.Check(plain)
}

// Merges returns nil if the changes of the adapter can be added to the weights, and why not
// otherwise.
func (c *Checkpoint) Merges() error {
	for _, name := range c.LoRA.Targets {
		w := c.Graph.Lookup(name)
		expands := slices.ContainsFunc(c.LowBits, func(l graph.LowBits) bool { return l.Weight == name })
		if !expands && (w == nil || !w.Leaf() || w.DType != format.Float32) {
			return &IntegersError{name}
		}
	}
	return nil
}

// changed returns w plus the product of b and a, in the layout of w.
func changed(w, a, b format.Tensor, l *LoRA, outIn bool) (format.Tensor, error) {
	x, errW := w.Float32s()
	p, errA := a.Float32s()
	q, errB := b.Float32s()
	if err := errors.Join(errW, errA, errB); err != nil {
		return w, err
	}
	in, out := a.Shape[1], b.Shape[0]
	sum := make([]float32, len(x))
	each(out, func(o int) {
		row := make([]float64, in)
		for r := range l.Rank {
			f := float64(q[o*l.Rank+r])
			for i := range row {
				row[i] += f * float64(p[r*in+i])
			}
		}
		for i, d := range row {
			k := i*out + o
			if outIn {
				k = o*in + i
			}
			sum[k] = float32(float64(x[k]) + l.Scale()*d)
		}
	})
	return format.FromFloat32s(w.Name, w.Shape, sum), nil
}

// parseLoRA reads the adapter in metadata; nil if there is none.
func parseLoRA(meta map[string]string) (*LoRA, error) {
	text, ok := meta[metaLoRA]
	if !ok {
		return nil, nil
	}
	l := &LoRA{}
	if err := json.Unmarshal([]byte(text), l); err != nil {
		return nil, fmt.Errorf("model: %s: %w", metaLoRA, err)
	}
	return l, l.check()
}

// addLoRA adds the adapter, if there is one, to metadata.
func (c *Checkpoint) addLoRA(meta map[string]string) error {
	if c.LoRA == nil {
		return nil
	}
	text, err := json.Marshal(c.LoRA)
	meta[metaLoRA] = string(text)
	return err
}
