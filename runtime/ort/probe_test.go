//go:build cgo

package ort

import "testing"

func TestProbeModel(t *testing.T) {
	x, y := testValue{"x", protoFloat, []string{"1"}}, testValue{"y", protoFloat, []string{"1"}}
	m := testModel{
		nodes:   []testNode{{op: "Identity", in: []string{"x"}, out: []string{"y"}}},
		inputs:  []testValue{x},
		outputs: []testValue{y},
	}
	if want := string(m.bytes()); probeModel != want {
		t.Errorf("probeModel is\n%q, want\n%q", probeModel, want)
	}
	session(t, m, Options{}).Close()
}
