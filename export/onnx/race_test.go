//go:build race

package onnx_test

// raceDetector says that allocations cannot be counted: the race detector
// makes some of its own.
const raceDetector = true
