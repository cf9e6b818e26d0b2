package decode

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// Part runs one part of a network that translates. runtime.Session has its method.
type Part interface {
	Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error)
}

// Pair are the parts of a network that translates, with the names of inputs and
// outputs that graph.Cut gives them: Encoder reads the sources, First the first token of
// the targets, and Next each further one. The encoder runs once for a batch, and the
// keys and values of the sources are computed once, by First.
type Pair struct {
	Encoder, First, Next Part
	Layers               int  // of the decoder
	Recurrent            bool // it keeps the states of its layers, and neither reads the mask of the source nor keys
}

// EarlyStopping says when the search for a target ends. Its values are those of
// transformers' early_stopping.
type EarlyStopping int

// A search ends when no running target could become better than the worst that is
// complete, if it ended now; as soon as there are Beams complete ones; or when none
// could become better whatever its length.
const (
	StopByEstimate EarlyStopping = iota
	StopWhenFull
	StopNever
)

// TranslateOptions configure Translate. The search is that of transformers 5.
type TranslateOptions struct {
	MaxTokens     int     // of a target, without the first; at least 1
	Beams         int     // targets that are continued at the same time; 1: the likeliest token is taken
	Best          int     // complete targets returned for each source, at most Beams; 0: 1
	LengthPenalty float64 // a score is the sum of logarithms of probabilities, divided by length^LengthPenalty
	EarlyStopping EarlyStopping

	Start     int64   // stands before each target
	End       []int64 // each ends a target
	Pad       int64   // fills the rows of short targets
	SourcePad int64   // fills the rows of short sources; the mask hides it
	ForcedEnd []int64 // the last token that MaxTokens leaves is one of these; empty: any
	Banned    []int64 // never generated

	// Renormalize makes the probabilities of the tokens that are left sum to 1 after
	// Banned and ForcedEnd, as transformers' renormalize_logits does.
	Renormalize bool
}

// Target is a translation of a source.
type Target struct {
	IDs   []int64 // without the start, with the end
	Score float64 // see LengthPenalty
	Ended bool    // by an End, and not by MaxTokens
}

// Translate returns the best targets for each source, the best one first. Sources may
// have different lengths, and each at least one token.
func Translate(ctx context.Context, p Pair, sources [][]int64, o TranslateOptions) ([][]Target, error) {
	o.Best = cmp.Or(o.Best, 1)
	if o.MaxTokens < 1 || o.Beams < 1 || o.Best < 1 || o.Best > o.Beams {
		return nil, fmt.Errorf("decode: %d tokens, %d beams and the best %d of them: expected at least 1, and no more best ones than beams", o.MaxTokens, o.Beams, o.Best)
	}
	if len(sources) == 0 {
		return nil, nil
	}
	t, err := begin(p, sources, o)
	if err != nil {
		return nil, err
	}
	searches := make([]*search, len(sources))
	for i := range searches {
		searches[i] = newSearch(o)
	}
	ids := make([]int64, len(sources)*o.Beams)
	for i := range ids {
		ids[i] = o.Start
	}
	for step := range o.MaxTokens {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		logits, err := t.next(ids)
		if err != nil {
			return nil, err
		}
		open := false
		from := make([]int, len(ids)) // rows that the targets continue
		for i, s := range searches {
			s.step(logits[i*o.Beams:(i+1)*o.Beams], step)
			open = open || !s.done
			for j, r := range s.running {
				ids[i*o.Beams+j], from[i*o.Beams+j] = r.last(), i*o.Beams+r.row
			}
		}
		if !open {
			break
		}
		if err := t.reorder(from); err != nil {
			return nil, err
		}
	}
	out := make([][]Target, len(sources))
	for i, s := range searches {
		for _, f := range s.finished[:o.Best] {
			out[i] = append(out[i], Target{f.ids, float64(f.score), slices.Contains(o.End, f.last())})
		}
	}
	return out, nil
}

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
	type candidate struct {
		beam, id int
		score    float32
	}
	keep := max(2, 1+len(s.o.End)) * beams
	var top []candidate // at most keep, the best first
	for i, row := range logits {
		probabilities := s.logSoftmax(row, full)
		for id, x := range probabilities {
			score := x + s.running[i].score
			if len(top) == keep && !(score > top[keep-1].score) {
				continue
			}
			at, _ := slices.BinarySearchFunc(top, score, func(c candidate, score float32) int {
				if c.score >= score {
					return -1
				}
				return 1
			})
			if len(top) == keep {
				top = top[:keep-1]
			}
			top = slices.Insert(top, at, candidate{i, id, score})
		}
	}
	all := !slices.ContainsFunc(s.finished, func(b beam) bool { return !b.ended })
	var running []beam
	for rank, c := range top {
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

// logSoftmax returns the logarithms of the probabilities of the next token.
func (s *search) logSoftmax(logits []float32, full bool) []float32 {
	out := normalized(logits)
	for _, id := range s.o.Banned {
		out[id] = float32(math.Inf(-1))
	}
	if full && len(s.o.ForcedEnd) > 0 {
		for i := range out {
			out[i] = float32(math.Inf(-1))
		}
		for _, id := range s.o.ForcedEnd {
			out[id] = 0
		}
	}
	if s.o.Renormalize {
		return normalized(out)
	}
	return out
}

// normalized returns log-softmax of x.
func normalized(x []float32) []float32 {
	top, sum := slices.Max(x), 0.0
	for _, v := range x {
		sum += math.Exp(float64(v - top))
	}
	shift := float64(top) + math.Log(sum)
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(float64(v) - shift)
	}
	return out
}

