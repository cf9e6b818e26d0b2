package runtime

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// Case is one input of a verification run.
type Case struct {
	Batch, Length int             // Length is 0 if the network takes no text
	IDs           []int64         // Batch·Length token ids, row by row
	Given         []format.Tensor // the inputs other than the ids, in any role
	Name          string          // in messages; empty: its sizes
	// Optional means that the verdict does without the case where the oracle has no numbers or no
	// bounds for it. The coverage says so.
	Optional bool
	// Draw returns further inputs. They are drawn for each run, because those of all
	// cases would take much memory. nil: there are none.
	Draw func() ([]format.Tensor, error)
}

// String returns the name of c or, without one, "batch 2, length 7", followed by the
// shapes of inputs that differ from it. Where no input has these sizes, the shapes are
// all: "image [2 3 16 16]".
func (c Case) String() string {
	if c.Name != "" {
		return c.Name
	}
	var parts []string
	var given []format.Tensor
	sized := c.IDs != nil || len(c.Given) == 0
	for _, t := range c.Given {
		if slices.Equal(t.Shape, []int{c.Batch, c.Length}) {
			sized = true
		} else {
			given = append(given, t)
		}
	}
	for i, t := range given { // layers have inputs of the same kind each: they are counted
		kind := kindOf(t.Name)
		alike := func(u format.Tensor) bool { return kindOf(u.Name) == kind }
		if kind == t.Name || slices.IndexFunc(given, func(u format.Tensor) bool { return alike(u) && u.Name != t.Name }) < 0 {
			parts = append(parts, fmt.Sprint(t.Name, " ", t.Shape))
			continue
		}
		if slices.IndexFunc(given, alike) < i {
			continue
		}
		n, shapes := 0, []string(nil)
		for _, u := range given {
			if alike(u) {
				n++
				if s := fmt.Sprint(u.Shape); !slices.Contains(shapes, s) {
					shapes = append(shapes, s)
				}
			}
		}
		parts = append(parts, fmt.Sprintf("%d %s %s", n, kind, strings.Join(shapes, " ")))
	}
	if sized {
		size := fmt.Sprintf("batch %d", c.Batch)
		if c.Length > 0 {
			size += fmt.Sprintf(", length %d", c.Length)
		}
		parts = append([]string{size}, parts...)
	}
	return strings.Join(parts, ", ")
}

// kindOf returns what the inputs of layers have in common: "past_key_values" of
// past_key_values.3.key. It is the name itself where no layer is in it.
func kindOf(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts[1:] {
		if _, err := strconv.Atoi(p); err == nil {
			return strings.Join(parts[:i+1], ".")
		}
	}
	return name
}

// Tokens returns the number of tokens of the case, or its batch size if it has
// no tokens.
func (c Case) Tokens() int { return c.Batch * max(c.Length, 1) }

// Inputs returns the inputs of the case for a session. They are copies. Draw must not
// fail: a case is made with what it draws.
func (c Case) Inputs() map[string]format.Tensor {
	in := make(map[string]format.Tensor, len(c.Given)+1)
	if c.IDs != nil {
		name := role.Tokens.Name()
		in[name] = format.FromInt64s(name, []int{c.Batch, c.Length}, slices.Clone(c.IDs))
	}
	given := c.Given
	if c.Draw != nil {
		drawn, err := c.Draw()
		if err != nil {
			panic(fmt.Sprintf("runtime: %s: %v", c, err))
		}
		given = slices.Concat(given, drawn)
	}
	for _, t := range given {
		t.Data, t.Shape = slices.Clone(t.Data), slices.Clone(t.Shape)
		in[t.Name] = t
	}
	return in
}

// NewCase returns a case of the given shape. Its ids are a function of seed,
// uniform over 0 to vocab-1, except the last two, which are the edge ids vocab-1
// and 0. A single id is vocab-1. If batch, length or vocab is below 1, the case
// has no ids.
func NewCase(batch, length, vocab int, seed uint64) Case {
	c := Case{Batch: batch, Length: length}
	if batch < 1 || length < 1 || vocab < 1 {
		return c
	}
	c.IDs = make([]int64, batch*length)
	for i := range c.IDs {
		c.IDs[i] = int64(splitMix(seed+uint64(i)) % uint64(vocab))
	}
	last := len(c.IDs) - 1
	c.IDs[max(last-1, 0)] = int64(vocab - 1)
	if last > 0 {
		c.IDs[last] = 0
	}
	return c
}

