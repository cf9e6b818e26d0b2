package decode

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

// Each change makes a model that the loop must not run.
func TestContractRefuses(t *testing.T) {
	at := func(values []runtime.Value, name string) *runtime.Value {
		return &values[slices.IndexFunc(values, func(v runtime.Value) bool { return v.Name == name })]
	}
	in := func(name string, change func(*runtime.Value)) func(*fakeModel) {
		return func(m *fakeModel) { change(at(m.inputs, name)) }
	}
	out := func(name string, change func(*runtime.Value)) func(*fakeModel) {
		return func(m *fakeModel) { change(at(m.outputs, name)) }
	}
	dim := func(axis int, d runtime.Dim) func(*runtime.Value) {
		return func(v *runtime.Value) { v.Shape = slices.Clone(v.Shape); v.Shape[axis] = d }
	}
	dtype := func(t format.DType) func(*runtime.Value) { return func(v *runtime.Value) { v.DType = t } }
	rename := func(name string) func(*runtime.Value) { return func(v *runtime.Value) { v.Name = name } }
	unranked := func(v *runtime.Value) { v.Ranked, v.Shape = false, nil }
	scalar := func(v *runtime.Value) { v.Shape = nil }
	key := "past_key_values.1.key"
	for _, c := range []struct {
		name   string
		change func(*fakeModel)
		want   string
		only   string // the kind of cache this is wrong for, empty for both
	}{
		{"another cache", func(m *fakeModel) { m.metadata = map[string]string{role.MetaCache: "ring"} }, `attnx.cache = "ring"`, ""},
		{"no inputs", func(m *fakeModel) { m.inputs = nil }, "no input input_ids", ""},
		{"no outputs", func(m *fakeModel) { m.outputs = nil }, "no output logits", ""},
		{"no mask", in("attention_mask", rename("mask")), "no input attention_mask", ""},
		{"ids of 32 bits", in("input_ids", dtype(format.Int32)), "input input_ids I32[batch_size,sequence_length]", ""},
		{"one id", in("input_ids", dim(1, runtime.Dim{Size: 1})), "input input_ids I64[batch_size,1]", ""},
		{"a batch of one", in("input_ids", dim(0, runtime.Dim{Size: 1})), "input input_ids I64[1,sequence_length]", ""},
		{"ids of no shape", in("input_ids", unranked), "input input_ids I64[...]", ""},
		{"mask that is a number", in("attention_mask", scalar), "input attention_mask I64[]", ""},
		{"float positions", in("position_ids", dtype(format.Float32)), "input position_ids F32", ""},
		{"no past", func(m *fakeModel) {
			m.inputs = slices.DeleteFunc(m.inputs, func(v runtime.Value) bool { return strings.HasPrefix(v.Name, "past") })
		}, "no input past_key_values.0.key", ""},
		{"half a layer", in("past_key_values.1.value", rename("past_key_values.1.values")), "no input past_key_values.1.value", ""},
		{"a layer left out", func(m *fakeModel) {
			rename("past_key_values.3.key")(at(m.inputs, key))
			rename("past_key_values.3.value")(at(m.inputs, "past_key_values.1.value"))
		}, "an input past_key_values.3.value", ""},
		{"any number of heads", in(key, dim(1, runtime.Dim{Name: "heads"})), "input past_key_values.1.key F32[batch_size,heads,", ""},
		{"no heads", in(key, dim(1, runtime.Dim{Size: 0})), "F32[batch_size,0,", ""},
		{"any width", in(key, dim(3, runtime.Dim{Name: "?"})), ",?]", ""},
		{"past of float64", in(key, dtype(format.Float64)), "input past_key_values.1.key F64", ""},
		{"past of three axes", in(key, func(v *runtime.Value) { v.Shape = v.Shape[1:] }), "input past_key_values.1.key F32[2,", ""},
		{"past of certain length", in(key, dim(2, runtime.Dim{Size: 4})), "F32[batch_size,2,4,3]", ""},
		{"past of context length", in(key, dim(2, runtime.Dim{Size: small.context})), "F32[batch_size,2,16,3]", role.CacheConcat},
		{"present as long as past", func(m *fakeModel) {
			past := at(m.inputs, "past_key_values.1.value").Shape[2]
			dim(2, past)(at(m.outputs, "present.1.value"))
		}, "input past_key_values.1.value F32[batch_size,2,past_sequence_length,3] and output present.1.value F32[batch_size,2,past_sequence_length,3]", role.CacheConcat},
		{"present longer than past", out("present.1.value", dim(2, runtime.Dim{Name: "total_sequence_length"})),
			"input past_key_values.1.value F32[batch_size,2,max_sequence_length,3] and output present.1.value F32[batch_size,2,total_sequence_length,3]", role.CacheShared},
		{"present of another width", out("present.0.value", dim(3, runtime.Dim{Size: 4})), "output present.0.value F32", ""},
		{"present of another type", out("present.0.value", dtype(format.Float16)), "output present.0.value F16", ""},
		{"no present", out("present.0.value", rename("present.0")), "no output present.0.value", ""},
		{"logits of float16", out("logits", dtype(format.Float16)), "output logits F16", ""},
		{"logits of two positions", out("logits", dim(1, runtime.Dim{Size: 2})), "output logits F32[batch_size,2,11]", ""},
		{"any vocabulary", out("logits", dim(2, runtime.Dim{Name: "vocab"})), "output logits F32[batch_size,sequence_length,vocab]", ""},
		{"another input", func(m *fakeModel) {
			m.inputs = append(m.inputs, runtime.Value{Name: "token_type_ids", DType: format.Int64, Ranked: true})
		}, "an input token_type_ids", ""},
		{"another output", func(m *fakeModel) {
			m.outputs = append(m.outputs, runtime.Value{Name: "attention", DType: format.Float32, Ranked: true})
		}, "an output attention", ""},
		{"a name twice", func(m *fakeModel) { m.inputs = append(m.inputs, m.inputs[0]) }, "an input past_key_values.0.value", ""},
	} {
		for _, cache := range []string{role.CacheConcat, role.CacheShared} {
			m := small.declare(cache, false, true, format.Float32)
			c.change(&m)
			f := newFakeDevice(small, m, true)
			_, err := New(f, Options{Batch: 2, Context: small.context})
			if c.only != "" && c.only != cache {
				if err != nil {
					t.Errorf("%s, %s: %v", c.name, cache, err)
				}
				continue
			}
			var contract *ContractError
			if !errors.As(err, &contract) || !strings.Contains(contract.Declares, c.want) || contract.Needs == "" || !strings.Contains(err.Error(), "export it with the profile cache") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, %s: %v, want %q", c.name, cache, err, c.want)
			}
			if f.memories > 0 {
				t.Errorf("%s: took memory for a model that it refused", c.name)
			}
		}
	}
}

// A size that the file fixes is fine where it is the decoder's own.
func TestContractTakesItsOwnSizes(t *testing.T) {
	for _, cache := range []string{role.CacheConcat, role.CacheShared} {
		m := small.declare(cache, true, true, format.Float32)
		for _, v := range slices.Concat(m.inputs, m.outputs) {
			v.Shape[0] = runtime.Dim{Size: 1}
		}
		d, err := New(newFakeDevice(small, m, true), Options{Batch: 1, Context: small.context})
		if err != nil {
			t.Fatal(err)
		}
		text := []int64{3, 1, 4}
		if logits, err := d.Prefill([][]int64{text}); err != nil || !slices.Equal(logits, last(text)) {
			t.Errorf("%s: %v, %v", cache, logits, err)
		}
	}
}
