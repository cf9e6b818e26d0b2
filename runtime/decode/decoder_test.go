package decode

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"pgregory.net/rapid"
)

// kind is a form of model and device.
type kind struct {
	cache                        string
	lastOnly, positions, visible bool
	dtype                        format.DType
	bound                        int // bytes of logits in a run
}

func (k kind) String() string {
	return fmt.Sprintf("cache %q, last only %t, positions %t, visible %t, %s, bound %d", k.cache, k.lastOnly, k.positions, k.visible, k.dtype, k.bound)
}

func (k kind) device() *fakeDevice {
	return newFakeDevice(small, small.declare(k.cache, k.lastOnly, k.positions, k.dtype), k.visible)
}

func (k kind) decoder(t testing.TB, batch int) (*Decoder, *fakeDevice) {
	t.Helper()
	f := k.device()
	d, err := newDecoder(f, Options{Batch: batch, Context: small.context}, k.bound)
	if err != nil {
		t.Fatal(err)
	}
	return d, f
}

// kinds returns every form there is.
func kinds() []kind {
	var all []kind
	for _, cache := range []string{"", role.CacheConcat, role.CacheShared} {
		for _, lastOnly := range []bool{true, false} {
			for _, positions := range []bool{true, false} {
				for _, visible := range []bool{true, false} {
					for i, dtype := range []format.DType{format.Float32, format.Float16, format.BFloat16} {
						all = append(all, kind{cache, lastOnly, positions, visible, dtype, []int{logitsBound, 300, 1}[i]})
					}
				}
			}
		}
	}
	return all
}

// prompts returns one prompt of each length.
func prompts(seed uint64, lengths ...int) [][]int64 {
	all := make([][]int64, len(lengths))
	for i, n := range lengths {
		all[i] = runtime.NewCase(1, n, small.vocab, seed+uint64(i)).IDs
	}
	return all
}

// The text with a cache is the text by recomputation, sequence by sequence,
// for every form of model and every batch, whatever the lengths.
func TestDecoderEqualsRecomputation(t *testing.T) {
	batches := [][]int{{1}, {5}, {16}, {1, 1}, {2, 9, 16}, {16, 15, 1, 8}, {3, 3, 3, 3, 3}, {1, 2, 3, 4, 5, 6}, {7, 1, 12, 2, 2, 9, 5}, {4, 1, 16, 9, 2, 15, 8, 3}}
	for _, lengths := range batches {
		texts := prompts(uint64(len(lengths)), lengths...)
		for _, sliding := range []bool{false, true} {
			o := options(func(o *GenerateOptions) { o.MaxTokens, o.Sliding, o.Stop = 40, sliding, []int64{10} })
			var want []Generated
			for _, p := range texts {
				one, err := generate(t.Context(), small, small.context, p, o)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, one)
			}
			together, err := Generate(t.Context(), Recompute(small, len(texts), small.context), texts, o)
			if err != nil || !reflect.DeepEqual(together, want) {
				t.Errorf("recomputed in a batch, lengths %v: %v, %v, want %v", lengths, together, err, want)
			}
			for _, k := range kinds() {
				d, f := k.decoder(t, len(texts))
				heard := make([][]int64, len(texts))
				o.OnToken = func(i int, id int64) error { heard[i] = append(heard[i], id); return nil }
				got, err := Generate(t.Context(), d, texts, o)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s, lengths %v, sliding %t: %v, %v, want %v", k, lengths, sliding, got, err, want)
				}
				for i := range got {
					if !slices.Equal(heard[i], got[i].IDs) {
						t.Errorf("%s: heard %v of %v", k, heard[i], got[i].IDs)
					}
				}
				if k.visible && f.up+f.down > 0 {
					t.Errorf("%s: copied %d bytes up, %d down", k, f.up, f.down)
				}
			}
		}
	}
}

