package decode

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

func options(change func(*GenerateOptions)) GenerateOptions {
	o := GenerateOptions{MaxTokens: 5, Pick: picked(greedy)}
	if change != nil {
		change(&o)
	}
	return o
}

// picked makes a Pick of a choice that does not ask for the sequence.
func picked(choose func([]float32, int) (int, error)) func([]float32, []int64, int, int) (int, error) {
	return func(logits []float32, _ []int64, _, step int) (int, error) { return choose(logits, step) }
}

// generate continues one prompt.
func generate(ctx context.Context, s runtime.Session, context int, prompt []int64, o GenerateOptions) (Generated, error) {
	out, err := Generate(ctx, Recompute(s, 1, context), [][]int64{prompt}, o)
	return out[0], err
}

// expected returns n tokens of greedy choice, each from a run of its own.
func expected(t *testing.T, prompt []int64, n int) []int64 {
	t.Helper()
	text := slices.Clone(prompt)
	for range n {
		out, err := oracle().Run(runtime.Case{Batch: 1, Length: len(text), IDs: text}.Inputs())
		if err != nil {
			t.Fatal(err)
		}
		v, err := out["logits"].Float64s()
		if err != nil {
			t.Fatal(err)
		}
		row := v[len(v)-vocab:]
		text = append(text, int64(slices.Index(row, slices.Max(row))))
	}
	return text[len(prompt):]
}

func TestGenerate(t *testing.T) {
	prompt := []int64{3, 1, 4}
	want := expected(t, prompt, 14)
	// The first token that differs from all before it can serve as a stop token.
	stopAt := 1
	for slices.Contains(want[:stopAt], want[stopAt]) {
		stopAt++
	}
	for _, c := range []struct {
		name    string
		session *fake
		context int
		change  func(*GenerateOptions)
		want    []int64
		reason  StopReason
		runs    int
	}{
		{"float32", &fake{vocab: vocab}, 16, nil, want[:5], StopMaxTokens, 5},
		{"float64", oracle(), 16, nil, want[:5], StopMaxTokens, 5},
		{"none asked for", oracle(), 16, func(o *GenerateOptions) { o.MaxTokens = 0 }, nil, StopMaxTokens, 0},
		{"stop token", oracle(), 16, func(o *GenerateOptions) { o.Stop = []int64{99, want[stopAt]} }, want[:stopAt], StopToken, stopAt + 1},
		{"context", oracle(), 6, func(o *GenerateOptions) { o.MaxTokens = 50 }, want[:4], StopContext, 4},
		{"prompt as long as the context", oracle(), 3, nil, want[:1], StopContext, 1},
		{"as many tokens as the context allows", oracle(), 6, func(o *GenerateOptions) { o.MaxTokens = 4 }, want[:4], StopMaxTokens, 4},
	} {
		var heard []int64
		o := options(c.change)
		o.OnToken = func(_ int, id int64) error { heard = append(heard, id); return nil }
		got, err := generate(t.Context(), c.session, c.context, prompt, o)
		if err != nil || !slices.Equal(got.IDs, c.want) || got.Reason != c.reason || !slices.Equal(heard, got.IDs) || c.session.runs != c.runs {
			t.Errorf("%s: %+v, %v, heard %v, %d runs; want %v, %s, %d runs", c.name, got, err, heard, c.session.runs, c.want, c.reason, c.runs)
		}
	}
	if !slices.Equal(prompt, []int64{3, 1, 4}) {
		t.Errorf("the prompt became %v", prompt)
	}
}

func TestGenerateSteps(t *testing.T) {
	var steps [][2]int
	o := options(func(o *GenerateOptions) {
		o.MaxTokens = 3
		o.Pick = func(logits []float32, _ []int64, sequence, step int) (int, error) {
			if len(logits) != vocab {
				t.Errorf("step %d has %d logits", step, len(logits))
			}
			steps = append(steps, [2]int{sequence, step})
			return 0, nil
		}
	})
	_, err := Generate(t.Context(), Recompute(oracle(), 2, 16), [][]int64{{1}, {2, 3}}, o)
	if want := [][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}, {0, 2}, {1, 2}}; err != nil || !slices.Equal(steps, want) {
		t.Errorf("sequences and steps %v, %v", steps, err)
	}
}

