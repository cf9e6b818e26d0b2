package attnx

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// LayerLosses is what rounding each weight to integers does to a model's logits, as
// predicted from gradients and as measured, on a text. The activations keep their
// precision. The prediction is of first order: the change of a logit is Σ ∂logit/∂w · Δw over
// the elements w of a weight, with the sign and size of each rounding Δw.
type LayerLosses struct {
	Layers []LayerLoss `json:"layers"`
	All    LayerLoss   `json:"all"` // the weights together, as they were written
	Tokens int         `json:"tokens"`
	Draws  int         `json:"draws"` // of the gradient, each of a random combination of logits
	Limit  *float64    `json:"limit"` // of the predicted divergence of all; null if none was asked for
	// Logit is the logit that the weights together change most, and each layer's part
	// in that.
	Logit LogitLoss `json:"logit"`

	fewest int // bits of a weight
}

// LayerLoss is the loss by one weight.
type LayerLoss struct {
	Weight    string     `json:"weight"`
	Bits      int        `json:"bits"` // in the file; 32: it is left as it is
	Predicted LossEffect `json:"predicted"`
	Measured  LossEffect `json:"measured"`
}

// LossEffect is a change of the logits.
type LossEffect struct {
	Logits     float64 `json:"logits"`          // root mean square of the changes of all logits
	Divergence float64 `json:"divergence_nats"` // mean KL(exact ‖ rounded) of the next tokens
}

// LogitLoss attributes the change of one logit to weights.
type LogitLoss struct {
	Place     string      `json:"place"` // such as "logits[0,3,17]" of a sequence
	Sequence  int         `json:"sequence"`
	Predicted float64     `json:"predicted"`
	Measured  float64     `json:"measured"`
	Parts     []LogitPart `json:"parts"` // predicted, with their signs; the largest first
}

// LogitPart is the part of one weight.
type LogitPart struct {
	Weight string  `json:"weight"`
	Change float64 `json:"change"`
}

// lossSequence is the number of tokens of a sequence.
const lossSequence = 32

// largeNetwork is the number of parameters from which on fewer sequences are measured: each
// weight costs a run of all of them.
const largeNetwork = 10_000_000

// drawsFor returns the number of draws for a network of some size. The estimates are off
// by √(2/draws) of themselves. A draw costs two forward and backward passes over
// a sequence.
func drawsFor(parameters int) int { return min(512, max(24, 100_000_000/max(1, parameters))) }

// lossPredictor predicts and measures what rounding weights does.
type lossPredictor struct {
	checkpoint *model.Checkpoint
	layers     []precision.Layer
	index      []int               // of each layer's weight among the checkpoint's
	changes    [][][]float32       // by layer and choice: the rounding of each element; nil: none
	sequences  [][]int64           // of equal length
	exact      [][]float64         // by sequence: the logits (T,V)
	signs, own [][]([]float64)     // by draw, layer and choice: effect on a combination of logits; own: drawn so that its mean square is the divergence
	steps      map[int]*ref.Oracle // gradient graphs by length
	vocab      int
	draws      int
}

