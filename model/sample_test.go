package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

var inf = math.Inf(1)

func TestGreedy(t *testing.T) {
	ninf := float32(-inf)
	for _, c := range []struct {
		name   string
		logits []float32
		want   int
	}{
		{"highest", []float32{-1, 3, 2}, 1},
		{"lowest id among equals", []float32{0, 2, 2, 2}, 1},
		{"masked tokens", []float32{ninf, -5, ninf}, 1},
		{"one token", []float32{-7}, 0},
	} {
		got, err := Sampler{}.Pick(c.logits, 0)
		if err != nil || got != c.want {
			t.Errorf("%s: got %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}

func TestPickRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name   string
		s      Sampler
		logits []float32
		want   string
	}{
		{"NaN, greedy", Sampler{}, []float32{1, nan}, "token 1 is NaN"},
		{"NaN, drawn", Sampler{Temperature: 1}, []float32{nan, 1}, "token 0 is NaN"},
		{"+Inf", Sampler{Temperature: 1}, []float32{1, float32(inf)}, "token 1 is +Inf"},
		{"all masked", Sampler{Temperature: 1}, []float32{float32(-inf)}, "every logit is -Inf"},
		{"nothing", Sampler{}, nil, "no logits"},
		{"negative temperature", Sampler{Temperature: -1}, []float32{1}, "temperature is -1"},
		{"temperature NaN", Sampler{Temperature: math.NaN()}, []float32{1}, "temperature is NaN"},
		{"temperature Inf", Sampler{Temperature: inf}, []float32{1}, "temperature is +Inf"},
		{"top-k", Sampler{TopK: -1}, []float32{1}, "top-k is -1"},
		{"top-p", Sampler{TopP: 1.5}, []float32{1}, "top-p is 1.5"},
		{"top-p below 0", Sampler{TopP: -0.1}, []float32{1}, "top-p is -0.1"},
		{"top-p NaN", Sampler{TopP: math.NaN()}, []float32{1}, "top-p is NaN"},
	} {
		if _, err := c.s.Pick(c.logits, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// logs returns logits whose softmax is p.
func logs(p ...float64) []float32 {
	out := make([]float32, len(p))
	for i, x := range p {
		out[i] = float32(math.Log(x)) + 3 // the softmax ignores a shift
	}
	return out
}

// What is cut is worked out by hand from the probabilities.
func TestTruncatedSets(t *testing.T) {
	p := logs(0.1, 0.4, 0.05, 0.25, 0.2)
	for _, c := range []struct {
		name   string
		s      Sampler
		logits []float32
		want   []int
	}{
		{"all", Sampler{}, p, []int{0, 1, 2, 3, 4}},
		{"top-k 1", Sampler{TopK: 1}, p, []int{1}},
		{"top-k 3", Sampler{TopK: 3}, p, []int{1, 3, 4}},
		{"top-k beyond the vocabulary", Sampler{TopK: 9}, p, []int{0, 1, 2, 3, 4}},
		{"top-k keeps a tie with the last", Sampler{TopK: 2}, []float32{1, 2, 1, 0}, []int{0, 1, 2}},
		{"top-p under the first", Sampler{TopP: 0.01}, p, []int{1}},
		{"top-p reached within the second", Sampler{TopP: 0.6}, p, []int{1, 3}},
		{"top-p just past the second", Sampler{TopP: 0.651}, p, []int{1, 3, 4}},
		{"top-p 1 keeps all", Sampler{TopP: 1}, p, []int{0, 1, 2, 3, 4}},
		// Among the top 3 the probabilities are 8/17, 5/17, 4/17: the first two hold 13/17 = 0.765,
		// while of all tokens they hold 0.65 only.
		{"top-p counts what top-k left", Sampler{TopK: 3, TopP: 0.7}, p, []int{1, 3}},
		// At temperature ½ the probabilities go as the squares: 0.16/0.2850 = 0.561 for the first.
		{"temperature comes before top-p", Sampler{Temperature: 0.5, TopP: 0.55}, p, []int{1}},
		{"top-p at temperature 1", Sampler{TopP: 0.55}, p, []int{1, 3}},
	} {
		if c.s.Temperature == 0 {
			c.s.Temperature = 1
		}
		seen := map[int]bool{}
		for step := range 2000 { // the rarest token has 1/20: missed with probability 1e-44
			id, err := c.s.Pick(c.logits, step)
			if err != nil {
				t.Fatal(err)
			}
			seen[id] = true
		}
		var got []int
		for id := range c.logits {
			if seen[id] {
				got = append(got, id)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: drew from %v, want %v", c.name, got, c.want)
		}
	}
}

// Draws follow the probabilities known in closed form: chi-square below its
// 1 - 1e-6 quantile for 3 degrees of freedom (30.66); the seed is fixed.
func TestDrawsFollowSoftmax(t *testing.T) {
	const draws = 40000
	p := []float64{0.1, 0.2, 0.3, 0.4}
	for _, temperature := range []float64{0.5, 1, 2} {
		sum := 0.0
		for _, x := range p {
			sum += math.Pow(x, 1/temperature) // softmax(log(p)/T) goes as p^(1/T)
		}
		var count [4]float64
		for step := range draws {
			id, err := Sampler{Temperature: temperature, Seed: 11}.Pick(logs(p...), step)
			if err != nil {
				t.Fatal(err)
			}
			count[id]++
		}
		chi := 0.0
		for id, x := range p {
			want := draws * math.Pow(x, 1/temperature) / sum
			chi += (count[id] - want) * (count[id] - want) / want
		}
		if chi > 30.66 {
			t.Errorf("temperature %g: chi-square is %.1f with counts %v", temperature, chi, count)
		}
	}
}

func TestDrawIsAFunctionOfSeedAndStep(t *testing.T) {
	logits := make([]float32, 1000) // uniform: two draws agree once in a thousand
	draw := func(seed uint64, step int) int {
		id, err := Sampler{Temperature: 1, Seed: seed}.Pick(logits, step)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	same := 0
	for step := range 50 {
		first, second := draw(1, step), draw(1, step)
		if first != second {
			t.Fatalf("step %d is drawn differently the second time", step)
		}
		if draw(1, step) == draw(2, step) {
			same++
		}
		if step > 0 && draw(1, step) == draw(1, step-1) {
			same++
		}
	}
	if same > 5 {
		t.Errorf("%d of 100 pairs agree: the draw ignores its seed or its step", same)
	}
}

func TestExtremes(t *testing.T) {
	// A temperature this small divides to infinity: only the highest token is left.
	for step := range 100 {
		id, err := Sampler{Temperature: math.SmallestNonzeroFloat64}.Pick([]float32{1, -math.MaxFloat32, 2}, step)
		if err != nil || id != 2 {
			t.Fatalf("step %d: %d, %v, want 2", step, id, err)
		}
	}
	for step := range 1000 {
		id, err := Sampler{Temperature: 1}.Pick([]float32{float32(-inf), 0, float32(-inf)}, step)
		if err != nil || id != 1 {
			t.Fatalf("step %d: %d, %v: a token with logit -Inf was drawn", step, id, err)
		}
	}
}

// The share 1, which rounding can make of a draw below 1, must not fall on a
// token that was cut.
func TestDrawEnds(t *testing.T) {
	weights := []float64{0, 0.25, 0, 0.75, 0}
	for _, c := range []struct {
		u    float64
		want int
	}{{0, 1}, {0.2499, 1}, {0.25, 3}, {0.9999, 3}, {1, 3}} {
		if got := draw(weights, c.u); got != c.want {
			t.Errorf("draw at %g is %d, want %d", c.u, got, c.want)
		}
	}
}