// The window of a sliding text is written down here once more: while it fits
// the text is whole, then its last half is what the model sees.
func TestGenerateSliding(t *testing.T) {
	for _, context := range []int{1, 2, 5, 8} {
		window := []int64{4}
		var want []int64
		for range 25 {
			id := expected(t, window, 1)[0]
			want, window = append(want, id), append(window, id)
			if len(window) > context {
				window = window[len(window)-max(1, context/2):]
			}
		}
		got, err := generate(t.Context(), oracle(), context, []int64{4}, options(func(o *GenerateOptions) { o.MaxTokens, o.Sliding = 25, true }))
		if err != nil || !slices.Equal(got.IDs, want) || got.Reason != StopMaxTokens {
			t.Errorf("context %d: %+v, %v, want %v", context, got, err, want)
		}
	}
}

// counted is a Model that counts what it is asked.
type counted struct {
	Model
	prefills, tokens int
}

func (c *counted) Prefill(prompts [][]int64) ([]float32, error) {
	c.prefills++
	for _, p := range prompts {
		c.tokens += len(p)
	}
	return c.Model.Prefill(prompts)
}

// Sliding costs one prefill of half a context for every half context.
func TestGenerateSlidingCost(t *testing.T) {
	m := &counted{Model: Recompute(oracle(), 1, 16)}
	_, err := Generate(t.Context(), m, [][]int64{make([]int64, 16)}, options(func(o *GenerateOptions) { o.MaxTokens, o.Sliding = 1+3*9, true }))
	if err != nil || m.prefills != 1+3 || m.tokens != 16+3*8 {
		t.Errorf("%d prefills of %d tokens, %v", m.prefills, m.tokens, err)
	}
}