// Sequences that pause, in any order, and prefills in between change nothing
// for the others.
func TestDecoderProperty(t *testing.T) {
	all := kinds()
	rapid.Check(t, func(r *rapid.T) {
		k := rapid.SampledFrom(all).Draw(r, "kind")
		k.bound = rapid.IntRange(1, 2000).Draw(r, "bound")
		batch := rapid.IntRange(1, 8).Draw(r, "batch")
		d, _ := k.decoder(t, batch)
		plain := Recompute(small, batch, small.context)
		for range rapid.IntRange(1, 3).Draw(r, "prefills") {
			texts := make([][]int64, batch)
			for i := range texts {
				texts[i] = rapid.SliceOfN(rapid.Int64Range(0, int64(small.vocab-1)), 1, small.context).Draw(r, "prompt")
			}
			logits, err := d.Prefill(texts)
			same, err2 := plain.Prefill(texts)
			ids := make([]int64, batch)
			for step := 0; ; step++ {
				if err != nil || err2 != nil {
					r.Fatal(err, err2)
				}
				for i, text := range texts {
					row := func(logits []float32) []float32 { return logits[i*small.vocab:][:small.vocab] }
					if ids[i] != Idle && (!slices.Equal(row(logits), last(text)) || !slices.Equal(row(same), last(text))) {
						r.Fatalf("%s: step %d, sequence %d of %d: logits are not those of %v", k, step, i, batch, text)
					}
					if d.Lengths()[i] != len(text) {
						r.Fatalf("lengths %v", d.Lengths())
					}
				}
				if d.Full() || step == 12 {
					break
				}
				for i := range ids {
					ids[i] = rapid.Int64Range(Idle, int64(small.vocab-1)).Draw(r, "id")
					if len(texts[i]) == small.context {
						ids[i] = Idle
					}
					if ids[i] != Idle {
						texts[i] = append(texts[i], ids[i])
					}
				}
				logits, err = d.Step(ids)
				same, err2 = plain.Step(ids)
			}
		}
	})
}

// last returns the logits after a text.
func last(text []int64) []float32 {
	out, err := small.Run(runtime.Case{Batch: 1, Length: len(text), IDs: text}.Inputs())
	if err != nil {
		panic(err)
	}
	v, err := out["logits"].Float32s()
	if err != nil {
		panic(err)
	}
	return v[len(v)-small.vocab:]
}

