//go:build cgo

package ort

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// lentTable looks ids (B,T) up in a table (64,2) that the model says to be elsewhere.
func lentTable() []byte {
	m := embedModel()
	m.weights = nil
	b := m.bytes()
	t := number(number(number(nil, 1, 64), 1, 2), 2, protoFloat)
	t = text(t, 8, "table")
	t = message(t, 13, text(text(nil, 1, "location"), 2, ".")) // external_data
	t = number(t, 14, 1)                                       // EXTERNAL
	return message(b, 7, message(nil, 5, t))                   // joined with the graph before, as protobuf says
}

// A weight that is lent is read where it is: the device sees it change.
func TestLent(t *testing.T) {
	needLibrary(t)
	values := make([]float32, 128)
	for i := range values {
		values[i] = float32(i)
	}
	table := format.FromFloat32s("table", []int{64, 2}, values)
	d, err := OpenDeviceLent(lentTable(), []format.Tensor{table}, Options{})
	ok(t, err)
	t.Cleanup(func() { d.Close() })
	ids, rows := alloc(t, d, 16), alloc(t, d, 16)
	ok(t, d.Write(ids, 0, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 63), 7)))
	ok(t, d.BindInput(0, ids, 0, []int{1, 2}), d.BindOutput(0, rows, 0, []int{1, 2, 2}), d.Run(0))
	if got := get(t, d, rows, 4); got[0] != 126 || got[1] != 127 || got[2] != 14 || got[3] != 15 {
		t.Errorf("%v", got)
	}
	values[126] = -1
	ok(t, d.Run(0))
	if got := get(t, d, rows, 4); got[0] != -1 {
		t.Errorf("the table was copied: %v", got)
	}
	ok(t, d.Write(ids, 0, binary.LittleEndian.AppendUint64(nil, 64)))
	if err := d.Run(0); err == nil || !strings.Contains(err.Error(), "64") {
		t.Errorf("an id beyond the table: %v", err)
	}
	ok(t, d.Close(), d.Close())
}

func TestLentRefused(t *testing.T) {
	needLibrary(t)
	for want, weights := range map[string][]format.Tensor{
		"":                     nil, // in no file
		"must be in the model": {format.FromFloat32s("table", []int{2, 2}, make([]float32, 4))},
		"directory":            {format.FromFloat32s("other", []int{64, 2}, make([]float32, 128))},
		"tensor":               {{Name: "table", DType: format.Float32, Shape: []int{64, 2}, Data: make([]byte, 511)}},
	} {
		d, err := OpenDeviceLent(lentTable(), weights, Options{})
		if err == nil {
			d.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", want, err)
		}
	}
	if s, err := Runtime.Open(runtime.File{Data: lentTable(), Weights: []format.Tensor{{}}}, runtime.Options{}); err == nil || !strings.Contains(err.Error(), "only a device") {
		t.Errorf("%v, %v", s, err)
	}
}
