//go:build cgo

package ort

import (
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// A valid model of which ONNX Runtime lacks a kernel is told from models that are wrong.
func TestMissingKernelsAreNotWrongModels(t *testing.T) {
	needLibrary(t)
	of := func(op string, elem uint64) testModel {
		m := identity(elem)
		m.nodes = []testNode{{op: op, in: []string{"x", "x"}, out: []string{"y"}}}
		m.inputs, m.outputs = []testValue{{"x", elem, []string{"2", "2"}}}, []testValue{{"y", elem, []string{"2", "2"}}}
		return m
	}
	const protoBool = 9
	later := of("MatMul", protoFloat)
	later.outputs[0].elem = protoBool
	for name, c := range map[string]struct {
		model   testModel
		missing bool
		want    string
	}{
		"a product in bfloat16":           {of("MatMul", protoBFloat16), true, `MatMul(13), node "the_MatMul"`},
		"a product of truth values":       {of("MatMul", protoBool), false, "Type Error"},
		"an operator that does not exist": {of("Could not find an implementation for MatMul(13)", protoFloat), false, "No Op registered"},
		"another type than is declared":   {later, false, "Type Error"},
	} {
		_, err := OpenBytes(c.model.bytes(), Options{Threads: 1})
		_, onDevice := OpenDeviceBytes(c.model.bytes(), Options{Threads: 1})
		for _, err := range []error{err, onDevice} {
			if lacking := new(runtime.NoKernelError); err == nil || errors.As(err, &lacking) != c.missing || errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, missing %v", name, err, c.missing)
			}
		}
	}
}