// newLossPredictor prepares the prediction for a profile on sequences of ids.
func newLossPredictor(c *model.Checkpoint, p export.Profile, sequences [][]int64) (*lossPredictor, error) {
	if _, ok := c.Graph.Output(role.Of(role.Logits)); !ok || c.Graph.Input(role.Of(role.Tokens)) == nil {
		return nil, &OptionError{Option: "Keep", Reason: ": the network has no text or no logits, so its loss by layer is undefined: leave it out"}
	}
	n, err := c.Parameters()
	if err != nil {
		return nil, err
	}
	x := &lossPredictor{checkpoint: c, draws: drawsFor(n)}
	if x.layers, err = export.Layers(c.Graph, c.Weights, p); err != nil {
		return nil, err
	}
	for _, l := range x.layers {
		i := slices.IndexFunc(c.Weights, func(t format.Tensor) bool { return t.Name == l.Name })
		if i < 0 || c.Weights[i].DType != format.Float32 {
			return nil, fmt.Errorf("export: the weight %.80q is none of the checkpoint's in float32: its loss cannot be predicted", l.Name)
		}
		x.index = append(x.index, i)
		w, err := c.Weights[i].Float32s()
		if err != nil {
			return nil, err
		}
		var changes [][]float32
		for _, choice := range l.Choices {
			var d []float32
			if choice.Values != nil {
				d = make([]float32, len(w))
				for k := range d {
					d[k] = choice.Values[k] - w[k] // exact: both are close (Sterbenz), or the result is rounded by 2^-24
				}
			}
			changes = append(changes, d)
		}
		x.changes = append(x.changes, changes)
	}
	most, length := x.draws, lossSequence
	if context := c.Context(); context > 0 {
		length = min(length, context)
	}
	if n > largeNetwork {
		most = 8
	}
	for _, s := range sequences { // pieces of equal length: one gradient graph serves all
		for len(s) >= 2 && len(x.sequences) < most {
			n := min(len(s), length)
			if len(x.sequences) > 0 && n != len(x.sequences[0]) {
				break
			}
			x.sequences, s = append(x.sequences, s[:n]), s[n:]
		}
	}
	if len(x.sequences) == 0 {
		return nil, fmt.Errorf("export: a text of one token predicts nothing: give a longer one")
	}
	x.exact, err = x.logits(c.Weights)
	return x, err
}

// logits returns the logits of all sequences with the given weights.
func (x *lossPredictor) logits(weights []format.Tensor) (all [][]float64, err error) {
	o, err := ref.New(x.checkpoint.Graph, weights)
	if err != nil {
		return nil, err
	}
	for _, s := range x.sequences {
		k := runtime.Case{Batch: 1, Length: len(s), IDs: s}
		out, err := o.Run(k.Inputs())
		if err != nil {
			return nil, err
		}
		z, err := out[role.Of(role.Logits).Name()].Float64s()
		if err != nil || len(z) == 0 || len(z)%len(s) != 0 {
			return nil, fmt.Errorf("export: %d logits for %d tokens: the loss by layer is of a network that predicts each next token (%v)", len(z), len(s), err)
		}
		x.vocab = len(z) / len(s)
		all = append(all, slices.Clone(z))
	}
	return all, nil
}

// combined is the input of the gradient graph: the factor of each logit.
const combined = "attnx.combined"

// gradient returns the oracle of the graph that has Σ factor·logit over the logits of a
// sequence, and its gradient by each weight.
func (x *lossPredictor) gradient(length int) (*ref.Oracle, error) {
	c := x.checkpoint
	b := graph.Extend(c.Graph)
	out, _ := c.Graph.Output(role.Of(role.Logits))
	logits := out.Value
	axes := make([]int, len(logits.Shape))
	for i := range axes {
		axes[i] = i
	}
	loss := role.Of(role.Loss)
	b.OutputFor(loss, b.Name(loss.Name(), b.ReduceSum(b.Mul(logits, b.Input(combined, logits.DType, logits.Shape...)), false, axes...)))
	g, err := b.Graph()
	if err != nil {
		return nil, err
	}
	if g, err = graph.Select(loss.Name())(g); err != nil {
		return nil, err
	}
	k := runtime.Case{Batch: 1, Length: length, IDs: make([]int64, length)}
	shapes := map[string][]int{combined: {1, length, x.vocab}}
	for name, t := range k.Inputs() {
		shapes[name] = t.Shape
	}
	sizes, err := g.BindInputs(shapes)
	if err != nil {
		return nil, err
	}
	g, err = graph.Apply(g, graph.SliceRanges, graph.Bind(sizes), graph.Grad(loss.Name()), graph.Merge)
	if err != nil {
		return nil, err
	}
	var wanted []string
	for _, l := range x.layers {
		wanted = append(wanted, role.GradientOf(l.Name).Name())
	}
	if g, err = graph.Select(wanted...)(g); err != nil {
		return nil, err
	}
	var weights []format.Tensor // those that a gradient depends on
	for _, p := range g.Params {
		i := slices.IndexFunc(c.Weights, func(t format.Tensor) bool { return t.Name == p.Name })
		weights = append(weights, c.Weights[i])
	}
	return ref.New(g, weights)
}

