package conform

import (
	"strings"
	"testing"

	"github.com/attnx/attnx/fixtures"
)

// A golden number that float32 cannot hold would be another number for the
// oracle than for the runtimes.
func TestGoldenTensorsAreRefused(t *testing.T) {
	for _, c := range []struct {
		g    fixtures.Tensor
		want string
	}{
		{fixtures.Tensor{DType: "F32", Shape: []int{2}, Data: []float64{0.5, 0.1}}, "0.1 at 1 is not a float32"},
		{fixtures.Tensor{DType: "F16", Shape: []int{1}, Data: []float64{0.5}}, `holds "F16"`},
		{fixtures.Tensor{DType: "", Shape: []int{1}, Data: []float64{0.5}}, `holds ""`},
	} {
		if _, err := tensors("x", []fixtures.Tensor{c.g}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "x0") {
			t.Errorf("%v: error is %v, want %q", c.g, err, c.want)
		}
	}
}