// Every call of the device in two short runs, one layer.
func TestDecoderCalls(t *testing.T) {
	one := network{layers: 1, heads: 2, width: 3, vocab: 11, context: 8}
	for _, c := range []struct {
		cache string
		want  string
	}{
		// Caches of 2·2·8·3 floats; ids, positions, mask and logits of a batch of 2.
		{role.CacheConcat, `
alloc 256
alloc 128
alloc 88
alloc 384
alloc 384
alloc 384
alloc 384
write m0+0 96 bytes
in input_ids m0+0 [2 3]
in position_ids m0+48 [2 3]
out logits m2+0 [2 1 11]
write m1+0 48 bytes
in attention_mask m1+0 [2 3]
in past_key_values.0.key m3+0 [2 2 0 3]
out present.0.key m5+0 [2 2 3 3]
in past_key_values.0.value m4+0 [2 2 0 3]
out present.0.value m6+0 [2 2 3 3]
run 0
read m2+0 88 bytes
step
write m0+0 32 bytes
in input_ids m0+0 [2 1]
in position_ids m0+16 [2 1]
out logits m2+0 [2 1 11]
write m1+0 64 bytes
in attention_mask m1+0 [2 4]
in past_key_values.0.key m5+0 [2 2 3 3]
out present.0.key m3+0 [2 2 4 3]
in past_key_values.0.value m6+0 [2 2 3 3]
out present.0.value m4+0 [2 2 4 3]
run 0
read m2+0 88 bytes
step
write m0+0 32 bytes
write m1+0 80 bytes
in attention_mask m1+0 [2 5]
in past_key_values.0.key m3+0 [2 2 4 3]
out present.0.key m5+0 [2 2 5 3]
in past_key_values.0.value m4+0 [2 2 4 3]
out present.0.value m6+0 [2 2 5 3]
run 0
read m2+0 88 bytes`},
		{role.CacheShared, `
alloc 128
alloc 128
alloc 88
alloc 384
alloc 384
write m1+0 24 bytes
write m0+0 48 bytes
in input_ids m0+0 [1 3]
in position_ids m0+24 [1 3]
out logits m2+0 [1 1 11]
in attention_mask m1+0 [1 3]
in past_key_values.0.key m3+0 [1 2 8 3]
out present.0.key m3+0 [1 2 8 3]
in past_key_values.0.value m4+0 [1 2 8 3]
out present.0.value m4+0 [1 2 8 3]
run 0
read m2+0 44 bytes
write m0+0 16 bytes
in input_ids m0+0 [1 1]
in position_ids m0+8 [1 1]
out logits m2+0 [1 1 11]
in attention_mask m1+0 [1 1]
in past_key_values.0.key m3+192 [1 2 8 3]
out present.0.key m3+192 [1 2 8 3]
in past_key_values.0.value m4+192 [1 2 8 3]
out present.0.value m4+192 [1 2 8 3]
run 0
read m2+0 44 bytes
write m1+0 128 bytes
in input_ids m0+0 [2 1]
in position_ids m0+16 [2 1]
out logits m2+0 [2 1 11]
in attention_mask m1+0 [2 8]
in past_key_values.0.key m3+0 [2 2 8 3]
out present.0.key m3+0 [2 2 8 3]
in past_key_values.0.value m4+0 [2 2 8 3]
out present.0.value m4+0 [2 2 8 3]
step
write m1+24 56 bytes
write m0+0 32 bytes
run 1
read m2+0 88 bytes
step
write m1+32 56 bytes
write m0+0 32 bytes
run 1
read m2+0 88 bytes`},
	} {
		f := newFakeDevice(one, one.declare(c.cache, true, true, format.Float32), false)
		d, err := New(f, Options{Batch: 2, Context: 8})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Prefill([][]int64{{1, 2, 3}, {4}}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			f.calls = append(f.calls, "step")
			if _, err := d.Step([]int64{5, 6}); err != nil {
				t.Fatal(err)
			}
		}
		if got := "\n" + strings.Join(f.calls, "\n"); got != c.want {
			t.Errorf("%s: %s", c.cache, got)
		}
	}
}

// What goes over the bus for a token of one sequence: its id, its position and
// the row of logits; with a shared cache one number of the mask.
func TestDecoderTraffic(t *testing.T) {
	for _, c := range []struct {
		kind
		up int
	}{
		{kind{cache: role.CacheConcat, positions: true}, 16},
		{kind{cache: role.CacheConcat}, 8},
		{kind{cache: role.CacheShared, positions: true}, 24},
	} {
		c.dtype, c.bound = format.Float32, logitsBound
		d, f := c.decoder(t, 1)
		if _, err := d.Prefill(prompts(1, 5)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			f.up, f.down = 0, 0
			if _, err := d.Step([]int64{1}); err != nil || f.up != c.up || f.down != 4*small.vocab {
				t.Errorf("%s: %d bytes up, %d down, %v, want %d and %d", c.kind, f.up, f.down, err, c.up, 4*small.vocab)
			}
		}
	}
}

