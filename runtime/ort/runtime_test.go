//go:build cgo

package ort

import (
	"testing"

	"github.com/attnx/attnx/runtime"
)

// What could not be opened is nil, and not a nil pointer in an interface.
func TestNothingIsOpened(t *testing.T) {
	for _, o := range []runtime.Options{{Level: "highest"}, {Library: "/no/such/library"}, {}} {
		s, err := Runtime.Open(runtime.File{Path: "/no/such/model.onnx"}, o)
		if err == nil || s != nil {
			t.Errorf("%+v: a session %T, %v", o, s, err)
		}
		d, err := Runtime.OpenDevice(runtime.File{Path: "/no/such/model.onnx"}, o)
		if err == nil || d != nil {
			t.Errorf("%+v: a device %T, %v", o, d, err)
		}
	}
}