// translating is the state of a batch: Beams rows for each source.
type translating struct {
	Pair
	given map[string]format.Tensor // to Next, besides the tokens
	begun bool
}

// begin runs the encoder.
func begin(p Pair, sources [][]int64, o TranslateOptions) (*translating, error) {
	longest := 0
	for i, s := range sources {
		if longest = max(longest, len(s)); len(s) == 0 {
			return nil, fmt.Errorf("decode: source %d has no tokens", i+1)
		}
	}
	ids, mask := make([]int64, 0, len(sources)*longest), make([]int64, 0, len(sources)*longest)
	for _, s := range sources {
		for i := range longest {
			if i < len(s) {
				ids, mask = append(ids, s[i]), append(mask, 1)
			} else {
				ids, mask = append(ids, o.SourcePad), append(mask, 0)
			}
		}
	}
	shape := []int{len(sources), longest}
	out, err := p.Encoder.Run(map[string]format.Tensor{
		idsName:                   format.FromInt64s(idsName, shape, ids),
		role.AttentionMask.Name(): format.FromInt64s(role.AttentionMask.Name(), shape, mask),
	})
	if err != nil {
		return nil, err
	}
	t := &translating{Pair: p, given: map[string]format.Tensor{}}
	rows := make([]int, 0, len(sources)*o.Beams)
	for i := range sources {
		for range o.Beams {
			rows = append(rows, i)
		}
	}
	states, seen := role.SourceStates.Name(), role.SourceMask.Name()
	hidden, ok := out[role.Hidden.Name()]
	if !ok {
		return nil, fmt.Errorf("decode: the encoder has no output %.80q", role.Hidden.Name())
	}
	t.given[states] = rowsOf(hidden, rows).WithName(states)
	if !p.Recurrent {
		t.given[seen] = rowsOf(format.FromInt64s("", shape, mask), rows).WithName(seen)
	}
	return t, nil
}

// next returns the logits behind a further token of each row.
func (t *translating) next(ids []int64) ([][]float32, error) {
	part := t.First
	if t.begun {
		part = t.Next
	}
	t.given[idsName] = format.FromInt64s(idsName, []int{len(ids), 1}, ids)
	out, err := part.Run(t.given)
	if err != nil {
		return nil, err
	}
	keep := func(past, present role.Kind, i int) error {
		name := role.Layered(past, i).Name()
		x, ok := out[role.Layered(present, i).Name()]
		if !ok {
			return fmt.Errorf("decode: the decoder has no output %.80q", role.Layered(present, i).Name())
		}
		x.Data = slices.Clone(x.Data) // the session's, until it runs again
		t.given[name] = x.WithName(name)
		return nil
	}
	for i := range t.Layers {
		kinds := [][2]role.Kind{{role.PastTargetKey, role.PresentTargetKey}, {role.PastTargetValue, role.PresentTargetValue}}
		switch {
		case t.Recurrent:
			kinds = [][2]role.Kind{{role.PastState, role.PresentState}, {role.PastCell, role.PresentCell}}
			if _, cell := out[role.Layered(role.PresentCell, i).Name()]; !cell {
				kinds = kinds[:1]
			}
		case !t.begun:
			kinds = append(kinds, [2]role.Kind{role.PastSourceKey, role.PresentSourceKey}, [2]role.Kind{role.PastSourceValue, role.PresentSourceValue})
		}
		for _, k := range kinds {
			if err := keep(k[0], k[1], i); err != nil {
				return nil, err
			}
		}
	}
	if !t.begun {
		delete(t.given, role.SourceStates.Name())
		t.begun = true
	}
	logits, ok := out[logitsName]
	if !ok {
		return nil, fmt.Errorf("decode: the decoder has no output %.80q", logitsName)
	}
	if logits, _, err = logits.Convert(format.Float32); err != nil {
		return nil, err
	}
	flat, err := logits.Float32s()
	if err != nil {
		return nil, err
	}
	vocab := len(flat) / len(ids)
	rows := make([][]float32, len(ids))
	for i := range rows {
		rows[i] = flat[i*vocab : (i+1)*vocab]
	}
	return rows, nil
}

// reorder makes each row continue another: its keys and values of the target. Those of
// the source are the same in all rows of a source.
func (t *translating) reorder(from []int) error {
	if slices.IsSorted(from) && len(slices.Compact(slices.Clone(from))) == len(from) {
		return nil
	}
	for i := range t.Layers {
		for _, k := range []role.Kind{role.PastTargetKey, role.PastTargetValue, role.PastState, role.PastCell} {
			name := role.Layered(k, i).Name()
			if x, kept := t.given[name]; kept {
				t.given[name] = rowsOf(x, from).WithName(name)
			}
		}
	}
	return nil
}

// rowsOf returns rows of a tensor along its first axis.
func rowsOf(x format.Tensor, rows []int) format.Tensor {
	size := len(x.Data) / max(x.Shape[0], 1)
	out := format.Tensor{DType: x.DType, Shape: slices.Clone(x.Shape), Data: make([]byte, 0, size*len(rows))}
	out.Shape[0] = len(rows)
	for _, r := range rows {
		out.Data = append(out.Data, x.Data[r*size:(r+1)*size]...)
	}
	return out
}
