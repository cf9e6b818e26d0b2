package runtime

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/attnx/attnx/format"
)

// A difference in a selected element is found at its place, in one that is not
// selected it is not; every row has selected elements, and every column occurs.
func TestSelection(t *testing.T) {
	for _, c := range []struct {
		shape []int
		limit int
	}{{[]int{}, 1}, {[]int{7}, 3}, {[]int{2, 9, 7}, 30}, {[]int{2, 9, 7}, 1000}, {[]int{1, 40, 11}, 60}, {[]int{2, 3, 8, 5}, 40}} {
		n, _ := format.Elements(c.shape)
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(i)
		}
		want := format.FromFloat64s("x", c.shape, values)
		k := keepOne(t, want, c.limit)
		last := max(0, len(c.shape)-1)
		rows, columns, found := map[string]bool{}, map[int]bool{}, 0
		for i := range values {
			index := unravel(i, c.shape)
			values[i] += 10
			got := format.FromFloat64s("x", c.shape, slices.Clone(values))
			values[i] -= 10
			d := k.compare(Numbers{}, got, false)
			if d.Within {
				continue
			}
			found++
			if d.FirstBad == nil || !slices.Equal(d.FirstBad.Index, index) || !slices.Equal(d.WorstIndex, index) {
				t.Fatalf("%v: element %v is found at %+v", c.shape, index, d.FirstBad)
			}
			rows[fmt.Sprint(index[:last])] = true
			if part := k.rest.Elements() > 0; len(index) > 0 && (!part || !isWhole(k, i)) {
				columns[index[last]] = true
			}
		}
		if len(c.shape) > 0 && (len(rows) != n/c.shape[last] || n/c.shape[last] > 2*c.shape[last] && len(columns) != c.shape[last]) {
			t.Errorf("%v: %d rows and %d columns are compared", c.shape, len(rows), len(columns))
		}
		if d := k.compare(Numbers{}, want, false); d.Elements != found || !d.Within {
			t.Errorf("%v: %d elements are compared, %d are found", c.shape, d.Elements, found)
		}
		if n <= c.limit && found != n || n > c.limit && len(c.shape) > 1 && found > 2*c.limit {
			t.Errorf("%v: %d of %d elements are kept, the limit is %d", c.shape, found, n, c.limit)
		}
	}
}

// isWhole reports whether an element is in a row that is kept whole.
func isWhole(k kept, i int) bool {
	for l := range k.lines(k.length) {
		if l.Row == i/k.width {
			return l.Whole
		}
	}
	return false
}

// A model may return only the logits of the last tokens.
func TestSelectionOfLastRows(t *testing.T) {
	values := make([]float64, 2*9*7)
	for i := range values {
		values[i] = float64(i)
	}
	want := format.FromFloat64s("x", []int{2, 9, 7}, values)
	for _, limit := range []int{30, 1000} {
		k := keepOne(t, want, limit)
		for last := 1; last <= 9; last++ {
			got := LastRows(want, format.Tensor{Shape: []int{2, last, 7}})
			if d := k.compare(Numbers{}, got, true); !d.Within || d.Elements < 2*last {
				t.Errorf("limit %d, the last %d rows: %+v", limit, last, d)
			}
			wrong, _ := got.Float64s()
			wrong = slices.Clone(wrong)
			wrong[len(wrong)-1]++ // in the last row, which is whole
			if d := k.compare(Numbers{}, format.FromFloat64s("x", got.Shape, wrong), true); d.Within || !slices.Equal(d.FirstBad.Index, []int{1, 8, 6}) {
				t.Errorf("limit %d, the last %d rows: %+v", limit, last, d.FirstBad)
			}
		}
	}
}

// keepOne keeps about limit elements of an output.
func keepOne(t *testing.T, want format.Tensor, limit int) kept {
	t.Helper()
	all, err := keep([]format.Tensor{want}, nil, limit)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// What an oracle gives of an output, line after line, is what is kept of the whole one.
func TestSelectedBeforehand(t *testing.T) {
	for _, limit := range []int{1, 70, 400, 5000} {
		values := make([]float64, 2*9*40)
		for i := range values {
			values[i] = float64(i)
		}
		whole := format.FromFloat64s("x", []int{2, 9, 40}, values)
		chosen := Select(map[string][]int{whole.Name: whole.Shape}, limit)
		var part []float64
		x, err := whole.Float64s()
		if err != nil {
			t.Fatal(err)
		}
		for l := range chosen[whole.Name].Lines() {
			for i := range l.N {
				part = append(part, x[l.Row*40+l.First+i*l.Step])
			}
		}
		want := keepOne(t, whole, limit)
		got, err := keep([]format.Tensor{format.FromFloat64s(whole.Name, []int{len(part)}, part)}, chosen, limit)
		if err != nil || !reflect.DeepEqual(got[0], want) {
			t.Errorf("limit %d: other elements are kept than of the whole (%v)", limit, err)
		}
		if _, err := keep([]format.Tensor{format.FromFloat64s(whole.Name, []int{len(part) + 1}, append(part, 0))}, chosen, limit); err == nil {
			t.Errorf("limit %d: an element too many is not refused", limit)
		}
	}
}
