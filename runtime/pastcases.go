package runtime

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// The masks of PastCases.
const (
	noHoles    = iota
	leftPadded // the first columns hold no token, in each sequence another number
	holesInPast
	holesInNew // also among the new tokens
)

// The levels of PastCases: sizes of the batch, of the past and of the new tokens.
// The lengths are those around powers of two, at which kernels change their blocks.
var (
	pastBatches = []int{1, 2, 3, 8}
	pastColumns = []int{0, 1, 2, 3, 8, 15, 16, 17, 32, 33, 64, 65, 128}
	pastTokens  = []int{1, 2, 3, 8}
)

// pastArea bounds the columns of all sequences of a case. A full context has a batch
// of its own size only if it is short.
const pastArea = 1024

// past is the design of one case with a past.
type past struct {
	batch, columns, tokens, mask int
	apart                        bool // the positions are not the mask's running sums
}

// PastCases returns inputs of a graph with a past that no text produces: any numbers
// as the past, masks with padding and with holes, positions that are not the mask's
// running sums, up to a full context. The levels are combined so that every pair of
// two of them occurs in a case, if most cases allow it. The coverage has the pairs.
// The cases are a function of the arguments. The buffers must not be shared.
func PastCases(shape CacheShape, vocab, most int, seed uint64) ([]Case, Count) {
	if vocab < 1 || shape.Context < 2 {
		return nil, Count{}
	}
	levels := shape.pastLevels()
	feasible := func(row []int) bool {
		p := shape.pastOf(levels, row)
		if p.columns < 0 || p.columns+p.tokens > shape.Context || p.batch > 1 && p.batch*(p.columns+p.tokens) > pastArea {
			return false
		}
		switch p.mask {
		case leftPadded:
			return p.columns >= 1
		case holesInPast:
			return p.columns >= 2
		case holesInNew:
			return p.tokens >= 2
		}
		return true
	}
	sizes := make([]int, len(levels))
	for i, l := range levels {
		sizes[i] = len(l)
	}
	rows, covered := pairwise(sizes, feasible, most)
	d := &deck{vocab: vocab, seed: seed}
	cases := make([]Case, len(rows))
	for i, row := range rows {
		cases[i] = shape.pastCase(shape.pastOf(levels, row), d)
	}
	if most >= eachSize {
		for _, p := range shape.pastSizes() {
			cases = append(cases, shape.pastCase(p, d))
		}
	}
	return cases, covered
}

// eachSize is the number of cases from which on each small size occurs by itself too.
const eachSize = 64

// sizesOnce is the number of sizes that pastSizes goes through.
const sizesOnce = 14

// pastSizes returns designs in which every batch, every past and every number of new tokens up to
// sizesOnce occurs once, as far as the context has room: a fault may show at one size.
func (c CacheShape) pastSizes() (all []past) {
	for i := range sizesOnce {
		// 3 and 5 have no factor in common with 14, so each number comes once.
		p := past{batch: i + 1, columns: i * 3 % sizesOnce, tokens: min(1+i*5%sizesOnce, c.Context), apart: c.Positions && i%2 == 1}
		p.columns = min(p.columns, c.Context-p.tokens)
		switch {
		case len(c.States) > 0:
			p.columns, p.apart = 0, false
		case p.columns >= 2 && i%4 == 2:
			p.mask = holesInPast
		case p.columns >= 1 && i%4 == 1:
			p.mask = leftPadded
		case p.tokens >= 2 && i%4 == 3:
			p.mask = holesInNew
		}
		all = append(all, p)
	}
	return all
}

// pastLevels returns the levels of each factor of a case: batch, past, new tokens,
// mask and, if the graph has positions, whether these are apart. The past -1 fills the
// context.
func (c CacheShape) pastLevels() [][]int {
	below := func(all []int, n int) []int {
		return slices.DeleteFunc(slices.Clone(all), func(x int) bool { return x > n })
	}
	if len(c.States) > 0 { // as large after any number of tokens
		return [][]int{pastBatches, {0}, below(pastTokens, c.Context), {noHoles}}
	}
	levels := [][]int{pastBatches, append(below(pastColumns, c.Context-2), -1), below(pastTokens, c.Context/2), {noHoles, leftPadded, holesInPast, holesInNew}}
	if c.Positions {
		levels = append(levels, []int{0, 1})
	}
	return levels
}

