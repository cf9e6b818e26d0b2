package bench

import (
	"math"
	"testing"
)

// The first of three runs is not counted; fences around kernels are no kernels.
func TestKernelRows(t *testing.T) {
	const profile = `[
{"cat":"Session","name":"model_loading","dur":9},
{"cat":"Node","name":"a_kernel_time","dur":5000,"args":{"op_name":"Gemm"}},{"cat":"Session","name":"model_run","dur":1},
{"cat":"Node","name":"a_fence_before","dur":900,"args":{"op_name":"Gemm"}},
{"cat":"Node","name":"a_kernel_time","dur":1000,"args":{"op_name":"Gemm"}},
{"cat":"Node","name":"b_kernel_time","dur":500,"args":{"op_name":"Add"}},{"cat":"Session","name":"model_run","dur":1},
{"cat":"Node","name":"a_kernel_time","dur":2000,"args":{"op_name":"Gemm"}},
{"cat":"Node","name":"b_kernel_time","dur":500,"args":{"op_name":"Add"}},{"cat":"Session","name":"model_run","dur":1}]`
	rows, err := kernelRows([]byte(profile), 2)
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	for i, want := range []KernelRow{{"Gemm", 1.5, 1, 0.75}, {"Add", 0.5, 1, 0.25}} {
		got := rows[i]
		if got.Op != want.Op || math.Abs(got.Ms-want.Ms)+math.Abs(got.Nodes-want.Nodes)+math.Abs(got.Share-want.Share) > 1e-12 {
			t.Errorf("row %d is %+v, want %+v", i, got, want)
		}
	}
	for _, bad := range []string{"", "{", "[]"} {
		if _, err := kernelRows([]byte(bad), 1); err == nil {
			t.Errorf("%q passes for a profile", bad)
		}
	}
}
