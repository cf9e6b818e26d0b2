package graph

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// The number of windows is a polynomial where the stride divides what has a name.
func TestWindowsOverNamedDimensions(t *testing.T) {
	for _, c := range []struct {
		size   string
		stride int
		want   string // "" for a refusal
	}{{"T", 1, "T-1"}, {"2*T", 2, "T"}, {"4*T+1", 2, "2*T"}, {"4*T-1", 2, "2*T-1"}, {"T", 2, ""}, {"9", 2, "4"}} {
		size, err := parseDim(c.size)
		if err != nil {
			t.Fatal(err)
		}
		pool := MaxPool{KernelShape: []int{2}, Strides: []int{c.stride}, Pads: []int{0, 0}, Dilations: []int{1}}
		types, err := pool.Infer([]Type{{format.Float32, Shape{N(1), N(1), size}}})
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%+v: %s", c, types[0])
		case c.want != "" && (err != nil || types[0].Shape[2].String() != c.want):
			t.Errorf("%+v: %v, %v", c, types, err)
		}
	}
}

// Windows that no memory holds, or that fit nowhere, are refused by their types.
func TestWindowsAreBounded(t *testing.T) {
	x := Type{format.Float32, Numbers(1, 1, 8, 8)}
	huge := 1 << 24
	for want, pool := range map[string]MaxPool{
		"kernel":      {KernelShape: []int{huge, huge}, Strides: []int{1, 1}, Pads: []int{huge, huge, huge, huge}, Dilations: []int{1, 1}},
		"expected 1":  {KernelShape: []int{2, 2}, Strides: []int{0, 1}, Pads: make([]int, 4), Dilations: []int{1, 1}},
		"pads":        {KernelShape: []int{2, 2}, Strides: []int{1, 1}, Pads: []int{0, 0, 0, 2 * huge}, Dilations: []int{1, 1}},
		"positions":   {KernelShape: []int{9, 1}, Strides: []int{1, 1}, Pads: make([]int, 4), Dilations: []int{1, 1}},
		"2 spatial":   {KernelShape: []int{2}, Strides: []int{1}, Pads: make([]int, 2), Dilations: []int{1}},
		"dilations [": {KernelShape: []int{2, 2}, Strides: []int{1, 1}, Pads: make([]int, 4)},
	} {
		if _, err := pool.Infer([]Type{x}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