// effects returns, by layer and choice, the first-order change of Σ factor·logit of a
// sequence.
func (x *lossPredictor) effects(sequence int, factor []float64) ([][]float64, error) {
	s := x.sequences[sequence]
	if x.steps == nil {
		x.steps = map[int]*ref.Oracle{}
	}
	if x.steps[len(s)] == nil {
		o, err := x.gradient(len(s))
		if err != nil {
			return nil, err
		}
		x.steps[len(s)] = o
	}
	k := runtime.Case{Batch: 1, Length: len(s), IDs: s}
	inputs := k.Inputs()
	r := make([]float32, len(factor))
	for i, f := range factor {
		r[i] = float32(f)
	}
	inputs[combined] = format.FromFloat32s(combined, []int{1, len(s), x.vocab}, r)
	out, err := x.steps[len(s)].Run(inputs)
	if err != nil {
		return nil, err
	}
	all := make([][]float64, len(x.layers))
	for l, layer := range x.layers {
		g, err := out[role.GradientOf(layer.Name).Name()].Float64s()
		if err != nil {
			return nil, err
		}
		for _, d := range x.changes[l] {
			sum := 0.0
			for i, v := range d {
				sum += g[i] * float64(v)
			}
			all[l] = append(all[l], sum)
		}
	}
	return all, nil
}

// draw fills in the random combinations. With random signs the mean square of a
// combination's change is the sum of the squares of the logits' changes (Hutchinson,
// 1990). With onehot(y) - p for tokens y that are drawn from the model's own
// predictions p, it is Δᵀ(diag(p) - ppᵀ)Δ summed over the positions, twice their divergence
// to second order (the Fisher information; Amari, 1998).
func (x *lossPredictor) draw(ctx context.Context) error {
	random := model.NewStream(1, "predicted loss")
	at := uint64(0)
	uniform := func() float64 {
		at++
		return float64(random.IntN(at, 1<<53)) / (1 << 53)
	}
	for n := range x.draws {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		s := n % len(x.sequences)
		z := x.exact[s]
		signs, own := make([]float64, len(z)), make([]float64, len(z))
		for i := range signs {
			signs[i] = 1
			if uniform() < 0.5 {
				signs[i] = -1
			}
		}
		for t := range len(z) / x.vocab {
			p := softmax(z[t*x.vocab:][:x.vocab])
			u, y := uniform(), 0
			for y < x.vocab-1 && u >= p[y] {
				u -= p[y]
				y++
			}
			for v, q := range p {
				own[t*x.vocab+v] = -q
			}
			own[t*x.vocab+y]++
		}
		a, err := x.effects(s, signs)
		if err != nil {
			return err
		}
		b, err := x.effects(s, own)
		if err != nil {
			return err
		}
		x.signs, x.own = append(x.signs, a), append(x.own, b)
	}
	return nil
}

