// Package library holds ONNX Runtime as a file on this machine: it finds the
// shared library, checks it, and installs it. It loads nothing and needs no
// cgo; package runtime/ort does what it finds.
//
// [Find] looks for the library, [Install] fetches a pinned official build, for
// the CPU or for CUDA, into the user's cache, and [FindOrInstall] does the one
// or the other. [Use] holds the rule that one process has one library. A
// library in the cache whose bytes are not those that were installed is
// refused, and Install fetches it again. [Diagnose] and [DiagnoseMachine] say
// what is missing; [CUDAError] names the part of CUDA.
package library
