package quote

import (
	"strings"
	"testing"
)

func TestString(t *testing.T) {
	for s, want := range map[string]string{
		"":                               `""`,
		"a\nb\x1b[2J":                    `"a\nb\x1b[2J"`,
		strings.Repeat("ä", 80):          `"` + strings.Repeat("ä", 80) + `"`,
		strings.Repeat("ä", 81):          `"` + strings.Repeat("ä", 80) + `"...`,
		strings.Repeat("a", 1<<20):       `"` + strings.Repeat("a", 80) + `"...`,
		"\xff" + strings.Repeat("a", 90): `"\xff` + strings.Repeat("a", 79) + `"...`,
	} {
		if got := String(s); got != want {
			t.Errorf("%.100q became %.200s, want %.200s", s, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	for s, want := range map[string]string{
		"":                         "",
		" a\n\tb ":                 "a b",
		"a\x1b[2Jb\u202e\xff":      "a\ufffd[2Jb\ufffd\ufffd",
		"0123456789":               "0123456789",
		"0123456789a":              "0123456789…",
		strings.Repeat(" ", 1<<20): "…",
		strings.Repeat("ä", 11):    strings.Repeat("ä", 10) + "…",
	} {
		if got := Line(s, 10); got != want {
			t.Errorf("%.100q became %.200q, want %q", s, got, want)
		}
	}
}