func softmax(z []float64) []float64 {
	most, sum := slices.Max(z), 0.0
	p := make([]float64, len(z))
	for i, v := range z {
		p[i] = math.Exp(v - most)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// predicted returns the effect of the chosen forms together. choose returns the
// choice of a layer, -1 for the weight as it is.
func (x *lossPredictor) predicted(choose func(layer int) int) (e LossEffect) {
	mean := func(draws [][][]float64) float64 {
		sum := 0.0
		for _, draw := range draws {
			change := 0.0
			for l := range x.layers {
				if c := choose(l); c >= 0 {
					change += draw[l][c]
				}
			}
			sum += change * change
		}
		return sum / float64(len(draws))
	}
	tokens := float64(len(x.sequences[0]))
	return LossEffect{math.Sqrt(mean(x.signs) / tokens / float64(x.vocab)), mean(x.own) / tokens / 2}
}

// rounded returns the checkpoint's weights in the chosen forms.
func (x *lossPredictor) rounded(choose func(layer int) int) []format.Tensor {
	weights := slices.Clone(x.checkpoint.Weights)
	for l, layer := range x.layers {
		if c := choose(l); c >= 0 && layer.Choices[c].Values != nil {
			w := weights[x.index[l]]
			weights[x.index[l]] = format.FromFloat32s(w.Name, w.Shape, layer.Choices[c].Values)
		}
	}
	return weights
}

// measured runs the model with the chosen forms.
func (x *lossPredictor) measured(choose func(layer int) int) (e LossEffect, changed [][]float64, err error) {
	changed, err = x.logits(x.rounded(choose))
	if err != nil {
		return e, nil, err
	}
	squares, count, positions := 0.0, 0, 0
	for s, z := range x.exact {
		for t := range len(z) / x.vocab {
			p, q := softmax(z[t*x.vocab:][:x.vocab]), softmax(changed[s][t*x.vocab:][:x.vocab])
			for v := range p {
				i := t*x.vocab + v
				d := changed[s][i] - z[i]
				squares += d * d
				if p[v] > 0 {
					e.Divergence += p[v] * math.Log(p[v]/q[v])
				}
			}
			positions++
		}
		count += len(z)
	}
	e.Logits, e.Divergence = math.Sqrt(squares/float64(count)), e.Divergence/float64(positions)
	return e, changed, nil
}

// choose keeps weights in higher precision until the predicted divergence of all
// is at most limit: each time the step that lowers it most for each byte. It
// returns the choice of each layer.
func (x *lossPredictor) choose(limit float64) []int {
	chosen := make([]int, len(x.layers))
	now := x.predicted(func(l int) int { return chosen[l] }).Divergence
	for now > limit {
		best, next, most := -1, 0.0, math.Inf(-1)
		for l, layer := range x.layers {
			if chosen[l] == len(layer.Choices)-1 {
				continue
			}
			chosen[l]++
			after := x.predicted(func(l int) int { return chosen[l] }).Divergence
			if gain := (now - after) / float64(layer.Choices[chosen[l]].Bytes-layer.Choices[chosen[l]-1].Bytes); gain > most {
				best, next, most = l, after, gain
			}
			chosen[l]--
		}
		if best < 0 {
			break
		}
		chosen[best]++
		now = next
	}
	return chosen
}

// chosen returns the choices that a file's numbers make.
func (x *lossPredictor) chosen(f precision.Form) []int {
	kept := f.Keep.Bits()
	chosen := make([]int, len(x.layers))
	for l, layer := range x.layers {
		if i := slices.IndexFunc(layer.Choices, func(c precision.Choice) bool { return c.Bits == kept[layer.Name] }); i >= 0 {
			chosen[l] = i
		}
	}
	return chosen
}

// keep returns the option that a choice means.
func (x *lossPredictor) keep(chosen []int) precision.Keep {
	bits := map[string]int{}
	for l, c := range chosen {
		if c > 0 {
			bits[x.layers[l].Name] = x.layers[l].Choices[c].Bits
		}
	}
	return precision.KeepOf(bits)
}

// losses reports each layer, rounded alone as far as possible, and all as chosen.
func (x *lossPredictor) losses(ctx context.Context, chosen []int) (*LayerLosses, error) {
	r := &LayerLosses{Layers: []LayerLoss{}, Draws: x.draws, Tokens: len(x.sequences) * len(x.sequences[0])}
	for l, layer := range x.layers {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		alone := func(other int) int {
			if other == l {
				return 0
			}
			return -1
		}
		m, _, err := x.measured(alone)
		if err != nil {
			return nil, err
		}
		r.fewest = cmp.Or(min(r.fewest, layer.Choices[0].Bits), layer.Choices[0].Bits)
		r.Layers = append(r.Layers, LayerLoss{layer.Name, layer.Choices[chosen[l]].Bits, x.predicted(alone), m})
	}
	all := func(l int) int { return chosen[l] }
	m, changed, err := x.measured(all)
	if err != nil {
		return nil, err
	}
	r.All = LayerLoss{Weight: "all", Predicted: x.predicted(all), Measured: m}
	r.Logit, err = x.attribute(chosen, changed)
	return r, err
}

// attribute finds the logit that changed most and each layer's part in it.
func (x *lossPredictor) attribute(chosen []int, changed [][]float64) (LogitLoss, error) {
	var a LogitLoss
	at := 0
	for s, z := range x.exact {
		for i := range z {
			if d := changed[s][i] - z[i]; math.Abs(d) > math.Abs(a.Measured) {
				a.Measured, a.Sequence, at = d, s, i
			}
		}
	}
	a.Place = fmt.Sprintf("%s[0,%d,%d]", role.Logits.Name(), at/x.vocab, at%x.vocab)
	one := make([]float64, len(x.exact[a.Sequence]))
	one[at] = 1
	parts, err := x.effects(a.Sequence, one)
	if err != nil {
		return a, err
	}
	for l, layer := range x.layers {
		change := parts[l][chosen[l]]
		a.Predicted += change
		a.Parts = append(a.Parts, LogitPart{layer.Name, change})
	}
	slices.SortStableFunc(a.Parts, func(p, q LogitPart) int {
		switch {
		case math.Abs(p.Change) > math.Abs(q.Change):
			return -1
		case math.Abs(p.Change) < math.Abs(q.Change):
			return 1
		}
		return 0
	})
	return a, nil
}

// lines returns the report as text: the weights that lose most first.
func (r *LayerLosses) lines() (lines []string) {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "bits\tlogits predicted\tmeasured\tnats predicted\tmeasured\t weight")
	rows := slices.Clone(r.Layers)
	slices.SortStableFunc(rows, func(a, b LayerLoss) int { return cmp.Compare(b.Predicted.Divergence, a.Predicted.Divergence) })
	for _, l := range append(rows, r.All) {
		bits := fmt.Sprint(l.Bits)
		if l.Bits == 0 {
			bits = "-"
		}
		fmt.Fprintf(tw, "%s\t%.2g\t%.2g\t%.2g\t%.2g\t %s\n", bits, l.Predicted.Logits, l.Measured.Logits, l.Predicted.Divergence, l.Measured.Divergence, l.Weight)
	}
	tw.Flush() // a strings.Builder never fails
	lines = append(lines, fmt.Sprintf("what each weight loses if it alone is rounded, as far as %d bits, on %d tokens: root mean square of the logits' changes, and divergence per token; bits are those in the file:", r.fewest, r.Tokens))
	lines = append(lines, strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")...)
	if r.Limit != nil {
		kept := 0
		for _, l := range r.Layers {
			kept += min(1, l.Bits/32)
		}
		lines = append(lines, fmt.Sprintf("predicted divergence of all %.2g nats, at most %g was asked for; %d of %d weights stay as they are", r.All.Predicted.Divergence, *r.Limit, kept, len(r.Layers)))
	}
	if r.Logit.Place != "" {
		p := r.Logit.Parts
		lines = append(lines, fmt.Sprintf("%s of sequence %d changes most, by %.3g (predicted %.3g), of which %.3g by %s", r.Logit.Place, r.Logit.Sequence, r.Logit.Measured, r.Logit.Predicted, p[0].Change, p[0].Weight))
	}
	return lines
}
