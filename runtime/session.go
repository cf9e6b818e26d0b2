package runtime

import (
	"errors"

	"github.com/attnx/attnx/format"
)

// Session runs one model. Inputs and outputs go by name: those of package role
// where they have a role.
//
// The interface uses types of package format only, so that anything which
// can run a model satisfies it by its methods, without importing this package.
type Session interface {
	// Run computes every output from the given inputs. The tensors returned
	// are valid until the next Run on the same session.
	Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error)
	// Close frees what the session holds. A closed session must not be used.
	Close() error
}

// ErrUnavailable is what errors.Is finds in every error that says a runtime
// or device is not usable on this machine, as opposed to failing at its work.
var ErrUnavailable = errors.New("runtime unavailable")

// UnavailableError says which runtime cannot be used here, why, and what
// would make it usable.
type UnavailableError struct {
	Runtime string // "ort-cpu", "ort-cuda", ...
	Reason  string // what is missing, by name
	Remedy  string // a command or a step that mends it
}

func (e *UnavailableError) Error() string {
	return e.Runtime + " is unavailable: " + e.Reason + "; " + e.Remedy
}

// RuntimeError makes it an Error.
func (e *UnavailableError) RuntimeError() {}

// Unwrap makes errors.Is(err, ErrUnavailable) true.
func (e *UnavailableError) Unwrap() error { return ErrUnavailable }
