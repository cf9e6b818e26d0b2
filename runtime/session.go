package runtime

import (
	"errors"

	"github.com/attnx/attnx/format"
)

// Session runs one model. Inputs and outputs are identified by name: those of
// package role if they have a role.
//
// The interface uses only types of package format, so a runtime can implement
// it without importing this package.
type Session interface {
	// Run computes every output from the given inputs. The returned tensors are
	// valid until the next Run of the same session.
	Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error)
	// Close frees what the session holds. A closed session must not be used.
	Close() error
}

// Stopper is a Session whose Run can be ended from outside.
type Stopper interface {
	// Stop makes a Run in progress return an error as soon as the runtime looks, after
	// the operator that it computes. Later runs are not affected.
	Stop()
}

// ErrUnavailable matches, by errors.Is, every error that means that a runtime
// or device cannot be used on this machine. Errors of a run do not match it.
var ErrUnavailable = errors.New("runtime unavailable")

// UnavailableError reports which runtime cannot be used here, why, and how to
// fix it.
type UnavailableError struct {
	Runtime string // "ort-cpu", "ort-cuda", ...
	Reason  string // the name of the missing part
	Remedy  string // a command or step that fixes it
}

func (e *UnavailableError) Error() string {
	return e.Runtime + " is unavailable: " + e.Reason + "; " + e.Remedy
}

// RuntimeError makes it an Error.
func (e *UnavailableError) RuntimeError() {}

// Unwrap returns ErrUnavailable, for errors.Is.
func (e *UnavailableError) Unwrap() error { return ErrUnavailable }

// NoKernelError reports that a runtime cannot compute a node of a valid model on a device, because it
// has no kernel for the operator in the node's types. It does not match ErrUnavailable: the
// runtime is there, and runs other models.
type NoKernelError struct {
	Runtime string // as people write it: "ONNX Runtime"
	Device  string // "cpu"
	Node    string // as the runtime describes it
}

func (e *NoKernelError) Error() string {
	return e.Runtime + " has no kernel for " + e.Node + " in the types that it has there (" + e.Device + "): take another runtime or device, or another element type"
}

// RuntimeError makes it an Error.
func (e *NoKernelError) RuntimeError() {}
