package format

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// Every element of the types of 8 bits and fewer, and the rounding of numbers
// between them, are those of the package ml_dtypes.
func TestSmallFloats(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_PYTHON to a Python with ml_dtypes")
	}
	out, err := exec.Command(python, "-c", `
import json, ml_dtypes, numpy as np
names = {"F8_E4M3": ("float8_e4m3fn", 256), "F8_E4M3FNUZ": ("float8_e4m3fnuz", 256), "F8_E5M2": ("float8_e5m2", 256),
         "F8_E5M2FNUZ": ("float8_e5m2fnuz", 256), "F8_E8M0": ("float8_e8m0fnu", 256), "F4": ("float4_e2m1fn", 16)}
text = lambda a: [float(v).hex() for v in a.astype(np.float64)]
result = {}
for name, (dtype, n) in names.items():
    t = np.dtype(getattr(ml_dtypes, dtype))
    all = np.arange(n, dtype=np.uint8).view(t)
    v = np.unique(all.astype(np.float64)[np.isfinite(all.astype(np.float64))])
    x = np.concatenate([(v[1:] + v[:-1]) / 2, v[1:] * 0.75 + v[:-1] * 0.25, v * 1.001, [-0.0, np.inf, -np.inf, v[-1] * 1.02, v[-1] * 1.2, v[-1] * 4]])
    if name == "F8_E8M0":
        x = x[np.isfinite(x) & (x > 2.0**-126) & (x <= v[-1]) & (np.frexp(x)[0] != 0.75)]  # ties differ from ONNX's
    x = x.astype(np.float32)
    result[name] = {"all": text(all), "x": text(x), "rounded": text(x.astype(t))}
print(json.dumps(result))`).Output()
	if err != nil {
		t.Skipf("no ml_dtypes: %v", err)
	}
	var want map[string]struct{ All, X, Rounded []string }
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	same := func(x, y float64) bool { return x == y && math.Signbit(x) == math.Signbit(y) || x != x && y != y }
	for name, w := range want {
		d, _ := ParseDType(name)
		for i, s := range w.All {
			if got := wideners[d]([]byte{byte(i)}); !same(got, number(s)) {
				t.Errorf("%s: bits %#x are %g, expected %g", name, i, got, number(s))
			}
		}
		for i, s := range w.X {
			if got := d.Round(number(s)); !same(got, number(w.Rounded[i])) {
				t.Errorf("%s: %g rounds to %g, expected %g", name, number(s), got, number(w.Rounded[i]))
			}
		}
	}
}

// A checkpoint holds none of the types of memory alone.
func TestTypesOfMemoryAlone(t *testing.T) {
	for d := Float8E4M3FN; d.Size() > 0; d++ {
		h := Header{Tensors: []TensorInfo{{Name: "x", DType: d, Shape: []int{1}}}}
		if err := h.check(); err == nil {
			t.Errorf("a checkpoint holds %s", d)
		}
	}
}
