package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// wrongIf is a runtime that is wrong only where a condition on the inputs holds.
type wrongIf struct {
	fake
	when func(in map[string]format.Tensor) bool
}

func (w *wrongIf) Run(in map[string]format.Tensor) (map[string]format.Tensor, error) {
	w.fault = nil
	if w.when(in) {
		w.fault = add(1)
	}
	return w.fake.Run(in)
}

func integersOf(t *testing.T, in map[string]format.Tensor, name string) []int64 {
	x, err := in[name].Int64s()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// A runtime that is wrong for one id, one length, one position or one size of the batch
// fails, whichever one it is, if the report counts it as covered.
func TestSingleFaultsAreCaught(t *testing.T) {
	for _, size := range []struct{ vocab, context, budget int }{{97, 64, DefaultBudget}, {97, 64, ProvedBudget}, {300, 130, ProvedBudget}} {
		cases := textCases(size.vocab, size.context, size.budget, 5)
		inputs := []Input{{Name: idsName, Role: role.Of(role.Tokens), DType: format.Int64, Sizes: []string{"B", "T"}, Below: size.vocab,
			Shape: func(s map[string]int) ([]int, error) { return []int{s["B"], s["T"]}, nil }}}
		covered := CoverageOf(cases, inputs, size.context)
		if covered.IDs.Covered != covered.IDs.Of || covered.Positions.Covered != covered.Positions.Of || covered.Batches != "1-12" {
			t.Errorf("%+v: covered %+v", size, covered)
		}
		if size.budget == DefaultBudget && covered.Lacking != "" {
			t.Errorf("%+v: no text of length %s", size, covered.Lacking)
		}
		shapeOf := func(in map[string]format.Tensor) (batch, length int) { s := in[idsName].Shape; return s[0], s[1] }
		faults := map[string]func(map[string]format.Tensor) bool{}
		for id := int64(0); id < int64(size.vocab); id += 37 {
			faults[fmt.Sprint("id ", id)] = func(in map[string]format.Tensor) bool { return slices.Contains(integersOf(t, in, idsName), id) }
		}
		for _, n := range edgeLengths(size.context) {
			if slices.ContainsFunc(cases, func(c Case) bool { return c.Length == n }) {
				faults[fmt.Sprint("length ", n)] = func(in map[string]format.Tensor) bool { _, length := shapeOf(in); return length == n }
			}
		}
		for b := 1; b <= 12; b++ {
			faults[fmt.Sprint("batch ", b)] = func(in map[string]format.Tensor) bool { batch, _ := shapeOf(in); return batch == b }
		}
		faults["the last position"] = func(in map[string]format.Tensor) bool { _, length := shapeOf(in); return length == size.context }
		for name, when := range faults {
			x := Candidate{Name: "x", Open: func() (Session, error) { return &wrongIf{fake{vocab: 7}, when}, nil }}
			r, err := Verify(context.Background(), &fake{vocab: 7, double: true}, []Candidate{x}, cases)
			if err != nil || r.Verdict != Fail {
				t.Errorf("%+v: %s is not caught: %v", size, name, err)
			}
		}
		x := Candidate{Name: "x", Open: func() (Session, error) { return &fake{vocab: 7}, nil }}
		if r, err := Verify(context.Background(), &fake{vocab: 7, double: true}, []Candidate{x}, cases); err != nil || r.Verdict != Pass {
			t.Errorf("%+v: without a fault: %+v, %v", size, r, err)
		}
	}
}

// Every feasible pair of a batch, a past, new tokens, a mask and positions occurs, so a
// runtime that is wrong for one of them only is caught.
func TestPastCasesCoverPairs(t *testing.T) {
	for _, shape := range []CacheShape{
		{Layers: 1, Heads: 2, HeadWidth: 2, Context: 1024, Positions: true, DType: format.Float32},
		{Layers: 2, Heads: 1, HeadWidth: 4, Context: 16, DType: format.Float32},
		{Layers: 1, Heads: 1, HeadWidth: 2, Context: 2, Positions: true, DType: format.Float32},
	} {
		cases, pairs := PastCases(shape, 50, 1000, 1)
		if pairs.Covered != pairs.Of || pairs.Of == 0 {
			t.Fatalf("context %d: pairs %s", shape.Context, pairs)
		}
		few, part := PastCases(shape, 50, 5, 1)
		if len(few) > 5 || part.Of != pairs.Of || len(cases) > 5 && part.Covered >= part.Of {
			t.Errorf("context %d: five cases have %s pairs", shape.Context, part)
		}
		seen, holes, padded := map[[2]int]bool{}, 0, 0
		for _, k := range cases {
			in := k.Inputs()
			mask := in[maskName]
			columns := mask.Shape[1] - k.Length
			seen[[2]int{k.Batch, columns}] = true
			if columns+k.Length > shape.Context {
				t.Errorf("%s: beyond the context", k)
			}
			if past := in["past_key_values.0.key"]; !slices.Equal(past.Shape, []int{k.Batch, shape.Heads, columns, shape.HeadWidth}) || past.Check() != nil {
				t.Errorf("%s: the past is %v", k, past.Shape)
			}
			kinds := maskKinds(mask)
			if slices.Contains(kinds, "holes") {
				holes++
			}
			if slices.Contains(kinds, "left padding") {
				padded++
			}
			if slices.Contains(kinds, "empty") {
				t.Errorf("%s: a sequence without a token", k)
			}
			if positions, given := in[positionsName]; given != shape.Positions || given && !slices.Equal(positions.Shape, []int{k.Batch, k.Length}) {
				t.Errorf("%s: positions %v", k, positions.Shape)
			}
			if !slices.EqualFunc(keys(set(in)), keys(set(k.Inputs())), func(a, b string) bool {
				return a == b && slices.Equal(in[a].Data, k.Inputs()[b].Data)
			}) {
				t.Errorf("%s: drawn twice, it is another case", k)
			}
		}
		for _, b := range pastBatches {
			for _, n := range pastColumns {
				if n+1 <= shape.Context && n <= shape.Context-2 && !seen[[2]int{b, n}] && b*(n+1) <= pastArea {
					t.Errorf("context %d: no case has batch %d with a past of %d", shape.Context, b, n)
				}
			}
		}
		if shape.Context > 8 && (holes == 0 || padded == 0) {
			t.Errorf("context %d: %d cases with holes, %d with padding", shape.Context, holes, padded)
		}
	}
}

func set[V any](m map[string]V) map[string]bool {
	s := map[string]bool{}
	for k := range m {
		s[k] = true
	}
	return s
}

// A text's mask has each kind of row in some case, even where the batch is 1.
func TestMasksHaveEveryKind(t *testing.T) {
	shape := func(s map[string]int) ([]int, error) { return []int{s["B"], s["T"]}, nil }
	inputs := []Input{
		{Name: idsName, Role: role.Of(role.Tokens), DType: format.Int64, Sizes: []string{"B", "T"}, Below: 50, Shape: shape},
		{Name: maskName, Role: role.Of(role.AttentionMask), DType: format.Int64, Sizes: []string{"B", "T"}, Shape: shape},
	}
	cases, err := CasesOf(inputs, 32, ProvedBudget, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := CoverageOf(cases, inputs, 32); c.Masks != "holes, left padding, right padding, whole" {
		t.Errorf("masks: %s", c.Masks)
	}
}

func TestCoverageText(t *testing.T) {
	r := Report{Verdict: Pass, Oracle: OracleName, Coverage: &Coverage{IDs: Count{1600, 50257}, Positions: Count{1024, 1024}, Lengths: ranges([]int{1, 2, 3, 7, 9, 10}), Lacking: "127-129", Batches: "1-12", Pairs: Count{4, 4}}}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\ncovered: ids 1600 of 50257; positions 1024 of 1024; lengths 1-3, 7, 9-10; batches 1-12; pairs of ", "\nleft out: 48657 ids; lengths around powers of two 127-129\n"} {
		if !strings.Contains("\n"+text.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, text.String())
		}
	}
}
