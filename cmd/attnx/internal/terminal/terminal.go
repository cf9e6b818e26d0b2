// Package terminal draws on terminals: a line that shows how far a piece of work
// is, and a curve of characters.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Over is a writer that passes what it gets on to another, nil while it does not.
type Over interface{ Under() io.Writer }

// Of returns the terminal that a stream ends at, nil if it ends elsewhere.
func Of(w io.Writer) *os.File {
	switch w := w.(type) {
	case Over:
		return Of(w.Under())
	case *os.File:
		if term.IsTerminal(int(w.Fd())) {
			return w
		}
	}
	return nil
}

// Columns returns the width of the terminal that a stream ends at; 80 where it
// ends elsewhere, or the terminal does not say.
func Columns(w io.Writer) int {
	if f := Of(w); f != nil {
		return columnsOf(f)
	}
	return 80
}

func columnsOf(f *os.File) int {
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
		return n
	}
	return 80
}
