package train

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// Names of inputs and outputs of a training graph, besides the weights.
const (
	StepInput  = "step"  // int64 (1): updates done
	RateInput  = "lr"    // float32 (1): the learning rate of this step
	FirstRate  = "rate1" // float32 (1), without StepInput: lr/(1-β1ᵏ) at update k, from 1
	SecondRoot = "root2" // float32 (1), without StepInput: 1/√(1-β2ᵏ)
	NormOutput = "norm"  // float32 (1): of the gradient, before clipping; of a step whose state stays on its device
	NextPrefix = "next." // precedes the name of the input that an output replaces
)

// BuildTraining returns a whole training step as a graph: model.Step, and the
// AdamW update with clipping, with the settings of o. Its inputs are
// input_ids, labels, every weight, its moments under their checkpoint names
// (optim.m.*, optim.v.*), the number of updates done and the learning rate.
// Its outputs are the loss and, with NextPrefix, the new value of each weight,
// each moment and the number of updates. A runtime that feeds these back
// trains, and the state stays on its device.
//
// The update is that of PyTorch's AdamW: epsilon is added outside the bias
// correction.
func BuildTraining(forward *graph.Graph, batch, tokens int, o Options) (*graph.Graph, error) {
	return buildTraining(forward, batch, tokens, o, false)
}

// BuildFloat32Training is BuildTraining for runtimes without float64, such as ONNX
// Runtime on WebGPU: in place of the number of updates the inputs are what follows
// from it, FirstRate and SecondRoot.
func BuildFloat32Training(forward *graph.Graph, batch, tokens int, o Options) (*graph.Graph, error) {
	return buildTraining(forward, batch, tokens, o, true)
}

func buildTraining(forward *graph.Graph, batch, tokens int, o Options, float32Only bool) (*graph.Graph, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Accumulate > 1 {
		return nil, fmt.Errorf("train: a training graph takes one batch for each step, not %d", o.Accumulate)
	}
	g, err := model.Step(forward, batch, tokens)
	if err != nil {
		return nil, err
	}
	return optimized(g, o, float32Only, nil)
}

// optimized adds the update to a step, of the weights that it has gradients of. params
// are what is known of them; nil: they are the graph's. Their step has NormOutput, too.
func optimized(g *graph.Graph, o Options, float32Only bool, params []format.TensorInfo) (*graph.Graph, error) {
	keep := []string{lossOutput}
	b := graph.Extend(g)
	u := updater{Builder: b.Scope("adamw"), o: o}
	one := graph.N(1)
	var next *graph.Value // updates done after this one
	if float32Only {
		u.rate1, u.root2 = b.Input(FirstRate, format.Float32, one), b.Input(SecondRoot, format.Float32, one)
		u.lr = b.Input(RateInput, format.Float32, one)
	} else {
		step := b.Input(StepInput, format.Int64, one)
		u.lr = b.Input(RateInput, format.Float32, one)
		next = u.Add(step, u.Const(format.FromInt64s("one", []int{1}, []int64{1})))
		u.rate1, u.root2 = u.corrections(next)
	}

	grads := map[string]*graph.Value{}
	for _, out := range g.Outputs {
		grads[out.Name] = out.Value
	}
	learned := g.Params
	if params != nil {
		learned = nil
		for _, t := range params {
			p := g.Lookup(t.Name)
			if p == nil { // the loss does not depend on it, and it decays
				p = b.Param(t.Name, graph.Init{}, t.Shape...)
			}
			learned = append(learned, p)
		}
	}
	length := u.norm(learned, grads)
	u.scale = u.clipping(length)
	output := func(name string, v *graph.Value) {
		b.Output(NextPrefix+name, b.Name(NextPrefix+name, v))
		keep = append(keep, NextPrefix+name)
	}
	if params != nil {
		b.Output(NormOutput, b.Name(NormOutput, u.Identity(length)))
		keep = append(keep, NormOutput)
	}
	for _, p := range learned {
		m := b.Input(FirstMoment+p.Name, p.DType, p.Shape...)
		v := b.Input(SecondMoment+p.Name, p.DType, p.Shape...)
		w, m, v := u.update(p, grads[role.GradientOf(p.Name).Name()], m, v)
		output(p.Name, w)
		output(FirstMoment+p.Name, m)
		output(SecondMoment+p.Name, v)
	}
	if next != nil {
		output(StepInput, next)
	}
	whole, err := b.Graph()
	if err != nil {
		return nil, err
	}
	return graph.Apply(whole, graph.Select(keep...), graph.Fold, graph.Merge)
}

