package train

import (
	"cmp"
	"fmt"
	"hash"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
)

// PairIDs is a source with its target, as ids. Both end with the id that ends a text.
type PairIDs struct{ Source, Target []int64 }

// NewPairs returns the data of a network that translates. A batch has source tokens and
// their mask, and the target: tokens that begin with start and lack the last id of the
// target, and labels, which are the target. Targets are padded with pad, and sources with sourcePad. Pairs of similar
// length are drawn together, so that little is padded: a batch has the sizes of its
// bucket, and there are few of these. held is for validation.
func NewPairs(learn, held []PairIDs, start, pad, sourcePad int64) (*Data, error) {
	vocab := max(start, pad, sourcePad) + 1
	for _, p := range slices.Concat(learn, held) {
		if len(p.Source) == 0 || len(p.Target) == 0 {
			return nil, fmt.Errorf("train: a pair has an empty side: leave it out")
		}
		vocab = max(vocab, int64(vocabOf(p.Source)), int64(vocabOf(p.Target)))
	}
	if len(learn) == 0 || len(held) == 0 {
		return nil, fmt.Errorf("train: %d pairs to learn from and %d held out: there is nothing to learn", len(learn), len(held))
	}
	d := &Data{}
	buckets := bucketsOf(learn)
	for _, p := range held { // the largest bucket takes what is longer
		last := &buckets[len(buckets)-1]
		last.source, last.target = max(last.source, len(p.Source)), max(last.target, len(p.Target))
	}
	var err error
	part := func(list []PairIDs) source {
		s := &pairSource{ids: newIDStore(int(vocab)), start: start, pad: pad, sourcePad: sourcePad, buckets: buckets, of: make([][]int, len(buckets))}
		for i, p := range list {
			s.at = append(s.at, [2]span{newSpan(s.ids.len(), len(p.Source)), newSpan(s.ids.len()+len(p.Source), len(p.Target))})
			for _, side := range [][]int64{p.Source, p.Target} {
				if e := s.ids.add(side); err == nil {
					err = e
				}
			}
			b := slices.IndexFunc(buckets, func(b bucket) bool { return len(p.Source) <= b.source && len(p.Target) <= b.target })
			s.of[b] = append(s.of[b], i)
		}
		return s
	}
	d.train, d.val = part(learn), part(held)
	d.room = func(size int) Batch { return buckets[len(buckets)-1].room(size) }
	d.context = buckets[len(buckets)-1].target
	return d, err
}

// bucket is the size of pairs that are drawn together.
type bucket struct{ source, target int }

// smallestBucket is the share of all pairs that a bucket has at least: a runtime
// compiles a step for each.
const smallestBucket = 8

// bucketsOf returns the buckets of pairs, shortest first. A bucket has a quarter of
// padding at most, unless it were too small.
func bucketsOf(list []PairIDs) []bucket {
	all := slices.Clone(list)
	length := func(p PairIDs) int { return len(p.Source) + len(p.Target) }
	slices.SortStableFunc(all, func(a, b PairIDs) int { return cmp.Compare(length(a), length(b)) })
	var out []bucket
	for end := len(all); end > 0; {
		from := end - 1
		for from > 0 && (4*length(all[from-1]) >= 3*length(all[end-1]) || smallestBucket*(end-from) < len(all)) {
			from--
		}
		if smallestBucket*from < len(all) {
			from = 0
		}
		b := bucket{}
		for _, p := range all[from:end] {
			b.source, b.target = max(b.source, len(p.Source)), max(b.target, len(p.Target))
		}
		out = append(out, b)
		end = from
	}
	slices.Reverse(out)
	for i := 1; i < len(out); i++ { // whatever fits a shorter one fits a longer one
		out[i].source, out[i].target = max(out[i].source, out[i-1].source), max(out[i].target, out[i-1].target)
	}
	return out
}

// room returns a batch of pairs.
func (b bucket) room(size int) Batch {
	tensor := func(k role.Kind, n int) format.Tensor {
		return format.FromInt64s(role.Of(k).Name(), []int{size, n}, make([]int64, size*n))
	}
	return Batch{
		role.SourceTokens: tensor(role.SourceTokens, b.source), role.SourceMask: tensor(role.SourceMask, b.source),
		role.Tokens: tensor(role.Tokens, b.target), role.Labels: tensor(role.Labels, b.target),
	}
}

// fits reports whether a batch has the bucket's sizes.
func (b bucket) fits(batch Batch, size int) bool {
	return batch.size() == size && batch[role.SourceTokens].Shape[1] == b.source && batch[role.Tokens].Shape[1] == b.target
}

// pairSource holds pairs.
type pairSource struct {
	ids        idStore
	at         [][2]span
	start, pad int64
	sourcePad  int64
	buckets    []bucket
	of         [][]int // the pairs of each bucket
}

func (p *pairSource) len() int { return len(p.at) }

// chosen returns the bucket of batch n: each as often as it has pairs.
func (p *pairSource) chosen(stream model.Stream, n int) (bucket, []int) {
	i := stream.IntN(math.MaxUint64-uint64(n), len(p.at)) // far from the numbers that draw its pairs
	for b, of := range p.of {
		if i -= len(of); i < 0 {
			return p.buckets[b], of
		}
	}
	panic("train: a pair is in no bucket")
}

func (p *pairSource) fill(i int, b Batch, at int) {
	row := func(k role.Kind) []int64 {
		n := b[k].Shape[1]
		return b.int64s(k)[at*n : (at+1)*n]
	}
	source, mask, tokens, labels := row(role.SourceTokens), row(role.SourceMask), row(role.Tokens), row(role.Labels)
	s, t := p.at[i][0], p.at[i][1]
	p.ids.read(s.from(), source[:s.len()])
	p.ids.read(t.from(), labels[:t.len()])
	for j := range source {
		mask[j] = 1
		if j >= s.len() {
			source[j], mask[j] = p.sourcePad, 0
		}
	}
	tokens[0] = p.start
	for j := range labels {
		if j >= t.len() {
			labels[j] = model.IgnoreIndex
		}
		if j+1 < len(tokens) {
			if tokens[j+1] = p.pad; j < t.len() {
				tokens[j+1] = labels[j]
			}
		}
	}
}

func (p *pairSource) hash(h hash.Hash) {
	fmt.Fprintln(h, "pairs", p.start, p.pad, p.buckets)
	if p.sourcePad != p.pad {
		fmt.Fprintln(h, "source", p.sourcePad)
	}
	for _, at := range p.at {
		fmt.Fprintln(h, "pair", at[0].len(), at[1].len())
	}
	hashIDs(h, p.ids, 0, p.ids.len())
}
