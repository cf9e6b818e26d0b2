package ref

import (
	"math"
	"slices"
	"sync"

	"github.com/attnx/attnx/model/graph"
)

// slabs is memory for the scores of a block of rows.
var slabs = sync.Pool{New: func() any { return new([]float64) }}

// slab returns n floats of any value.
func slab(n int) *[]float64 {
	s := slabs.Get().(*[]float64)
	if cap(*s) < n {
		*s = make([]float64, n)
	}
	*s = (*s)[:n]
	return s
}

// shakeAttention is the rule of softmax(q·scale kᵀ + bias) v. It works on a block of
// rows at a time, with the copies of that block, so that the scores of all heads are
// never in memory together.
func shakeAttention(o graph.Op, c fusedCall) []array {
	op := o.(graph.Attention)
	c = c.widened()
	out := stackOf(c.count, c.exact[0])
	q, k := c.args[0], c.args[1]
	if len(c.exact[0].f) == 0 || k.shape[2] == 0 {
		return []array{out}
	}
	a := newAttending(op, c.args)
	blocks := (a.rows + attentionRows - 1) / attentionRows
	inLines(q.shape[0]*a.heads*blocks, c.count*min(a.rows, attentionRows)*a.seen*(16+a.depth+a.width), func(i int) {
		first := i % blocks * attentionRows
		b := attendingBlock{attending: a, c: c, head: i / blocks, first: first, count: min(attentionRows, a.rows-first), reach: a.seen}
		if reach := a.seen - a.rows + first + b.count; op.Causal && reach > 0 && (len(c.args) < 4 || a.unmasked != nil) && c.shrink < 1 {
			b.reach = min(a.seen, reach) // no row sees the keys behind it
		}
		b.shake(out)
	})
	return []array{out}
}

// attendingBlock is a block of rows of one head.
type attendingBlock struct {
	attending
	c                  fusedCall
	head, first, count int
	reach              int // keys that are computed
}

// part returns the block's rows of a tensor (B,H,T,width).
func (b attendingBlock) part(x []float64, width int) []float64 {
	return x[(b.head*b.rows+b.first)*width:][:b.count*width]
}

// group returns what the head's keys or values are of a tensor (B,G,S,width).
func (b attendingBlock) group(x []float64, width int) []float64 {
	at := b.head / b.each
	return x[at*b.seen*width : (at+1)*b.seen*width]
}

func (b attendingBlock) shake(out array) {
	n, d, width := b.count*b.reach, b.depth, b.width
	memory := slab(5*n + 2*b.count*d + b.count*width)
	defer slabs.Put(memory)
	take := func(n int) []float64 {
		part := (*memory)[:n:n]
		*memory = (*memory)[n:]
		return part
	}
	whole := *memory
	defer func() { *memory = whole }()
	p, pE, scores, scoreE, own := take(n), take(n), take(n), take(n), take(n)
	var far []float64 // the infinities that scores may be, 0 for others
	query, queryE := take(b.count*d), take(b.count*d)
	yE := take(b.count * width)
	keys, values := b.group(b.c.args[1].f, d), b.group(b.c.args[2].f, width)

	for i, v := range b.part(b.c.args[0].f, d) {
		query[i] = v * b.op.Scale
		queryE[i] = binaryError(graph.Mul, v, b.op.Scale, query[i], b.c.inner) * uniform
	}
	b.product(p, query, d, b.reach, columnsOf(keys, d))
	b.squares(scoreE, query, d, b.reach, columnsOf(keys, d))
	far = b.overflowing(p, scoreE)
	b.scoreErrors(p, scoreE)
	if b.reach < b.seen && !b.decided(p) {
		b.reach = b.seen
		b.shake(out)
		return
	}
	copy(own, p)
	for r := range b.count {
		row, e := p[r*b.reach:(r+1)*b.reach], pE[r*b.reach:(r+1)*b.reach]
		softmaxRow(row, e, b.seen, b.c.inner)
	}
	b.squares(yE, p, b.reach, width, rowsOf(values, width))
	y := b.part(b.c.exact[0].f, width)
	for i, s2 := range yE {
		yE[i] = sumError(b.seen, s2, y[i], b.c.u, true) * uniform
	}
	for k := range b.c.count {
		keys, values := b.group(b.c.of(1, k), d), b.group(b.c.of(2, k), width)
		for i, v := range b.part(b.c.of(0, k), d) {
			query[i] = v * b.op.Scale
		}
		b.add(0, k, query, queryE, d)
		b.product(scores, query, d, b.reach, columnsOf(keys, d))
		for r := range b.count {
			row := scores[r*b.reach : (r+1)*b.reach]
			b.hide(row, b.biasOf(k), b.head, b.first+r)
		}
		b.add(1, k, scores, scoreE, b.reach)
		for i, inf := range far {
			if inf != 0 && k%2 == 0 {
				scores[i] = inf
			}
		}
		for r := range b.count {
			if row := scores[r*b.reach : (r+1)*b.reach]; b.c.shrink < 1 {
				softmaxNear(row, own[r*b.reach:(r+1)*b.reach], p[r*b.reach:(r+1)*b.reach])
			} else {
				softmaxRow(row, nil, 0, units{})
			}
		}
		b.add(2, k, scores, pE, b.reach)
		z := b.part(layer(out, k).f, width)
		b.product(z, scores, b.reach, width, rowsOf(values, width))
		b.add(3, k, z, yE, width)
	}
}

