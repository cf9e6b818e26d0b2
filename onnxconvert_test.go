package attnx

import (
	"math"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
)

// An array becomes the input's type if that keeps every number, and is refused otherwise.
func TestConvertedInputs(t *testing.T) {
	const refused = "one of its numbers is "
	ints := func(d format.DType, v ...int64) format.Tensor {
		x := format.Tensor{DType: d, Shape: []int{len(v)}}
		for _, n := range v {
			x.Data = appendInteger(x.Data, d, uint64(n))
		}
		return x
	}
	floats := func(v ...float64) format.Tensor { return format.FromFloat64s("", []int{len(v)}, v) }
	for name, c := range map[string]struct {
		given format.Tensor
		want  format.Tensor
		err   string
	}{
		"int32 to int64":              {ints(format.Int32, -3, math.MaxInt32), ints(format.Int64, -3, math.MaxInt32), ""},
		"int64 to int32":              {ints(format.Int64, math.MinInt32), ints(format.Int32, math.MinInt32), ""},
		"int64 beyond int32":          {ints(format.Int64, 1<<31), format.Tensor{}, refused},
		"int8 to uint8":               {ints(format.Int8, -1), format.Tensor{}, refused},
		"uint64 to int64":             {ints(format.Uint64, -1), format.Tensor{}, refused},
		"uint8 to int64":              {ints(format.Uint8, 255), ints(format.Int64, 255), ""},
		"bool to int64":               {ints(format.Bool, 1, 0), ints(format.Int64, 1, 0), ""},
		"int64 to bool":               {ints(format.Int64, 2), format.Tensor{}, refused},
		"int64 to float64":            {ints(format.Int64, -5), floats(-5), ""},
		"int64 with too many digits":  {ints(format.Int64, 1<<53+1), format.Tensor{DType: format.Float64}, refused},
		"uint64 with too many digits": {ints(format.Uint64, -1), format.Tensor{DType: format.Float64}, refused},
		"float64 to float32":          {floats(0.5), format.FromFloat32s("", []int{1}, []float32{0.5}), ""},
		"float64 that is no float32":  {floats(0.1), format.Tensor{DType: format.Float32}, refused},
		"numbers stay numbers":        {floats(1), floats(1), ""},
	} {
		to := c.want.DType
		switch name { // the refused say which type was asked for
		case "int64 beyond int32":
			to = format.Int32
		case "int8 to uint8":
			to = format.Uint8
		case "uint64 to int64":
			to = format.Int64
		case "int64 to bool":
			to = format.Bool
		case "numbers stay numbers":
			to = format.Int64
		}
		got, err := converted("x.npy", c.given, to)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || got.DType != c.want.DType || string(got.Data) != string(c.want.Data) {
			t.Errorf("%s: %s %v, %v", name, got.DType, got.Data, err)
		}
	}
}
