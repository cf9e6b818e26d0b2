// Package ort runs ONNX models with ONNX Runtime, on the CPU or on CUDA.
//
// # The library
//
// ONNX Runtime is a shared library that is opened at run time, so a program that
// imports this package starts without it. Package runtime/ort/library finds it,
// installs a pinned official build into the user's cache, and diagnoses it; this
// package loads it. A process has one library: the first [Open] decides, and a
// different path is refused afterwards.
//
// Official builds from 1.29 on report to their maker which sessions a process
// opens. Before it loads the library, this package sets ORT_DISABLE_TELEMETRY=1
// in the environment of the process, unless the variable has a value.
//
// The binding is github.com/yalue/onnxruntime_go v1.27.0, which requests version
// 24 of the library's C API. The function table of that version is append-only,
// so every ONNX Runtime from 1.24 on provides it. A newer binding would request
// a newer API and refuse these libraries, without any benefit here.
//
// The binding needs cgo. With CGO_ENABLED=0 the package has the same functions,
// and they return [runtime.UnavailableError].
//
// # Sessions
//
// A [Session] identifies tensors by name. It reads inputs in place. ONNX Runtime
// writes outputs directly into memory that the session reuses while shapes
// repeat. The tensors returned by Run are therefore valid only until the next
// Run.
//
// A session or device that is dropped without Close is freed by the garbage
// collector. With ATTNX_DEBUG=1 in the environment, a line on standard error
// names it and the line of code that opened it.
//
// # Devices
//
// A [Device] identifies tensors by index, in memory that it owns: a decoder's
// cache stays on the GPU, and a run reads what the previous one wrote. The
// binding has neither tensors on a GPU nor options for a run with bindings. This
// part therefore calls the C API itself, through the function table of the
// library that the binding has loaded (see api.h). Bindings are stored in C
// memory. Each run makes one call into C that creates the tensors, binds them,
// runs and waits. It allocates nothing in Go.
//
// With Device "cuda", either every node runs on CUDA or the model does not open:
// nothing falls back to the CPU silently. [CUDAError] reports which part of CUDA
// is missing, [DeviceError] that a device failed during a run. [CUDAOptions] has
// the settings. TF32 is off by default, because it keeps 10 of the 23 mantissa
// bits of a float32. CUDA's libraries change signal handlers while they load;
// the package restores them, so that Ctrl-C keeps working.
//
// # The files
//
//   - The library: environment.go loads it, telemetry.go turns off its
//     reports, doctor.go tests it; stub.go replaces all of it without cgo.
//   - Both: options.go and cudaoptions.go are the settings, declared.go and
//     signature.go the inputs and outputs of a model, ids.go finds the inputs
//     that are ids, nodes.go reads the nodes, cuda.go, failure.go and
//     message.go convert error texts to errors, internal/signals restores handlers,
//     and probe.go is the smallest model.
//   - Sessions, through the binding: open.go, session.go, values.go, binding.go,
//     bind.go.
//   - Devices, through the C API: api.c, device.go, opendevice.go, memory.go,
//     gpu.go, thread.go, path.go, providers.go and assignment.go.
package ort
