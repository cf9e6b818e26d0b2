package train

import "math"

// rate returns the learning rate of a step, counted from 0. It increases
// linearly to LR over Warmup steps, then decreases to MinLR along half a
// cosine (arXiv:1608.03983) that ends with the last step.
func (o Options) rate(step int) float64 {
	if step < o.Warmup {
		return o.LR * float64(step+1) / float64(o.Warmup)
	}
	span := o.Steps - 1 - o.Warmup
	if span <= 0 {
		return o.LR
	}
	x := min(float64(step-o.Warmup)/float64(span), 1)
	return o.MinLR + (o.LR-o.MinLR)*(1+math.Cos(math.Pi*x))/2
}