// A run makes no more logits than the bound allows, and those of one token
// where it allows none.
func TestDecoderChunks(t *testing.T) {
	row := 4 * small.vocab
	for _, c := range []struct {
		cache       string
		lastOnly    bool
		bound, runs int
	}{
		{role.CacheConcat, false, 2 * 5 * row, 3}, // 5, 5 and 3 columns
		{role.CacheConcat, false, 2*5*row - 1, 4},
		{role.CacheConcat, false, 1, 13},
		{role.CacheConcat, false, logitsBound, 1},
		{role.CacheConcat, true, 1, 1},
		{role.CacheShared, false, 5 * row, 3 + 1},
		{role.CacheShared, false, 1, 13 + 4},
		{role.CacheShared, true, 1, 2},
	} {
		k := kind{cache: c.cache, lastOnly: c.lastOnly, positions: true, dtype: format.Float32, bound: c.bound}
		d, f := k.decoder(t, 2)
		if _, err := d.Prefill(prompts(1, 13, 4)); err != nil || f.runs != c.runs {
			t.Errorf("%s: %d runs, %v, want %d", k, f.runs, err, c.runs)
		}
		if size := d.scores.Size(); size > max(c.bound, 2*row) {
			t.Errorf("%s: %d bytes of logits", k, size)
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	for _, cache := range []string{role.CacheConcat, role.CacheShared} {
		k := kind{cache: cache, dtype: format.Float32, bound: logitsBound}
		d, f := k.decoder(t, 2)
		fails := func(what, want string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s: %v, want %q", cache, what, err, want)
			}
		}
		step := func(ids ...int64) error { _, err := d.Step(ids); return err }
		prefill := func(p ...[]int64) error { _, err := d.Prefill(p); return err }
		fails("step before prefill", "begin with Prefill", step(1, 2))
		long := make([]int64, small.context+1)
		for _, c := range []struct {
			want    string
			prompts [][]int64
		}{
			{"1 prompts for a batch of 2", [][]int64{{1}}},
			{"prompt 1 is empty", [][]int64{{1}, nil}},
			{"prompt 0 has 17 tokens, the model sees 16", [][]int64{long, {1}}},
			{"prompt 1 has id -1 at token 2", [][]int64{{1}, {1, 2, -1}}},
			{"prompt 0 has id 11 at token 0, outside the vocabulary of 11", [][]int64{{11}, {1}}},
		} {
			fails("prefill", c.want, prefill(c.prompts...))
		}
		if f.runs+f.up != 0 {
			t.Errorf("%s: %d runs, %d bytes up for what was refused", cache, f.runs, f.up)
		}
		if err := prefill(long[:15], []int64{1}); err != nil {
			t.Fatal(err)
		}
		fails("one id", "1 ids for a batch of 2", step(1))
		fails("id below", "ids[1] is -2", step(1, -2))
		fails("id above", "ids[0] is 11: it must be from 0 to 10", step(11, 1))
		if err := step(1, 2); err != nil {
			t.Errorf("a step after refused ones: %v", err)
		}
		if cache == role.CacheShared {
			fails("full", "sequence 0 has the 16 tokens", step(1, 2))
			if err := step(Idle, 2); err != nil {
				t.Error(err)
			}
		} else {
			fails("full", "the cache is full with 16 tokens", step(Idle, 2))
		}
		if first, second := d.Close(), d.Close(); first != nil || second != nil || f.closed != 1 {
			t.Errorf("%s: closed %d times, %v, %v", cache, f.closed, first, second)
		}
		fails("prefill after close", "closed", prefill([]int64{1}, []int64{1}))
		fails("step after close", "closed", step(1, 2))
	}
	for _, c := range []struct {
		batch, context int
		want           string
	}{
		{0, 16, "batch 0"}, {1, 0, "context 0"}, {1, -1, "context -1"},
		{1 << 40, 1 << 40, "addressed"}, {1, 1 << 62, "addressed"}, {1, 1 << 40, "out of memory"},
	} {
		f := kind{dtype: format.Float32}.device()
		if _, err := New(f, Options{Batch: c.batch, Context: c.context}); err == nil || !strings.Contains(err.Error(), c.want) || f.closed != 0 {
			t.Errorf("batch %d, context %d: %v, want %q", c.batch, c.context, err, c.want)
		}
	}
}

// Each call of the device fails once: the error comes out with the tokens so
// far, and after it the decoder works as if nothing had been.
func TestDecoderFaults(t *testing.T) {
	for _, k := range kinds() {
		if k.cache == "" || !k.positions || k.dtype == format.BFloat16 {
			continue // nothing there can fail differently
		}
		texts := prompts(7, 9, 14)
		o := options(func(o *GenerateOptions) { o.MaxTokens, o.Sliding = 5, true })
		want, err := Generate(t.Context(), Recompute(small, 2, small.context), texts, o)
		if err != nil {
			t.Fatal(err)
		}
		for at := 1; ; at++ {
			f := k.device()
			f.failAt = at
			d, err := newDecoder(f, Options{Batch: 2, Context: small.context}, k.bound)
			if err != nil {
				if !errors.Is(err, errGone) || d != nil {
					t.Fatalf("%s: call %d: %v", k, at, err)
				}
				continue
			}
			got, err := Generate(t.Context(), d, texts, o)
			if err == nil {
				if f.count >= at {
					t.Errorf("%s: the error of call %d, %s, is lost", k, at, f.calls[at-1])
				}
				break
			}
			made := len(got[0].IDs)
			if !errors.Is(err, errGone) || !strings.HasPrefix(err.Error(), fmt.Sprintf("generate: token %d: ", made)) {
				t.Errorf("%s: call %d, %s: %d tokens, %v", k, at, f.calls[at-1], made, err)
			}
			for i := range got {
				if !slices.Equal(got[i].IDs, want[i].IDs[:made]) {
					t.Errorf("%s: call %d: %v, want the beginning of %v", k, at, got[i].IDs, want[i].IDs)
				}
			}
			if _, err := d.Step([]int64{1, 1}); err == nil || !strings.Contains(err.Error(), "begin with Prefill") {
				t.Errorf("%s: a step after a fault: %v", k, err)
			}
			if again, err := Generate(t.Context(), d, texts, o); err != nil || !reflect.DeepEqual(again, want) {
				t.Errorf("%s: after the fault of call %d, %s: %v, %v, want %v", k, at, f.calls[at-1], again, err, want)
			}
		}
	}
}

// No text is made of logits that are no numbers.
func TestDecoderNaN(t *testing.T) {
	d, f := kind{cache: role.CacheShared, dtype: format.Float32, bound: logitsBound}.decoder(t, 2)
	o := options(func(o *GenerateOptions) {
		o.OnToken = func(int, int64) error { f.poison = float32(math.NaN()); return nil }
	})
	got, err := Generate(t.Context(), d, prompts(1, 4, 2), o)
	if err == nil || !strings.Contains(err.Error(), "token 1: sequence 0, position 4: the logit of token 0 is NaN") || len(got[0].IDs) != 1 || len(got[1].IDs) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// A token allocates nothing on this side of the device.
func TestDecoderAllocates(t *testing.T) {
	for _, k := range kinds() {
		d, f := k.decoder(t, 3)
		f.silent, f.lazy = true, true
		if _, err := d.Prefill(prompts(1, 2, 3, 1)); err != nil {
			t.Fatal(err)
		}
		ids := []int64{1, 2, Idle}
		if n := testing.AllocsPerRun(5, func() {
			if _, err := d.Step(ids); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a token", k, n)
		}
	}
}

// Where the processor reaches the logits they are not copied.
func TestDecoderView(t *testing.T) {
	for _, cache := range []string{role.CacheConcat, role.CacheShared} {
		d, f := kind{cache: cache, visible: true, dtype: format.Float32, bound: logitsBound}.decoder(t, 2)
		if _, err := d.Prefill(prompts(1, 2, 5)); err != nil {
			t.Fatal(err)
		}
		row, err := d.Step([]int64{1, 2})
		if err != nil || len(row) != 2*small.vocab || &bytesOf(row)[0] != &f.output("logits").memory.data[0] {
			t.Errorf("%s: %v", cache, err)
		}
	}
}

// Memory that cannot be read as numbers in place is refused.
func TestElementsOf(t *testing.T) {
	b := bytesOf(make([]int64, 3))
	for _, c := range []struct {
		b  []byte
		n  int
		ok bool
	}{{b, 3, true}, {b[8:], 2, true}, {b, 4, false}, {b[4:], 2, false}, {b[1:], 1, false}} {
		if v, err := elementsOf[int64](c.b, c.n); (err == nil) != c.ok || c.ok && (len(v) != c.n || &bytesOf(v)[0] != &c.b[0]) {
			t.Errorf("%d bytes, %d elements: %v", len(c.b), c.n, err)
		}
	}
}
