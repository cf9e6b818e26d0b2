package format_test

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/attnx/attnx/format"
)

func TestCheckRange(t *testing.T) {
	narrow := func(x ...int32) format.Tensor {
		var b []byte
		for _, v := range x {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		return format.Tensor{Name: "ids", DType: format.Int32, Shape: []int{len(x)}, Data: b}
	}
	for _, c := range []struct {
		t    format.Tensor
		want string
		at   []int
	}{
		{format.FromInt64s("ids", []int{2, 2}, []int64{0, 4, 2, 3}), "", nil},
		{format.FromInt64s("ids", []int{2, 2}, []int64{0, 4, -1, 5}), "ids[1,0] is -1: it must be from 0 to 4", []int{1, 0}},
		{format.FromInt64s("ids", []int{3}, []int64{0, math.MinInt64, 0}), "ids[1] is -9223372036854775808: it must be from 0 to 4", []int{1}},
		{format.FromInt64s("ids", []int{}, []int64{5}), "ids is 5: it must be from 0 to 4", []int{}},
		{format.FromInt64s("ids", []int{0, 2}, nil), "", nil},
		{narrow(0, 4), "", nil},
		{narrow(0, -1), "ids[1] is -1: it must be from 0 to 4", []int{1}},
		{narrow(5), "ids[0] is 5: it must be from 0 to 4", []int{0}},
		{format.FromFloat32s("ids", []int{1}, []float32{1}), "ids is F32: it must be I64 or I32", nil},
	} {
		err := c.t.CheckRange(0, 4)
		var bad *format.RangeError
		switch {
		case c.want == "" && err == nil:
		case err == nil || err.Error() != c.want || errors.As(err, &bad) != (c.at != nil):
			t.Errorf("%v: %v, want %s", c.t, err, c.want)
		case bad != nil && !reflect.DeepEqual(bad.Index, c.at):
			t.Errorf("%v: at %v, want %v", c.t, bad.Index, c.at)
		}
	}
}
