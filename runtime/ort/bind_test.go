//go:build cgo

package ort

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

func TestShapeFromNames(t *testing.T) {
	names := map[string]int{"B": 2, "P": 0, "T": 5, "huge": 1 << 62}
	for _, c := range []struct {
		dims string
		want []int
		ok   bool
	}{
		{"B,T,7", []int{2, 5, 7}, true},
		{"P + T", []int{5}, true},
		{"P+T+1", []int{6}, true},
		{"B,?", nil, false},
		{"B,T-1", nil, false},
		{"B,T*2", nil, false},
		{"B,K", nil, false},
		{"huge,4", nil, false},
		{"20000,20000", nil, false}, // over maxPrepared: not on the word of the file
	} {
		v := runtime.Value{Name: "y", DType: declared.ElementTypes[protoFloat], Ranked: true}
		for d := range strings.SplitSeq(c.dims, ",") {
			dim := runtime.Dim{Name: d}
			if n, err := strconv.Atoi(d); err == nil {
				dim = runtime.Dim{Size: n}
			}
			v.Shape = append(v.Shape, dim)
		}
		got, ok := declared.ShapeOf(v, names)
		if ok != c.ok || ok && !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v, %v", v, got, ok, c.want, c.ok)
		}
	}
}
