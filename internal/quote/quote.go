// Package quote formats foreign text, such as names in files and messages of
// other libraries, for messages: on one line, short, and without terminal
// commands. Messages that quote a name with fmt bound it with a precision:
// %.80q.
package quote

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// most is the maximum number of characters of a quoted string.
const most = 80

// String returns s as a quoted Go string, truncated to 80 characters.
func String(s string) string {
	if cut, more := first(s, most); more {
		return fmt.Sprintf("%q...", cut)
	}
	return fmt.Sprintf("%q", s)
}

// Line returns s on one line, truncated to length characters. White space
// becomes one space, and an unprintable character U+FFFD.
func Line(s string, length int) string {
	s, more := first(s, 4*length+1000) // collapsing white space may shorten it
	s = strings.Join(strings.Fields(s), " ")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
	s, cut := first(s, length)
	if more || cut {
		s += "…"
	}
	return s
}

// first returns the first n characters of s, and whether there are more.
func first(s string, n int) (string, bool) {
	if len(s) <= n {
		return s, false
	}
	for i := range s {
		if n == 0 {
			return s[:i], true
		}
		n--
	}
	return s, false
}

// Count formats 1234567 as "1,234,567".
func Count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Of says how many things there are: "1 file", "2 files".
func Of(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Or joins names: "cpu, cuda or auto".
func Or(names []string) string {
	n := len(names)
	if n < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
}

// Paths lists the first three paths, and the number of the others.
func Paths(paths []string) string {
	const most = 3
	var names []string
	for _, p := range paths[:min(len(paths), most)] {
		names = append(names, Line(p, 2000))
	}
	if len(paths) > most {
		names = append(names, fmt.Sprintf("and %d more", len(paths)-most))
	}
	return strings.Join(names, ", ")
}

var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// Shell returns words as a command line, quoted for a shell where they need it.
func Shell(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; !plainWord.MatchString(w) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
