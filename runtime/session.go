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