// decided reports whether each row has scores so much higher than those of hidden keys
// that these have no weight.
func (b attendingBlock) decided(scores []float64) bool {
	for r := range b.count {
		top := slices.Max(scores[r*b.reach : (r+1)*b.reach])
		if !(math.Abs(top) < -hidden/4) {
			return false
		}
	}
	return true
}

// softmaxNear replaces a row of scores by their softmax, which for nearly equal scores is p.
func softmaxNear(row, scores, p []float64) {
	sum := 0.0
	for s, x := range row {
		d := x - scores[s]
		factor := 1 + d*(1+d/2)
		if !(math.Abs(d) < tiny) {
			factor = math.Exp(d)
		}
		if p[s] == 0 { // hidden
			factor = 0
		}
		row[s] = p[s] * factor
		sum += row[s]
	}
	for s := range row {
		row[s] /= sum
	}
}

// biasOf returns copy k of a mask of numbers.
func (b attendingBlock) biasOf(k int) []float64 {
	if len(b.c.args) < 4 || b.c.args[3].kind != floats {
		return nil
	}
	return b.c.of(3, k)
}

// add adds the errors of a part of the operator to the block's rows.
func (b attendingBlock) add(part, k int, x, e []float64, width int) {
	signs, blocks := b.c.signs(part, k), (width+63)/64
	for r := range b.count {
		signs.add(x[r*width:(r+1)*width], e[r*width:(r+1)*width], b.c.shrink, (b.head*b.rows+b.first+r)*blocks)
	}
}

// product sets z to a product.
func (b attendingBlock) product(z, x []float64, k, n int, pack packer) {
	clear(z)
	multiply(z, x, k, n, pack)
}

// squares sets z to the sums of the squares of a product's terms.
func (b attendingBlock) squares(z, x []float64, k, n int, pack packer) {
	sq := slab(len(x))
	defer slabs.Put(sq)
	for i, v := range x {
		(*sq)[i] = v * v
	}
	b.product(z, *sq, k, n, squared(pack))
}

// overflowing returns which scores, before masks, may be beyond the largest number of
// their type, or have partial sums that are, from the sums of squares; nil if none. In some copies they
// are infinities.
func (b attendingBlock) overflowing(scores, squares []float64) (far []float64) {
	most := b.c.inner.most
	for i, x := range scores {
		if partialSum(b.depth, squares[i], x) < most {
			continue
		}
		row := b.first + i/b.reach
		if b.hides(row, i%b.reach) { // whatever it is, the mask hides it
			continue
		}
		if far == nil {
			far = make([]float64, len(scores))
			b.c.beyond.Store(true)
		}
		far[i] = math.Copysign(math.Inf(1), x)
	}
	return far
}

// hides reports whether a mask of truth values, or the order of tokens, hides a score.
func (b attendingBlock) hides(row, key int) bool {
	if own := b.seen - b.rows + row; b.op.Causal && (key > own || b.op.Window > 0 && key <= own-b.op.Window) {
		return true
	}
	if b.unmasked == nil {
		return false
	}
	stride := b.mask.stride
	return !b.unmasked[b.head/b.heads*stride[0]+b.head%b.heads*stride[1]+row*stride[2]+key*stride[3]]
}

// scoreErrors adds the bias to the scores in p, and sets e from the sums of squares to
// the errors of the sums.
func (b attendingBlock) scoreErrors(p, e []float64) {
	plain := slab(b.reach)
	defer slabs.Put(plain)
	var bias []float64
	if len(b.c.args) == 4 && b.c.args[3].kind == floats {
		bias = b.c.args[3].f
	}
	for r := range b.count {
		row, errors := p[r*b.reach:(r+1)*b.reach], e[r*b.reach:(r+1)*b.reach]
		copy(*plain, row)
		b.hide(row, bias, b.head, b.first+r)
		for s, x := range *plain {
			own := sumError(b.depth, errors[s], x, b.c.inner, true)
			if bias := row[s] - x; bias != 0 {
				own = hypot(own, binaryError(graph.Add, x, bias, row[s], b.c.inner))
			}
			errors[s] = own * uniform
		}
	}
}

// softmaxRow replaces a row of scores by their softmax. It sets e, unless it is nil, to
// the errors of a softmax of n elements.
func softmaxRow(p, e []float64, n int, u units) {
	top, sum, s2 := slices.Max(p), 0.0, 0.0
	for s, x := range p {
		if e != nil {
			e[s] = x - top
		}
		p[s] = math.Exp(x - top)
		sum += p[s]
		s2 += p[s] * p[s]
	}
	var errors [halvings]float64
	grid := gridOf(sum, u.sums)
	for s := range p {
		if e != nil {
			stepErrors(&errors, p[s], grid)
		}
		p[s] /= sum
	}
	if e == nil {
		return
	}
	variance := softmaxVariance(n, s2, sum, alikeError(&errors)/u.sums)
	for s, d := range e {
		e[s] = softmaxError(p[s], d, variance, u) * uniform
	}
}
