// Package ort runs ONNX models with ONNX Runtime, on the CPU or on CUDA.
//
// # The library
//
// ONNX Runtime is a shared library that is opened while the program runs, so
// a program that imports this package starts without it. Package
// runtime/ort/library finds it, fetches a pinned official build into the user's
// cache, and says what is wrong with it; this package loads it. One process
// holds one library: the first [Open] decides, and a second, different path is
// refused.
//
// Official builds from 1.29 on report to their maker which sessions a process
// opens. Before this package loads the library it sets ORT_DISABLE_TELEMETRY=1
// in the environment of the process, unless the variable has a value.
//
// The binding is github.com/yalue/onnxruntime_go v1.27.0, which asks the
// library for version 24 of its C API. The table of functions behind that
// version is append-only, so every ONNX Runtime from 1.24 on serves it; a
// newer binding would ask for a newer API and refuse those libraries without
// giving this package anything it uses.
//
// The binding needs cgo. Built with CGO_ENABLED=0 the package has the same
// functions and answers [runtime.UnavailableError].
//
// # Sessions
//
// A [Session] takes and gives tensors by name. Inputs are read where they lie.
// Outputs are written by ONNX Runtime straight into memory that the session
// keeps and uses again while shapes repeat; that is why the tensors a Run
// returned are valid only until the next one.
//
// A session or a device that is dropped without Close is freed once the garbage
// collector finds it. With ATTNX_DEBUG=1 in the environment a line on standard
// error names it and the line of the program that opened it.
//
// # Devices
//
// A [Device] takes and gives tensors by place, in memory that it holds: a
// decoder's cache stays on the GPU, and what one run has written the next one
// reads. The binding has neither tensors on a GPU nor options for a run with
// bindings, so this part calls the C API itself, through the table of
// functions of the library that the binding has loaded (api.h says how).
// What is bound is written into C's memory, and one call into C for each run
// makes the tensors, binds them, runs and waits: no allocation in Go.
//
// With Device "cuda" every node runs on CUDA or the model does not open:
// there is no silent fall back to the CPU. [CUDAError] says which part of CUDA
// is missing, [DeviceError] that a device failed at its work. [CUDAOptions]
// holds what can be chosen; TF32 is off unless asked for, because it keeps 10
// bits of a float32's 23 bits of mantissa. What CUDA's libraries change of the
// handlers of signals while they load is put back, so Ctrl-C goes on working.
//
// # The files
//
//   - The library: environment.go loads it, telemetry.go keeps it silent,
//     doctor.go tries it; stub.go stands in for all of it without cgo.
//   - Both: options.go and cudaoptions.go say how a model runs, declared.go and
//     signature.go what it takes and gives, ids.go which numbers are ids of
//     its vocabulary, nodes.go reads its nodes, cuda.go, failure.go and
//     message.go make errors of texts, signals.go puts handlers back, and
//     probe.go is the smallest model.
//   - Sessions, through the binding: open.go, session.go, values.go, binding.go,
//     bind.go.
//   - Devices, through the C API: api.c, device.go, opendevice.go, memory.go,
//     gpu.go, thread.go, path.go, providers.go and assignment.go.
package ort
