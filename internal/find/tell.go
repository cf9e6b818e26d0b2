package find

import "fmt"

// Level is the importance of a message.
type Level int

// The levels, most important first.
const (
	Warning Level = iota // something is wrong
	Notice               // what was done
	Detail               // how it was done
)

// Tell receives messages: one line without its line feed. A nil Tell discards
// them.
type Tell func(level Level, line string)

// Say formats a message as Sprintf does and passes it to t.
func (t Tell) Say(level Level, format string, args ...any) {
	if t != nil {
		t(level, fmt.Sprintf(format, args...))
	}
}
