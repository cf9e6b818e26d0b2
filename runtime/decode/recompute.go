package decode

import (
	"errors"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// Recompute returns a Model that runs the whole text of a sequence through the
// session for every token, one sequence after the other. It serves runtimes and
// files without a cache. The caller still closes the session.
func Recompute(s runtime.Session, batch, context int) Model {
	return &recompute{session: s, context: context, texts: make([][]int64, max(batch, 0))}
}

type recompute struct {
	session runtime.Session
	context int
	texts   [][]int64
	rows    []float32 // (batch,vocab), of the logits
	vocab   int       // 0 until the first run
	ready   bool
}

func (r *recompute) Context() int { return r.context }
func (r *recompute) Full() bool   { return false }

func (r *recompute) Prefill(prompts [][]int64) ([]float32, error) {
	if err := checkPrompts(prompts, len(r.texts), r.context, r.vocab); err != nil {
		return nil, err
	}
	r.ready = false
	for i, p := range prompts {
		r.texts[i] = append(r.texts[i][:0], p...)
		if err := r.run(i); err != nil {
			return nil, fmt.Errorf("prefill: %w", err)
		}
	}
	// The session reveals its vocabulary only after a run. If an id was out of
	// range, that run's result is discarded.
	if err := checkPrompts(prompts, len(r.texts), r.context, r.vocab); err != nil {
		return nil, err
	}
	r.ready = true
	return r.rows, nil
}

func (r *recompute) Step(ids []int64) ([]float32, error) {
	if !r.ready {
		return nil, errors.New("step: no sequences to continue: begin with Prefill")
	}
	if err := checkStep(ids, r.lengths(), r.context, r.vocab); err != nil {
		return nil, fmt.Errorf("step: %w", err)
	}
	r.ready = false
	for i, id := range ids {
		if id == Idle {
			continue
		}
		r.texts[i] = append(r.texts[i], id)
		if err := r.run(i); err != nil {
			return nil, fmt.Errorf("step: %w", err)
		}
	}
	r.ready = true
	return r.rows, nil
}

func (r *recompute) lengths() []int {
	n := make([]int, len(r.texts))
	for i, text := range r.texts {
		n[i] = len(text)
	}
	return n
}

// run writes the logits after one sequence to its row.
func (r *recompute) run(sequence int) error {
	text := r.texts[sequence]
	out, err := r.logits(text)
	if err != nil {
		return err
	}
	row, err := lastRow(out, len(text))
	if err != nil {
		return err
	}
	if r.vocab == 0 {
		r.vocab = len(row)
		r.rows = make([]float32, len(r.texts)*r.vocab)
	}
	if len(row) != r.vocab {
		return fmt.Errorf("logits of %d tokens, before they were of %d", len(row), r.vocab)
	}
	copy(r.rows[sequence*r.vocab:], row)
	return nil
}

// logits returns the logits of a text, (1,T,V), valid until the next run.
func (r *recompute) logits(text []int64) (format.Tensor, error) {
	in, name := role.Of(role.Tokens).Name(), role.Of(role.Logits).Name()
	out, err := r.session.Run(map[string]format.Tensor{in: format.FromInt64s(in, []int{1, len(text)}, slices.Clone(text))})
	if err != nil {
		return format.Tensor{}, err
	}
	t, ok := out[name]
	if !ok {
		return format.Tensor{}, fmt.Errorf("the session gives no output %.80q", name)
	}
	return t.WithName(name), t.Check()
}

// lastRow returns the logits (V) of the last token of t (1,length,V), float32
// or float64. They may share t's memory.
func lastRow(t format.Tensor, length int) ([]float32, error) {
	if len(t.Shape) != 3 || t.Shape[0] != 1 || t.Shape[1] != length || t.Shape[2] < 1 {
		return nil, fmt.Errorf("logits have shape %v, want (1,%d,V)", t.Shape, length)
	}
	start := (length - 1) * t.Shape[2]
	switch t.DType {
	case format.Float32:
		v, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		return v[start:], nil
	case format.Float64:
		v, err := t.Float64s()
		if err != nil {
			return nil, err
		}
		row := make([]float32, t.Shape[2])
		for i, x := range v[start:] {
			row[i] = float32(x)
		}
		return row, nil
	}
	return nil, fmt.Errorf("choosing from logits of %s is not supported", t.DType)
}
