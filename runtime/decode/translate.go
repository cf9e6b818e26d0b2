package decode

import (
	"cmp"
	"context"
	"fmt"
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
	searches, open := make([]*search, len(sources)), make([]int, len(sources)) // open: the sources whose search goes on
	for i := range searches {
		searches[i], open[i] = newSearch(o), i
	}
	ids := slices.Repeat([]int64{o.Start}, len(sources))
	for step := range o.MaxTokens {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		logits, err := t.next(ids)
		if err != nil {
			return nil, err
		}
		rows := len(logits) / len(open) // of a source: one at first, since all its targets begin alike
		var from []int                  // rows that the targets continue
		ids = ids[:0]
		going := open[:0]
		for at, i := range open {
			s := searches[i]
			of := logits[at*rows : (at+1)*rows]
			if rows == 1 {
				of = slices.Repeat(of, o.Beams)
			}
			s.step(of, step)
			if s.done {
				continue
			}
			going = append(going, i)
			for _, r := range s.running {
				ids, from = append(ids, r.last()), append(from, at*rows+min(r.row, rows-1))
			}
		}
		if open = going; len(open) == 0 {
			break
		}
		t.continues(from, len(from) != len(logits))
	}
	out := make([][]Target, len(sources))
	for i, s := range searches {
		for _, f := range s.finished[:o.Best] {
			out[i] = append(out[i], Target{f.ids, float64(f.score), slices.Contains(o.End, f.last())})
		}
	}
	return out, nil
}

// translating is the state of a batch: Beams rows for each source, and one before the
// first token.
type translating struct {
	Pair
	given map[string]format.Tensor // to Next, besides the tokens
	kept  map[string]format.Tensor // what the last run gave for the next one: the session's, until it runs again
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
	states, seen := role.SourceStates.Name(), role.SourceMask.Name()
	hidden, ok := out[role.Hidden.Name()]
	if !ok {
		return nil, fmt.Errorf("decode: the encoder has no output %.80q", role.Hidden.Name())
	}
	t.given[states] = hidden.WithName(states)
	if !p.Recurrent {
		t.given[seen] = format.FromInt64s(seen, shape, mask)
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
	t.kept = map[string]format.Tensor{}
	keep := func(past, present role.Kind, i int) error {
		name := role.Layered(past, i).Name()
		x, ok := out[role.Layered(present, i).Name()]
		if !ok {
			return fmt.Errorf("decode: the decoder has no output %.80q", role.Layered(present, i).Name())
		}
		t.kept[name] = x.WithName(name)
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

// continues makes the rows of the next run continue those of the last one. others: they are
// other rows of the sources, too.
func (t *translating) continues(from []int, others bool) {
	if !t.begun {
		delete(t.given, role.SourceStates.Name())
	}
	if others || !t.begun {
		for name, x := range t.given {
			if name != idsName && t.kept[name].Data == nil {
				t.kept[name] = x
			}
		}
	}
	t.begun = true
	for name, x := range t.kept {
		free := t.given[name].Data // nothing reads it after the run
		if len(free) > 0 && &free[0] == &x.Data[0] {
			free = nil
		}
		t.given[name] = rowsOf(x, from, free).WithName(name)
	}
}

// rowsOf returns rows of a tensor along its first axis, in the memory that is given if that is
// large enough.
func rowsOf(x format.Tensor, rows []int, memory []byte) format.Tensor {
	size := len(x.Data) / max(x.Shape[0], 1)
	if cap(memory) < size*len(rows) {
		memory = make([]byte, 0, size*len(rows)*5/4) // the next token needs more
	}
	out := format.Tensor{DType: x.DType, Shape: slices.Clone(x.Shape), Data: memory[:0]}
	out.Shape[0] = len(rows)
	for _, r := range rows {
		out.Data = append(out.Data, x.Data[r*size:(r+1)*size]...)
	}
	return out
}
