// Package library is ONNX Runtime as a file on this machine: which builds there
// are, and what they need. It loads nothing and needs no cgo; package
// runtime/ort loads the library, and package runtime/sharedlib manages the files.
//
// [Find] searches for the library, [Install] installs a pinned official build,
// for the CPU or for CUDA, into the user's cache, and [FindOrInstall] installs
// only if nothing is found. [Use] ensures that a process uses one library.
// [Diagnose] and [DiagnoseMachine] report what is missing; [CUDAError] names the
// missing part of CUDA.
package library