// updater records AdamW's update for each parameter.
type updater struct {
	*graph.Builder
	o            Options
	scale        *graph.Value // (1): the clipping factor; nil: no clipping
	lr           *graph.Value // (1)
	rate1, root2 *graph.Value // (1): lr/(1-β1ᵏ) and 1/√(1-β2ᵏ) at update k
}

// corrections returns lr/(1-β1ᵏ) and 1/√(1-β2ᵏ). The powers are float64: in
// float32, 1-βᵏ would lose half its digits for small k.
func (u updater) corrections(k *graph.Value) (rate1, root2 *graph.Value) {
	number := func(name string, x float64) *graph.Value {
		return u.Const(format.FromFloat64s(name, []int{1}, []float64{x}))
	}
	k64 := u.Cast(k, format.Float64)
	rest := func(name string, beta float64) *graph.Value { // 1 - βᵏ
		power := u.Exp(u.Mul(k64, number("log_"+name, math.Log(beta))))
		return u.Cast(u.Sub(number("one_"+name, 1), power), format.Float32)
	}
	rate1 = u.Div(u.lr, rest("beta1", u.o.Beta1))
	one := u.Const(format.FromFloat32s("one32", []int{1}, []float32{1}))
	return rate1, u.Div(one, u.Sqrt(rest("beta2", u.o.Beta2)))
}

// norm returns the Euclidean norm of all gradients as one vector, FLOAT32 (1).
func (u updater) norm(learned []*graph.Value, grads map[string]*graph.Value) *graph.Value {
	var sum *graph.Value
	for _, p := range learned {
		d := grads[role.GradientOf(p.Name).Name()]
		axes := make([]int, len(d.Shape))
		for i := range axes {
			axes[i] = i
		}
		square := u.ReduceSum(u.Mul(d, d), false, axes...)
		if sum == nil {
			sum = square
		} else {
			sum = u.Add(sum, square)
		}
	}
	return u.Reshape(u.Sqrt(sum), graph.N(1))
}

// clipping returns min(1, clip/(norm+1e-6)); nil without clipping.
func (u updater) clipping(length *graph.Value) *graph.Value {
	if u.o.Clip == 0 {
		return nil
	}
	clip := u.Const(format.FromFloat32s("clip", []int{1}, []float32{float32(u.o.Clip)}))
	x := u.Div(clip, u.Add(length, u.Scalar(1e-6)))
	return u.Sub(x, u.Relu(u.Sub(x, u.Scalar(1)))) // min(x, 1)
}

// update returns the weight and its moments after the step.
func (u updater) update(w, d, m, v *graph.Value) (w2, m2, v2 *graph.Value) {
	if u.scale != nil {
		d = u.Mul(d, u.scale)
	}
	o := u.o
	m2 = u.Add(u.Mul(m, u.Scalar(o.Beta1)), u.Mul(d, u.Scalar(1-o.Beta1)))
	v2 = u.Add(u.Mul(v, u.Scalar(o.Beta2)), u.Mul(u.Mul(d, d), u.Scalar(1-o.Beta2)))
	root := u.Add(u.Mul(u.Sqrt(v2), u.root2), u.Scalar(o.Epsilon))
	kept := w
	if len(w.Shape) >= 2 && o.WeightDecay > 0 {
		kept = u.Sub(w, u.Mul(w, u.Mul(u.lr, u.Scalar(o.WeightDecay))))
	}
	return u.Sub(kept, u.Div(u.Mul(m2, u.rate1), root)), m2, v2
}