func (c CacheShape) pastOf(levels [][]int, row []int) past {
	p := past{batch: levels[0][row[0]], columns: levels[1][row[1]], tokens: levels[2][row[2]], mask: levels[3][row[3]]}
	if p.columns < 0 {
		p.columns = c.Context - p.tokens
	}
	p.apart = len(row) > 4 && row[4] == 1
	return p
}

// pastCase returns the inputs of a design. The past is drawn anew for each run,
// because all of them together are large.
func (c CacheShape) pastCase(p past, d *deck) Case {
	k := Case{Batch: p.batch, Length: p.tokens, IDs: make([]int64, p.batch*p.tokens)}
	for i := range k.IDs {
		k.IDs[i] = d.next()
	}
	seed := splitMix(d.seed ^ uint64(p.columns)<<32 ^ uint64(d.dealt))
	random := func(i int) uint64 { return splitMix(seed + uint64(i)) }
	width := p.columns + p.tokens
	mask, positions := make([]int64, p.batch*width), make([]int64, 0, len(k.IDs))
	for b := range p.batch {
		row := mask[b*width:][:width]
		for i := range row {
			row[i] = 1
		}
		switch p.mask {
		case leftPadded:
			clear(row[:1+(b+int(random(0)%7))%p.columns])
		case holesInPast:
			punch(row[:p.columns], random(b))
		case holesInNew:
			punch(row[p.columns:], random(b))
			if p.columns > 1 {
				punch(row[:p.columns], random(b+1))
			}
		}
		sum := int64(-1)
		for i, visible := range row {
			sum += visible
			if i < p.columns {
				continue
			}
			position := max(0, sum)
			if p.apart {
				position = int64(random(1000+len(positions)) % uint64(c.Context))
			}
			positions = append(positions, position)
		}
	}
	k.Draw = func() ([]format.Tensor, error) {
		past := c.past(p.batch, p.columns)
		at := 1 << 32
		for layer := range c.Layers {
			for _, kind := range c.kinds() {
				name := role.Layered(kind, layer).Name()
				x, err := eighths(past[name], func(i int) uint64 { return random(at + i) })
				if err != nil {
					return nil, err
				}
				past[name] = x
				at += x.Elements()
			}
		}
		var given []format.Tensor
		for name, t := range c.inputs(p.batch, k.IDs, positions, mask, past) {
			if name != idsName {
				given = append(given, t)
			}
		}
		return given, nil
	}
	k.Name = fmt.Sprintf("batch %d, past %d, new %d, %s", p.batch, p.columns, p.tokens, [...]string{"no holes", "left padding", "holes", "holes among the new"}[p.mask])
	if p.apart {
		k.Name += ", positions apart"
	}
	return k
}

// punch makes a third of the columns holes, at least one. The first column stays, so
// that every token sees one.
func punch(row []int64, seed uint64) {
	for i := 1; i < len(row); i++ {
		if splitMix(seed+uint64(i))%3 == 0 {
			row[i] = 0
		}
	}
	if len(row) > 1 {
		row[1+seed%uint64(len(row)-1)] = 0
	}
}

// eighths fills a floating-point tensor with multiples of 1/8 from -1 to 1,
// which every type represents exactly.
func eighths(t format.Tensor, random func(i int) uint64) (format.Tensor, error) {
	raw := make([]byte, 4*t.Elements())
	for i := range t.Elements() {
		x := float32(random(i)%17)/8 - 1
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(x))
	}
	out, _, err := format.Tensor{Name: t.Name, DType: format.Float32, Shape: t.Shape, Data: raw}.Convert(t.DType)
	return out, err
}
