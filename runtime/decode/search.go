package decode

import (
	"cmp"
	"math"
	"slices"

	"github.com/attnx/attnx/internal/exponential"
)

// search is the search for the targets of one source.
type search struct {
	o        TranslateOptions
	running  []beam
	finished []beam // Beams of them, the best first; those that do not exist yet have scores near -1e9
	done     bool
}

// beam is a target in a search.
type beam struct {
	ids   []int64
	score float32 // running: of the whole; finished: with the penalty of the length
	ended bool
	row   int // of the search, that it continues
}

func (b beam) last() int64 {
	if len(b.ids) == 0 {
		return 0
	}
	return b.ids[len(b.ids)-1]
}

// never is transformers' score of what cannot be.
const never = -1e9

func newSearch(o TranslateOptions) *search {
	s := &search{o: o, running: make([]beam, o.Beams), finished: make([]beam, o.Beams)}
	for i := range s.running {
		s.running[i].row = i
		if s.finished[i].score = never; i > 0 {
			s.running[i].score = never // all begin alike: only the first counts
		}
	}
	return s
}

// step continues the running targets by a token each, by the logits of their next
// tokens. It is _beam_search of transformers 5, for one source.
func (s *search) step(logits [][]float32, step int) {
	if s.done {
		return
	}
	beams := s.o.Beams
	full := step+1 == s.o.MaxTokens
	top := candidates{most: max(2, 1+len(s.o.End)) * beams}
	for i, row := range logits {
		top.add(i, s.running[i].score, s.likelihoods(row, full))
	}
	all := !slices.ContainsFunc(s.finished, func(b beam) bool { return !b.ended })
	var running []beam
	for rank, c := range top.best {
		b := beam{ids: append(slices.Clone(s.running[c.beam].ids), int64(c.id)), score: c.score, row: c.beam}
		ends := full || slices.Contains(s.o.End, int64(c.id))
		if !ends {
			running = append(running, b)
			continue
		}
		if rank >= beams || all && s.o.EarlyStopping == StopWhenFull {
			continue // a reserve, which keeps the number of running targets
		}
		b.ended = true
		b.score = float32(float64(c.score) / math.Pow(float64(step+1), s.o.LengthPenalty))
		s.finished = append(s.finished, b)
	}
	slices.SortStableFunc(s.finished, func(a, b beam) int { return cmp.Compare(b.score, a.score) })
	s.finished = s.finished[:beams]
	if full || len(running) < beams {
		s.done = true
		return
	}
	s.running = running[:beams]
	s.done = !s.improves(step+1) || s.o.EarlyStopping == StopWhenFull && !slices.ContainsFunc(s.finished, func(b beam) bool { return !b.ended })
}

// improves reports whether a running target of the given length might become better
// than a complete one.
func (s *search) improves(length int) bool {
	if s.o.Beams == 1 && s.finished[0].ended {
		return false // the likeliest token ended it
	}
	if s.o.EarlyStopping == StopNever && s.o.LengthPenalty > 0 {
		length = s.o.MaxTokens
	}
	best := float32(float64(s.running[0].score) / math.Pow(float64(length), s.o.LengthPenalty))
	return slices.ContainsFunc(s.finished, func(b beam) bool {
		worst := float32(never)
		if b.ended {
			worst = s.finished[len(s.finished)-1].score
		}
		return best > worst
	})
}

// candidate is a running target, continued by a token.
type candidate struct {
	beam, id int
	score    float32
}

// candidates are the best ones, the best first.
type candidates struct {
	best []candidate
	most int
}

// add adds what continues a running target of the given score.
func (c *candidates) add(beam int, score float32, p likelihoods) {
	low := float32(math.NaN()) // no logit up to it makes a candidate; NaN: not known
	for id, x := range p.logits {
		if x <= low {
			continue
		}
		score := p.of(id) + score
		if len(c.best) == c.most && !(score > c.best[c.most-1].score) {
			if !p.isBanned(id) {
				low = x
			}
			continue
		}
		at, _ := slices.BinarySearchFunc(c.best, score, func(c candidate, score float32) int {
			if c.score >= score {
				return -1
			}
			return 1
		})
		if len(c.best) == c.most {
			c.best = c.best[:c.most-1]
		}
		c.best = slices.Insert(c.best, at, candidate{beam, id, score})
	}
}

// likelihoods are the logarithms of the probabilities of the next token.
type likelihoods struct {
	logits []float32
	shift  float64 // of the logits
	banned []int64 // have the probability 0
}

func (l likelihoods) isBanned(id int) bool { return slices.Contains(l.banned, int64(id)) }

// of returns that of a token.
func (l likelihoods) of(id int) float32 {
	if l.isBanned(id) {
		return float32(math.Inf(-1))
	}
	return float32(float64(l.logits[id]) - l.shift)
}

func (s *search) likelihoods(logits []float32, full bool) likelihoods {
	if full && len(s.o.ForcedEnd) > 0 {
		l := likelihoods{logits: slices.Repeat([]float32{float32(math.Inf(-1))}, len(logits))}
		for _, id := range s.o.ForcedEnd {
			l.logits[id] = 0
		}
		if s.o.Renormalize {
			l.shift = exponential.LogSum(l.logits)
		}
		return l
	}
	allowed := [][]float32{logits}
	if s.o.Renormalize {
		allowed = nil
		at := 0
		for _, id := range slices.Compact(slices.Sorted(slices.Values(s.o.Banned))) {
			allowed = append(allowed, logits[at:id])
			at = int(id) + 1
		}
		allowed = append(allowed, logits[at:])
	}
	return likelihoods{logits, exponential.LogSum(allowed...), s.o.Banned}
}