// The budgets of cases, in tokens. A file that is proved to be the checkpoint's network
// needs only a test of the runtime.
const (
	DefaultBudget = 4096
	ProvedBudget  = 256
)

// Cases returns the standard inputs for a text-only model of the given vocabulary and
// context, within DefaultBudget: one text of the full context, batch sizes from 1 to 12, lengths around the
// powers of two and every other short one, and tokens that make every id occur, as far
// as the budget allows. It is the number of tokens, within a half, in addition to the
// full context. Each case of two or more tokens contains the edge ids 0 and vocab-1.
// The other ids are dealt from a shuffled vocabulary, so that every id occurs if the
// cases have room for all. The cases are a function of the arguments. A vocabulary or
// context below 1 gives no cases.
func Cases(vocab, context int, seed uint64) []Case {
	return textCases(vocab, context, DefaultBudget, seed)
}

func textCases(vocab, context, budget int, seed uint64) []Case {
	if vocab < 1 || context < 1 {
		return nil
	}
	d := &deck{vocab: vocab, seed: seed}
	cases := []Case{
		{Batch: 1, Length: 1, IDs: []int64{0}},
		{Batch: 1, Length: 1, IDs: []int64{int64(vocab - 1)}},
	}
	for _, s := range caseSizes(context, budget) {
		cases = append(cases, d.deal(s.batch, s.length))
	}
	for left := budget / 2; d.dealt < vocab && vocab-d.dealt <= left; {
		length := min(context, 64)
		k := d.deal(max(1, min(8, (vocab-d.dealt)/length+1)), length)
		left -= len(k.IDs)
		cases = append(cases, k)
	}
	return cases
}

// caseSize is the size of one case.
type caseSize struct{ batch, length int }

// caseSizes returns the sizes of the cases for a model of the given context. Each of
// those for the batch takes at most an eighth of the budget, those for the length
// take a sixth together.
func caseSizes(context, budget int) []caseSize {
	all := []caseSize{{1, context}}
	seen := map[int]bool{1: true, context: true}
	for i, length := range [...]int{context, context / 2, 1, 7, context - 1, 3, 2, context, 2, 1, 8, 3} {
		batch := i + 1
		length = max(1, min(length, context, budget/8/batch))
		seen[length] = true
		if batch > 1 {
			all = append(all, caseSize{batch, length})
		}
	}
	edges := edgeLengths(context)
	left := budget / 6
	for _, length := range slices.Concat(edges, lengthsBelow(context)) {
		if !seen[length] && length <= left {
			seen[length] = true
			left -= length
			all = append(all, caseSize{1, length})
		}
	}
	return all
}

// lengthsBelow returns 1 to n-1.
func lengthsBelow(n int) []int {
	all := make([]int, n-1)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// deck deals the ids of a vocabulary in a shuffled order and starts over at its
// end.
type deck struct {
	vocab int
	seed  uint64
	dealt int // ids dealt so far, without edge ids
	order []int32
}

// deal returns a case of the given shape: the next ids, followed by the edge
// ids vocab-1 and 0.
func (d *deck) deal(batch, length int) Case {
	c := NewCase(batch, length, d.vocab, splitMix(d.seed+uint64(d.dealt)))
	for i := range len(c.IDs) - 2 {
		c.IDs[i] = d.next()
	}
	return c
}

func (d *deck) next() int64 {
	if d.dealt%d.vocab == 0 {
		d.shuffle()
	}
	id := d.order[d.dealt%d.vocab]
	d.dealt++
	return int64(id)
}

// shuffle puts the vocabulary into an order determined by the seed.
func (d *deck) shuffle() {
	if d.order == nil {
		d.order = make([]int32, d.vocab)
		for i := range d.order {
			d.order[i] = int32(i)
		}
	}
	for i := len(d.order) - 1; i > 0; i-- {
		j := splitMix(d.seed+uint64(d.dealt+i)) % uint64(i+1)
		d.order[i], d.order[j] = d.order[j], d.order[i]
	}
}

// splitMix is the output function of SplitMix64 (Steele, Lea, Flood, "Fast
// splittable pseudorandom number generators", OOPSLA 2014) at counter n. The
// import rules keep the project's own generator out of this package.
func splitMix(n uint64) uint64 {
	z := (n + 1) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
