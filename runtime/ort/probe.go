//go:build cgo

package ort

import "github.com/attnx/attnx/format"

// probeModel is a minimal model, y = Identity(x) with one float32, as an ONNX
// file of opset 17 and IR version 8. A test regenerates it.
const probeModel = "\b\b\x12\nattnx test:H\n\x1e\n\x01x\x12\x01y\"\bIdentity\x1a\fthe_Identity\x12\x04testZ\x0f\n\x01x\x12\n\n\b\b\x01\x12\x04\n\x02\b\x01b\x0f\n\x01y\x12\n\n\b\b\x01\x12\x04\n\x02\b\x01B\x04\n\x00\x10\x11"

// tryCUDA runs a model on CUDA. The provider may load and still find no device;
// only a run shows that.
func tryCUDA() error { return Try(Options{Device: "cuda"}) }

// Try runs a model of one operator to check that a device works.
func Try(o Options) error {
	s, err := OpenBytes([]byte(probeModel), o)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Run(map[string]format.Tensor{"x": format.FromFloat32s("x", []int{1}, []float32{1})})
	if err != nil && o.Device == "cuda" {
		return cudaError(err)
	}
	return err
}
