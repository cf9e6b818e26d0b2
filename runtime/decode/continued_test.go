package decode

import (
	"reflect"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// A text that begins with what the model has computed gives the logits of a whole
// computation, in one run, for every form of model. Another text is computed whole.
func TestContinued(t *testing.T) {
	for _, k := range kinds() {
		d, f := k.decoder(t, 1)
		m := Continued(d)
		plain := Recompute(small, 1, small.context)
		text := prompts(3, 5)[0]
		check := func(what string, ids []int64, most int) {
			t.Helper()
			before := f.runs
			got, err := m.Prefill([][]int64{ids})
			if err != nil {
				t.Fatalf("%s, %s: %v", k, what, err)
			}
			got = slices.Clone(got)
			want, err := plain.Prefill([][]int64{ids})
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: %v, expected %v, %v", k, what, got, want, err)
			}
			if f.runs-before > most {
				t.Errorf("%s, %s: %d runs", k, what, f.runs-before)
			}
		}
		many := len(text) + 9
		check("first", text, many)
		if _, err := m.Step([]int64{7}); err != nil {
			t.Fatal(err)
		}
		text = append(text, 7, 3)
		check("one more", text, 1)
		text = append(text, 1, 2, 9, 4)
		check("four more", text, 4)
		check("another", prompts(9, 6)[0], many)
		check("the same again", prompts(9, 6)[0], many)
		whole := append(prompts(9, 6)[0], prompts(4, small.context-6)[0]...)
		check("to the end", whole, many+9)
		if _, err := m.Prefill([][]int64{append(whole, 1)}); err == nil {
			t.Errorf("%s: longer than the context", k)
		}
	}
}

// Extend refuses a text that does not continue the first.
func TestExtendRefuses(t *testing.T) {
	k := kind{cache: role.CacheConcat, lastOnly: true, positions: true, dtype: format.Float32, bound: logitsBound}
	d, _ := k.decoder(t, 1)
	if _, err := d.Extend([]int64{1}); err == nil {
		t.Error("before Prefill")
	}
	if _, err := d.Prefill([][]int64{{1, 2}}); err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][]int64{nil, {-1}, {int64(small.vocab)}, make([]int64, small.context)} {
		if _, err := d.Extend(ids); err == nil {
			t.Errorf("%v", ids)
		}
	}
	if _, err := d.Extend([]int64{3}); err != nil {
		t.Error(err)
	}
	two, _ := k.decoder(t, 2)
	if _, err := two.Prefill([][]int64{{1}, {2}}); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Extend([]int64{1}); err == nil {
		t.Error("a batch of two")
	}
}
