package ort

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime/declared"
)

func readDeclared(b []byte) (declared.Signature, error) { return declaredBytes(b) }

func TestDeclared(t *testing.T) {
	m := testModel{
		inputs: []testValue{
			{"ids", protoInt64, []string{"batch_size", "4", "", "past + new"}},
			{"any", protoFloat, nil},
			{"scalar", protoDouble, []string{}},
			{"w", protoFloat, []string{"3"}}, // a weight that is listed as an input, as up to IR version 3
			{"half", protoHalf, []string{"0"}},
		},
		outputs: []testValue{{"y", protoBool, []string{"batch_size"}}},
		weights: []testWeight{{"w", []int64{3}, []float32{1, 2, 3}}},
	}
	s, err := readDeclared(m.bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := declared.List(s.Inputs), "ids I64[batch_size,4,?,past + new], any F32[...], scalar F64[], half F16[0]"; got != want {
		t.Errorf("inputs %s\nwant   %s", got, want)
	}
	if got, want := declared.List(s.Outputs), "y BOOL[batch_size]"; got != want {
		t.Errorf("outputs %s, want %s", got, want)
	}
}

// TestDeclaredCut cuts a model everywhere: the walk must end, with an error
// wherever a length no longer fits, and never in a panic.
func TestDeclaredCut(t *testing.T) {
	b := embedModel().bytes()
	whole, err := readDeclared(b)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for n := range b {
		s, err := readDeclared(b[:n])
		if err == nil {
			accepted++ // cut between two fields that come after the graph
			if declared.List(s.Inputs) != declared.List(whole.Inputs) {
				t.Errorf("cut at %d: %s", n, declared.List(s.Inputs))
			}
		}
	}
	if accepted == 0 || accepted > 4 {
		t.Errorf("%d of %d cuts are accepted; the file has 4 fields from the graph on", accepted, len(b))
	}
}

func TestDeclaredHostile(t *testing.T) {
	for name, b := range map[string][]byte{
		"a length past the end":  {7<<3 | 2, 0xff, 0xff, 0xff, 0xff, 0x7f, 0},
		"a length over 2^63":     {7<<3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"a varint without end":   bytes.Repeat([]byte{0xff}, 40),
		"field number 0":         {0, 1},
		"a group":                {7<<3 | 3, 7<<3 | 4},
		"a declaration of 2 MB":  message(nil, 7, message(nil, 11, text(nil, 1, strings.Repeat("x", 2<<20)))),
		"a broken declaration":   message(nil, 7, message(nil, 11, []byte{0x0a, 0x50})),
		"a name longer than all": message(nil, 7, message(nil, 5, []byte{8<<3 | 2, 0x50})),
	} {
		if _, err := readDeclared(b); !errors.Is(err, declared.ErrNotONNX) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDeclared(f *testing.F) {
	f.Add(embedModel().bytes())
	f.Add(addModel(protoFloat, "N", "2").bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readDeclared(b)
		if err != nil {
			return
		}
		for _, v := range append(s.Inputs, s.Outputs...) {
			if v.Name == "" && v.String() == "" || v.DType.Size() == 0 {
				t.Errorf("%s was accepted", v)
			}
		}
	})
}
