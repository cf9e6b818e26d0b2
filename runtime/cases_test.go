package runtime

import (
	"reflect"
	"slices"
	"testing"
)

func TestCases(t *testing.T) {
	for _, c := range []struct{ vocab, context int }{{1, 1}, {2, 1}, {3, 2}, {11, 8}, {65, 64}, {2000, 4}, {400, 16}, {50257, 1024}} {
		cases := Cases(c.vocab, c.context, 1)
		batches, lengths := map[int]bool{}, map[int]bool{}
		for _, k := range cases {
			batches[k.Batch], lengths[k.Length] = true, true
			if len(k.IDs) != k.Batch*k.Length || k.Length < 1 || k.Length > c.context {
				t.Errorf("vocab %d, context %d: %s has %d ids", c.vocab, c.context, k, len(k.IDs))
			}
			if len(k.IDs) > max(c.context, DefaultBudget/8) {
				t.Errorf("vocab %d, context %d: %s is too large for the oracle", c.vocab, c.context, k)
			}
			if low, high := slices.Min(k.IDs), slices.Max(k.IDs); low < 0 || high >= int64(c.vocab) ||
				len(k.IDs) > 1 && (low != 0 || high != int64(c.vocab-1)) {
				t.Errorf("vocab %d, context %d: %s has ids from %d to %d", c.vocab, c.context, k, low, high)
			}
		}
		ids := map[int64]bool{}
		for _, k := range cases {
			for _, id := range k.IDs {
				ids[id] = true
			}
		}
		if c.vocab <= 2048 && len(ids) != c.vocab {
			t.Errorf("vocab %d, context %d: %d ids occur", c.vocab, c.context, len(ids))
		}
		if c.context <= 16 && len(lengths) != c.context {
			t.Errorf("vocab %d, context %d: lengths are %v", c.vocab, c.context, lengths)
		}
		for b := 1; b <= 12; b++ {
			if !batches[b] {
				t.Errorf("vocab %d, context %d: no batch of %d", c.vocab, c.context, b)
			}
		}
		if !lengths[1] || !lengths[c.context] {
			t.Errorf("vocab %d, context %d: lengths are %v", c.vocab, c.context, lengths)
		}
		if ones := []int64{cases[0].IDs[0], cases[1].IDs[0]}; !slices.Equal(ones, []int64{0, int64(c.vocab - 1)}) {
			t.Errorf("the single tokens are %v", ones)
		}
	}
	if Cases(0, 4, 1) != nil || Cases(4, 0, 1) != nil {
		t.Error("cases without a vocabulary or a context")
	}
	for _, c := range []Case{NewCase(0, 1, 1, 1), NewCase(1, -1, 1, 1), NewCase(1, 1, 0, 1)} {
		if len(c.IDs) != 0 {
			t.Errorf("%s has ids", c)
		}
	}
}

func TestCasesAreSeeded(t *testing.T) {
	if !reflect.DeepEqual(Cases(50, 16, 3), Cases(50, 16, 3)) {
		t.Error("one seed gives two sets of cases")
	}
	a, b := NewCase(4, 16, 50, 3), NewCase(4, 16, 50, 4)
	if slices.Equal(a.IDs, b.IDs) {
		t.Error("two seeds give one case")
	}
	distinct := slices.Clone(a.IDs)
	slices.Sort(distinct)
	if n := len(slices.Compact(distinct)); n < 25 { // 64 draws from 50 leave 36 on average
		t.Errorf("64 ids are only %d different ones", n)
	}
	in := a.Inputs()["input_ids"]
	ids, err := in.Int64s()
	if err != nil || !slices.Equal(ids, a.IDs) || !slices.Equal(in.Shape, []int{4, 16}) {
		t.Fatalf("the input is %v %v, %v", in.Shape, ids, err)
	}
	if ids[0]++; slices.Equal(ids, a.IDs) {
		t.Error("a session that writes to its input changes the case")
	}
}

// SplitMix64 seeded with 1234567 gives these first numbers (Rosetta Code,
// "Pseudo-random numbers/Splitmix64"); its state advances by the golden ratio.
func TestSplitMix(t *testing.T) {
	mix := func(state uint64) uint64 { // the n-th number of a generator is its output function at state seed + n·gamma
		const gammaInverse = 0xF1DE83E19937733D
		return splitMix(state*gammaInverse - 1)
	}
	const seed, gamma = uint64(1234567), uint64(0x9E3779B97F4A7C15)
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423} {
		if got := mix(seed + uint64(i+1)*gamma); got != want {
			t.Errorf("number %d is %d, want %d", i, got, want)
		}
	}
}
