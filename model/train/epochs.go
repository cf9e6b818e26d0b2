package train

import (
	"fmt"
	"math/bits"

	"github.com/attnx/attnx/model"
)

// Plan sets the steps of a run of Epochs: as many as see each example so often, the
// last batch taking some once more. A Warmup of 0 becomes a tenth of the steps, at
// most 100, and an EvalEvery of 0 the steps of an epoch. Without Epochs it does
// nothing.
func (o *Options) Plan(d *Data) error {
	if o.Epochs == 0 {
		return nil
	}
	if _, ok := d.train.(*pairSource); ok {
		return fmt.Errorf("train: pairs of similar length are drawn together, and not in epochs: give a number of steps")
	}
	o.Epoch = inEpochs(d.train).len()
	o.Steps = o.StepsFor(o.Epochs)
	if o.Warmup == 0 {
		o.Warmup = min(100, o.Steps/10)
	}
	if o.EvalEvery == 0 {
		o.EvalEvery = o.StepsFor(1)
	}
	return o.Check()
}

// StepsFor returns the steps of a number of epochs, once Plan has counted the
// examples of one.
func (o Options) StepsFor(epochs int) int {
	each := o.Batch * max(1, o.Accumulate)
	if examples := float64(epochs) * float64(o.Epoch); examples > 1<<53 || examples/float64(each) > maxSteps {
		return maxSteps + 1 // Check refuses it
	}
	return max(1, (epochs*o.Epoch+each-1)/each)
}

// inEpochs returns the examples of an epoch. The windows of a text do not overlap
// in one, so that each token is learned once; the rest of the text, less than a
// window, is left out.
func inEpochs(s source) source {
	if w, ok := s.(window); ok {
		w.stride = w.context
		return w
	}
	return s
}

// feistelRounds is the number of rounds of the permutation: the generator's bits
// decide in each, and four suffice for a permutation that looks random (Luby and
// Rackoff, 1988).
const feistelRounds = 6

// shuffled returns what is at place i of 0 to n-1 in the order of an epoch, in
// constant memory: a Feistel network permutes a power of four, and its cycles are
// followed until they come back below n (Black and Rogaway, 2002).
func shuffled(s model.Stream, epoch, n, i int) int {
	half := (bits.Len(uint(max(n-1, 1))) + 1) / 2
	mask := uint64(1)<<half - 1
	for x := uint64(i); ; {
		left, right := x>>half, x&mask
		for round := range uint64(feistelRounds) {
			at := (uint64(epoch)*feistelRounds+round)<<half | right
			left, right = right, left^uint64(s.Uint32(at))&mask
		}
		if x = left<<half | right; x < uint64(n) {
			return int(x)
		}
	}
}
