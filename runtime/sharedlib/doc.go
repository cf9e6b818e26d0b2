// Package sharedlib manages the shared library of a runtime as files on this
// machine: it finds the library, checks it, and installs it. It loads nothing
// and needs no cgo.
//
// A [Kind] describes the library of one runtime. [Kind.Find] searches for it,
// [Kind.Install] installs a pinned official build into the user's cache, and
// [Kind.Use] ensures that a process uses one library of the kind. A library in
// the cache whose bytes have changed is refused, and Install replaces it.
package sharedlib
