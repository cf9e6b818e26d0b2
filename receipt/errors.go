package receipt

import "fmt"

// FormatError reports a file that is no receipt.
type FormatError struct {
	File   string
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: it is not a receipt that attnx writes: %s: get the receipt again from whoever made it", e.File, e.Reason)
}

// KeyError reports a file that is not the key that is asked for.
type KeyError struct {
	File   string
	Reason string
	Do     string // the remedy
}

func (e *KeyError) Error() string { return fmt.Sprintf("%s: %s: %s", e.File, e.Reason, e.Do) }

// Remedy returns how to fix it.
func (e *KeyError) Remedy() string { return e.Do }

// The remedies of a KeyError, in the terms of this package. A program with other
// terms may reword them.
const (
	MakeKey      = "make an ed25519 key with WriteKeys"
	NamePublic   = "name the public key, which WriteKeys writes beside the private one"
	NamePrivate  = "name the private key"
	ProtectKey   = "make it readable for its owner only (chmod 600)"
	OtherKeyFile = "choose another name"
)

// SubjectError reports files that cannot be the subjects of a receipt.
type SubjectError struct {
	File   string
	Reason string // with the remedy
}

func (e *SubjectError) Error() string { return e.File + ": " + e.Reason }
