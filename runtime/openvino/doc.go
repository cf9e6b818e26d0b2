// Package openvino runs ONNX models with OpenVINO on the CPU: a runtime that
// shares no code with ONNX Runtime or Go's.
//
// OpenVINO is a shared library that is opened at run time, through its C API
// (libopenvino_c), so a program that imports this package starts without it.
// [Find] searches for the library, and [Install] installs a pinned official
// build into the user's cache: the five libraries that ONNX models need on the
// CPU, from PyPI's package openvino. The C library sends nothing to its maker;
// telemetry is a separate Python package.
//
// [Runtime] computes in float32. As it comes, OpenVINO computes in bfloat16 or
// float16 where the processor has instructions for it, and does not report
// that; with the level [Default] it is used in this form.
//
// Version 2026.4 computes with the lower 32 bits of an int64, and with float32 for
// float64.
//
// A C++ exception in the library comes back as an error. A model that crashes
// the library ends the process.
//
// The package needs cgo. With CGO_ENABLED=0 it has the same functions, and they
// return [runtime.UnavailableError].
package openvino
