// Package terminal draws progress lines and curves on terminals.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Over is a writer that passes its input to another writer. Under returns that
// writer, nil while nothing is passed on.
type Over interface{ Under() io.Writer }

// Of returns the terminal that a stream writes to, nil if it is not a terminal.
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

// Columns returns the width of the terminal that a stream writes to. It is 80
// if the stream is not a terminal, or if the terminal does not report its
// width.
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
