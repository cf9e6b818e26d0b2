// Package library manages ONNX Runtime as a file on this machine: it finds the
// shared library, checks it, and installs it. It loads nothing and needs no
// cgo; package runtime/ort loads the library.
//
// [Find] searches for the library, [Install] installs a pinned official build,
// for the CPU or for CUDA, into the user's cache, and [FindOrInstall] installs
// only if nothing is found. [Use] ensures that a process uses one library. A
// library in the cache whose bytes have changed is refused, and Install
// replaces it. [Diagnose] and [DiagnoseMachine] report what is missing;
// [CUDAError] names the missing part of CUDA.
package library
