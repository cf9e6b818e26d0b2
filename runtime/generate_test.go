package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

func options(change func(*GenerateOptions)) GenerateOptions {
	o := GenerateOptions{MaxTokens: 5, Context: 16, Pick: greedy}
	if change != nil {
		change(&o)
	}
	return o
}

// expected returns n tokens of greedy choice, each from a run of its own.
func expected(t *testing.T, prompt []int64, n int) []int64 {
	t.Helper()
	text := slices.Clone(prompt)
	for range n {
		out, err := oracle().Run(Case{Batch: 1, Length: len(text), IDs: text}.Inputs())
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
		change  func(*GenerateOptions)
		want    []int64
		reason  StopReason
		runs    int
	}{
		{"float32", &fake{vocab: vocab}, nil, want[:5], StopMaxTokens, 5},
		{"float64", oracle(), nil, want[:5], StopMaxTokens, 5},
		{"none asked for", oracle(), func(o *GenerateOptions) { o.MaxTokens = 0 }, nil, StopMaxTokens, 0},
		{"stop token", oracle(), func(o *GenerateOptions) { o.Stop = []int64{99, want[stopAt]} }, want[:stopAt], StopToken, stopAt + 1},
		{"context", oracle(), func(o *GenerateOptions) { o.MaxTokens, o.Context = 50, 6 }, want[:4], StopContext, 4},
		{"prompt as long as the context", oracle(), func(o *GenerateOptions) { o.Context = 3 }, want[:1], StopContext, 1},
		{"as many tokens as the context allows", oracle(), func(o *GenerateOptions) { o.MaxTokens, o.Context = 4, 6 }, want[:4], StopMaxTokens, 4},
	} {
		var heard []int64
		o := options(c.change)
		o.OnToken = func(id int64) error { heard = append(heard, id); return nil }
		got, err := Generate(t.Context(), c.session, prompt, o)
		if err != nil || !slices.Equal(got.IDs, c.want) || got.Reason != c.reason || !slices.Equal(heard, got.IDs) || c.session.runs != c.runs {
			t.Errorf("%s: %+v, %v, heard %v, %d runs; want %v, %s, %d runs", c.name, got, err, heard, c.session.runs, c.want, c.reason, c.runs)
		}
	}
	if !slices.Equal(prompt, []int64{3, 1, 4}) {
		t.Errorf("the prompt became %v", prompt)
	}
}

func TestGenerateSteps(t *testing.T) {
	var steps []int
	_, err := Generate(t.Context(), oracle(), []int64{1}, options(func(o *GenerateOptions) {
		o.Pick = func(logits []float32, step int) (int, error) {
			if len(logits) != vocab {
				t.Errorf("step %d has %d logits", step, len(logits))
			}
			steps = append(steps, step)
			return 0, nil
		}
	}))
	if err != nil || !slices.Equal(steps, []int{0, 1, 2, 3, 4}) {
		t.Errorf("steps %v, %v", steps, err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		prompt []int64
		change func(*GenerateOptions)
		want   string
	}{
		{"empty prompt", nil, nil, "the prompt is empty"},
		{"long prompt", make([]int64, 17), nil, "the prompt has 17 tokens, the model sees 16"},
		{"negative id", []int64{1, -2}, nil, "token 1 of the prompt is -2"},
		{"id beyond the vocabulary", []int64{11}, nil, "id 11, outside the vocabulary of 11"},
		{"no pick", []int64{1}, func(o *GenerateOptions) { o.Pick = nil }, "no function to pick"},
		{"negative count", []int64{1}, func(o *GenerateOptions) { o.MaxTokens = -1 }, "-1 tokens"},
		{"no context", []int64{1}, func(o *GenerateOptions) { o.Context = 0 }, "context 0"},
		{"picked beyond the vocabulary", []int64{1}, func(o *GenerateOptions) {
			o.Pick = func([]float32, int) (int, error) { return 11, nil }
		}, "id 11 was picked"},
		{"picked a negative id", []int64{1}, func(o *GenerateOptions) {
			o.Pick = func([]float32, int) (int, error) { return -1, nil }
		}, "id -1 was picked"},
	} {
		got, err := Generate(t.Context(), oracle(), c.prompt, options(c.change))
		if err == nil || !strings.Contains(err.Error(), c.want) || len(got.IDs) != 0 {
			t.Errorf("%s: %+v, %v, want %q", c.name, got, err, c.want)
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
			o.Pick = func([]float32, int) (int, error) {
				if third() {
					return 0, fault
				}
				return 1, nil
			}
		}, fault, 2},
		{"listener fails", oracle(), func(o *GenerateOptions) {
			o.OnToken = func(int64) error {
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
			o.OnToken = func(int64) error {
				if third() {
					cancel()
				}
				return nil
			}
		}, context.Canceled, 3},
	} {
		count = 0
		got, err := Generate(ctx, c.session, []int64{1}, options(c.change))
		if !errors.Is(err, c.want) || len(got.IDs) != c.ids || got.Reason != "" {
			t.Errorf("%s: %+v, %v, want %d ids and %v", c.name, got, err, c.ids, c.want)
		}
	}
}

func TestGenerateChecksLogits(t *testing.T) {
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
	} {
		s := &fake{run: func(format.Tensor) (format.Tensor, error) { return c.logits, nil }}
		if _, err := Generate(t.Context(), s, []int64{1}, options(func(o *GenerateOptions) { o.MaxTokens = 1 })); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
