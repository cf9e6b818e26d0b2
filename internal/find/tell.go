package find

import "fmt"

// Level says how much somebody has to know what he is told.
type Level int

// The levels, the most important first.
const (
	Warning Level = iota // something is not as it should be
	Notice               // what was done
	Detail               // how it was done
)

// Tell takes what is worth telling on the way: a line, without its end. One that
// is nil takes nothing.
type Tell func(level Level, line string)

// Say tells what Sprintf makes of its arguments.
func (t Tell) Say(level Level, format string, args ...any) {
	if t != nil {
		t(level, fmt.Sprintf(format, args...))
	}
}
