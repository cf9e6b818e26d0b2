package train_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/train"
)

// ruled returns a graph in which the inputs a and b are looked up in tables of 3
// rows and 4 columns, c counts from the end of one, d is looked up in a table of
// named length, e is changed before it is looked up, labels are classes of 5.
func ruled(t *testing.T, more func(b *graph.Builder, table *graph.Value)) *graph.Graph {
	t.Helper()
	b := graph.NewBuilder()
	in := func(name string, shape ...graph.Dim) *graph.Value { return b.Input(name, format.Int64, shape...) }
	table := b.Param("table", graph.Normal(1), 3, 4)
	b.Output("rows", b.Gather(table, in("a", graph.Sym("B"), graph.N(2))))
	along := func(op graph.Gather, x, ids *graph.Value) *graph.Value { return b.Apply(op, 1, x, ids)[0] }
	b.Output("columns", along(graph.Gather{Axis: 1}, table, in("b", graph.Sym("B"))))
	b.Output("fromend", along(graph.Gather{FromEnd: true}, table, in("c", graph.Sym("B"))))
	b.Output("named", b.Gather(b.Input("x", format.Float32, graph.Sym("N")), in("d", graph.Sym("B"))))
	moved := b.Add(in("e", graph.Sym("B")), b.Const(format.FromInt64s("", nil, []int64{-100})))
	b.Output("moved", b.Gather(table, moved))
	scores := b.Input("scores", format.Float32, graph.Sym("B"), graph.N(5))
	b.Output("error", b.SoftmaxCrossEntropyLoss(scores, in("labels", graph.Sym("B")), -7))
	if more != nil {
		more(b, table)
	}
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A table has rows from 0 to one less than its length along the axis of the
// operator. Only an operator that counts from the end takes negative ids, and only
// labels may be ignored. Ids that are computed, and tables of a length that is not
// known, have no rule.
func TestIDRules(t *testing.T) {
	rules, err := train.FindIDRules(ruled(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		input string
		ids   []int64
		wrong int // the first that is refused; -1: none
		last  int64
		first int64
	}{
		{"a", []int64{0, 2, 1, 0}, -1, 0, 0},
		{"a", []int64{0, 2, 1, 3}, 3, 2, 0},
		{"a", []int64{0, -1, 3, 0}, 1, 2, 0},
		{"a", []int64{0, 0, -7, 0}, 2, 2, 0}, // the label that is ignored is not an id
		{"b", []int64{3, 0}, -1, 0, 0},
		{"b", []int64{3, 4}, 1, 3, 0},
		{"b", []int64{-1, 0}, 0, 3, 0},
		{"c", []int64{-3, 2}, -1, 0, 0},
		{"c", []int64{-4, 2}, 0, 2, -3},
		{"c", []int64{-3, 3}, 1, 2, -3},
		{"d", []int64{1 << 40, -5}, -1, 0, 0},
		{"e", []int64{100, 102}, -1, 0, 0},
		{"labels", []int64{4, -7}, -1, 0, 0},
		{"labels", []int64{0, 5}, 1, 4, 0},
		{"labels", []int64{-1, 0}, 0, 4, 0},
		{"labels", []int64{-100, 0}, 0, 4, 0},
	} {
		inputs := map[string]format.Tensor{}
		for _, name := range []string{"b", "c", "d", "labels"} {
			inputs[name] = format.FromInt64s(name, []int{2}, make([]int64, 2))
		}
		inputs["a"] = format.FromInt64s("a", []int{2, 2}, make([]int64, 4))
		inputs["e"] = format.FromInt64s("e", []int{2}, []int64{100, 100})
		shape := inputs[c.input].Shape
		inputs[c.input] = format.FromInt64s(c.input, shape, c.ids)
		err := rules.Check(inputs)
		if c.wrong < 0 {
			if err != nil {
				t.Errorf("%s %v: %v", c.input, c.ids, err)
			}
			continue
		}
		want := format.RangeError{Name: c.input, Index: format.Index(c.wrong, shape), Got: c.ids[c.wrong], First: c.first, Last: c.last}
		var got *format.RangeError
		if !errors.As(err, &got) || got.Name != want.Name || !slices.Equal(got.Index, want.Index) || got.Got != want.Got || got.First != want.First || got.Last != want.Last {
			t.Errorf("%s %v: %v, want %v", c.input, c.ids, err, &want)
		}
		if label := c.input == "labels"; strings.Contains(err.Error(), "or -7 where a label does not count") != label {
			t.Errorf("%s %v: %v", c.input, c.ids, err)
		}
	}
	if err := rules.Check(map[string]format.Tensor{"a": format.FromFloat32s("a", []int{1, 2}, []float32{0, 1})}); err == nil || !strings.HasPrefix(err.Error(), "train: ") {
		t.Errorf("ids that are floats: %v", err)
	}
}

// Ids that a graph holds are checked once, when the rules are found.
func TestIDRulesOfConstants(t *testing.T) {
	lookUp := func(op graph.Gather, ids ...int64) func(*graph.Builder, *graph.Value) {
		return func(b *graph.Builder, table *graph.Value) {
			b.Output("more", b.Apply(op, 1, table, b.Const(format.FromInt64s("fixed", []int{len(ids)}, ids)))[0])
		}
	}
	for _, more := range []func(*graph.Builder, *graph.Value){lookUp(graph.Gather{}, 2, 0), lookUp(graph.Gather{Axis: 1}, 3), lookUp(graph.Gather{FromEnd: true}, -3, 2)} {
		if rules, err := train.FindIDRules(ruled(t, more)); err != nil || len(rules) != 4 {
			t.Errorf("%d rules, %v", len(rules), err)
		}
	}
	for want, more := range map[string]func(*graph.Builder, *graph.Value){
		"is 3: it must be from 0 to 2":   lookUp(graph.Gather{}, 0, 3),
		"is 4: it must be from 0 to 3":   lookUp(graph.Gather{Axis: 1}, 4),
		"is -1: it must be from 0 to 2":  lookUp(graph.Gather{}, -1),
		"is -4: it must be from -3 to 2": lookUp(graph.Gather{FromEnd: true}, -4),
	} {
		if _, err := train.FindIDRules(ruled(t, more)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"table": is the sequence longer than the context?`) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
