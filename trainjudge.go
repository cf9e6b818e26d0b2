package attnx

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/pairs"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/score"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
)

// translationJudge translates held-out sources with a network in training and scores the results.
type translationJudge struct {
	tok     *tokens.Tokenizer
	pairs   []pairs.Pair
	sources [][]int64
	limit   int // tokens of a target
}

// scores translates all sources, each time with the likeliest token.
func (j *translationJudge) scores(c *model.Checkpoint, device string) (score.Scores, error) {
	session, err := plainSession(c, device)
	if err != nil {
		return score.Scores{}, err
	}
	defer session.Close()
	ids, err := greedy(session, c, j.sources, j.limit)
	if err != nil {
		return score.Scores{}, err
	}
	var got, want, sources []string
	for i, p := range j.pairs {
		text, err := j.tok.Target().Decode(ids[i])
		if err != nil {
			return score.Scores{}, err
		}
		got, want, sources = append(got, text), append(want, p.Target), append(sources, p.Source)
	}
	return score.Of(got, want, sources), nil
}

// TranslateGreedily translates texts with the tokenizer of a checkpoint, each time with
// the likeliest token. It computes the whole target again for each token: for a few
// sentences of a run that has just ended.
func TranslateGreedily(c *model.Checkpoint, texts []string) ([]string, error) {
	tok, err := tokens.Parse(c.Tokenizer)
	if err != nil {
		return nil, err
	}
	if !c.Translates() || c.Special == nil || c.Special.Start == nil || c.Special.Pad == nil || len(c.Special.End) == 0 {
		return nil, fmt.Errorf("%s does not translate, or has no ids that begin and pad a target", c.Arch)
	}
	session, err := plainSession(c, "")
	if err != nil {
		return nil, err
	}
	defer session.Close()
	var sources [][]int64
	for _, text := range texts {
		sources = append(sources, sourceIDs(tok, text, c.Special.End[0]))
	}
	ids, err := greedy(session, c, sources, pairContext)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(ids))
	for i := range ids {
		if out[i], err = tok.Target().Decode(ids[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// plainSession runs a checkpoint over whole texts: in ONNX Runtime, or in Go.
func plainSession(c *model.Checkpoint, device string) (runtime.Session, error) {
	m, err := OpenCheckpoint(c, export.Plain{}, Options{Device: device})
	if err == nil {
		return m.Session, nil
	}
	if !errors.Is(err, runtime.ErrUnavailable) {
		return nil, err
	}
	return gorgonia.NewForward(c.Graph, c.Weights)
}

// greedyBatch is the number of sources that are translated together.
const greedyBatch = 64

// greedy returns the target of each source, without start and end: at each place the
// token with the highest score. The whole target is computed again for each token,
// padded to multiples of a few tokens, so that a runtime sees few sizes.
func greedy(s runtime.Session, c *model.Checkpoint, sources [][]int64, limit int) ([][]int64, error) {
	order := make([]int, len(sources))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(sources[a]), len(sources[b])) })
	out := make([][]int64, len(sources))
	for batch := range slices.Chunk(order, greedyBatch) {
		if err := greedyOf(s, c, sources, batch, limit, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func greedyOf(s runtime.Session, c *model.Checkpoint, sources [][]int64, batch []int, limit int, out [][]int64) error {
	const step = 8
	round := func(n int) int { return (n + step - 1) / step * step }
	name := func(k role.Kind) string {
		if v := c.Graph.Input(role.Of(k)); v != nil {
			return v.Name
		}
		return k.Name()
	}
	longest := len(sources[batch[len(batch)-1]])
	S := round(longest)
	if most := c.Context(); most > 0 {
		S, limit = min(S, most), min(limit, most)
	}
	limit = min(limit, 2*longest+16)
	ids, mask := make([]int64, len(batch)*S), make([]int64, len(batch)*S)
	for i := range ids {
		ids[i] = min(*c.Special.Pad, int64(c.SourceIDs())-1) // hidden by the mask
	}
	for row, i := range batch {
		copy(ids[row*S:], sources[i])
		for j := range sources[i] {
			mask[row*S+j] = 1
		}
	}
	logits, _ := c.Graph.Output(role.Of(role.Logits))
	ended := make([]bool, len(batch))
	for t := range limit {
		T := min(round(t+1), limit)
		tokens := make([]int64, len(batch)*T)
		for row, i := range batch {
			tokens[row*T] = *c.Special.Start
			copy(tokens[row*T+1:(row+1)*T], out[i])
		}
		result, err := s.Run(map[string]format.Tensor{
			name(role.SourceTokens): format.FromInt64s(name(role.SourceTokens), []int{len(batch), S}, ids),
			name(role.SourceMask):   format.FromInt64s(name(role.SourceMask), []int{len(batch), S}, mask),
			name(role.Tokens):       format.FromInt64s(name(role.Tokens), []int{len(batch), T}, tokens),
		})
		if err != nil {
			return err
		}
		x := result[logits.Name]
		numbers, err := x.Float32s()
		if err != nil {
			return err
		}
		V := x.Shape[2]
		running := false
		for row, i := range batch {
			if ended[row] {
				continue
			}
			at := numbers[(row*T+t)*V : (row*T+t+1)*V]
			best := int64(0)
			for id, v := range at {
				if v > at[best] {
					best = int64(id)
				}
			}
			if ended[row] = slices.Contains(c.Special.End, best); !ended[row] {
				out[i] = append(out[i], best)
				running = true
			}
		}
		if !running {
			return nil
		}
	}
	return nil
}
