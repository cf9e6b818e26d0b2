package exprgraph

import (
	"fmt"

	"github.com/attnx/attnx/internal/quote"
)

// Error reports why a Gorgonia graph cannot be read.
type Error struct {
	Node   string // name of the node at fault; "" if none is
	Op     string // its operator, as Gorgonia prints it; "" if it has none
	Reason string
	Do     string // the remedy
}

// Error returns the place, the reason and the remedy as one line.
func (e *Error) Error() string {
	text := "gorgonia: "
	if e.Node != "" {
		text += fmt.Sprintf("node %.80q", e.Node)
		if e.Op != "" {
			text += fmt.Sprintf(" (%s)", quote.Line(e.Op, 80))
		}
		text += ": "
	}
	text += e.Reason
	if e.Do != "" {
		text += ": " + e.Do
	}
	return text
}

// Remedy returns what to do about it.
func (e *Error) Remedy() string { return e.Do }