// A sequence that goes on alone is run anew once, when the cache of the batch
// is full, and the one that has ended with a single token.
func TestGenerateRunsTheRestAnew(t *testing.T) {
	d, _ := kind{cache: role.CacheConcat, lastOnly: true, dtype: format.Float32, bound: logitsBound}.decoder(t, 2)
	m := &counted{Model: d}
	got, err := Generate(t.Context(), m, [][]int64{make([]int64, 15), {1}}, options(func(o *GenerateOptions) { o.MaxTokens = 12 }))
	if err != nil || got[0].Reason != StopContext || got[1].Reason != StopMaxTokens || m.prefills != 2 || m.tokens != 15+1+1+3 {
		t.Errorf("%v, %v: %d prefills of %d tokens", got, err, m.prefills, m.tokens)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		prompt []int64
		change func(*GenerateOptions)
		typed  bool // a *PromptError
		want   string
	}{
		{"empty prompt", nil, nil, true, "prompt 1 is empty"},
		{"long prompt", make([]int64, 17), nil, true, "prompt 1 has 17 tokens, the model sees 16"},
		{"negative id", []int64{1, -2}, nil, true, "prompt 1 has id -2 at token 1"},
		{"idle is no id", []int64{Idle}, nil, true, "prompt 1 has id -1 at token 0"},
		{"id beyond the vocabulary", []int64{11}, nil, true, "prompt 1 has id 11 at token 0, outside the vocabulary of 11"},
		{"no pick", []int64{1}, func(o *GenerateOptions) { o.Pick = nil }, false, "no function to pick"},
		{"negative count", []int64{1}, func(o *GenerateOptions) { o.MaxTokens = -1 }, false, "-1 tokens"},
		{"picked beyond the vocabulary", []int64{1}, func(o *GenerateOptions) {
			o.Pick = picked(func([]float32, int) (int, error) { return 11, nil })
		}, false, "token 0: sequence 0: the picked id is 11: it must be from 0 to 10"},
		{"picked a negative id", []int64{1}, func(o *GenerateOptions) {
			o.Pick = picked(func([]float32, int) (int, error) { return -1, nil })
		}, false, "token 0: sequence 0: the picked id is -1"},
	} {
		got, err := Generate(t.Context(), Recompute(oracle(), 2, 16), [][]int64{{1}, c.prompt}, options(c.change))
		var prompt *PromptError
		if err == nil || !strings.Contains(err.Error(), c.want) || len(got) != 2 || len(got[0].IDs)+len(got[1].IDs) != 0 || errors.As(err, &prompt) != c.typed {
			t.Errorf("%s: %+v, %v, want %q", c.name, got, err, c.want)
		}
	}
	for _, c := range []struct {
		batch, context int
		prompts        [][]int64
		want           string
	}{
		{1, 0, [][]int64{{1}}, "context 0"},
		{1, 16, nil, "no prompt"},
		{1, 16, [][]int64{{1}, {2}}, "2 prompts for a batch of 1"},
		{-3, 16, [][]int64{{1}}, "1 prompts for a batch of 0"},
	} {
		if _, err := Generate(t.Context(), Recompute(oracle(), c.batch, c.context), c.prompts, options(nil)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// What was made before an error comes with it.
func TestGenerateStops(t *testing.T) {
	fault := errors.New("fault")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	count := 0
	third := func() bool { count++; return count == 3 }
	for _, c := range []struct {
		name    string
		session *fake
		change  func(*GenerateOptions)
		want    error
		ids     int
	}{
		{"pick fails", oracle(), func(o *GenerateOptions) {
			o.Pick = picked(func([]float32, int) (int, error) {
				if third() {
					return 0, fault
				}
				return 1, nil
			})
		}, fault, 2},
		{"listener fails", oracle(), func(o *GenerateOptions) {
			o.OnToken = func(int, int64) error {
				if third() {
					return fault
				}
				return nil
			}
		}, fault, 3},
		{"session fails", &fake{run: func(in format.Tensor) (format.Tensor, error) {
			if third() {
				return format.Tensor{}, fault
			}
			return format.FromFloat32s("logits", []int{1, in.Shape[1], 2}, make([]float32, 2*in.Shape[1])), nil
		}}, nil, fault, 2},
		{"cancelled", oracle(), func(o *GenerateOptions) {
			o.OnToken = func(int, int64) error {
				if third() {
					cancel()
				}
				return nil
			}
		}, context.Canceled, 3},
	} {
		count = 0
		got, err := generate(ctx, c.session, 16, []int64{1}, options(c.change))
		if !errors.Is(err, c.want) || len(got.IDs) != c.ids || got.Reason != "" {
			t.Errorf("%s: %+v, %v, want %d ids and %v", c.name, got, err, c.ids, c.want)
		}
	}
}

func TestGenerateChecksLogits(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		logits format.Tensor
		want   string
	}{
		{format.FromFloat32s("", []int{1, 2, 4}, make([]float32, 8)), "logits have shape [1 2 4], want (1,1,V)"},
		{format.FromFloat32s("", []int{2, 1, 4}, make([]float32, 8)), "logits have shape [2 1 4]"},
		{format.FromFloat32s("", []int{1, 4}, make([]float32, 4)), "logits have shape [1 4]"},
		{format.FromFloat32s("", []int{1, 1, 0}, nil), "logits have shape [1 1 0]"},
		{format.FromInt64s("", []int{1, 1, 4}, make([]int64, 4)), "logits of I64 is not supported"},
		{format.Tensor{}, "unknown element type"},
		{format.FromFloat32s("", []int{1, 1, 3}, []float32{1, 2, nan}), "token 0: sequence 0, position 0: the logit of token 2 is NaN"},
		{format.FromFloat32s("", []int{1, 1, 3}, []float32{1, inf, 2}), "the logit of token 1 is +Inf"},
	} {
		s := &fake{run: func(format.Tensor) (format.Tensor, error) { return c.logits, nil }}
		if _, err := generate(t.Context(), s, 16, []int64{1}, options(func(o *GenerateOptions) { o.MaxTokens = 1 })); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	masked := &fake{run: func(format.Tensor) (format.Tensor, error) {
		return format.FromFloat32s("", []int{1, 1, 2}, []float32{-inf, 1}), nil
	}}
	if got, err := generate(t.Context(), masked, 16, []int64{1}, options(func(o *GenerateOptions) { o.MaxTokens = 1 })); err != nil || !slices.Equal(got.IDs, []int64{1}) {
		t.Errorf("a token that is never chosen: %+v, %v", got, err)
	}
}

// A vocabulary that changes on the way would shift the rows of a batch.
func TestGenerateOneVocabulary(t *testing.T) {
	s := &fake{run: func(in format.Tensor) (format.Tensor, error) {
		v := 1 + in.Shape[1]
		return format.FromFloat32s("", []int{1, in.Shape[1], v}, make([]float32, v*in.Shape[1])), nil
	}}
	if got, err := generate(t.Context(), s, 16, []int64{0}, options(nil)); err == nil || !strings.Contains(err.Error(), "logits of 3 tokens, before they were of 2") || len(got.IDs) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
