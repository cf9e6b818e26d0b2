package tokens

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"testing"
	"unicode"
)

// TestClasses goes through all of Unicode: every character that Go's tables
// know is seen as the Python library sees it.
func TestClasses(t *testing.T) {
	b, err := os.ReadFile("testdata/classes.txt")
	if err != nil {
		t.Fatal(err)
	}
	next, want := rune(0), ""
	check := func(end rune) {
		for ; next < end; next++ {
			if 0xD800 <= next && next < 0xE000 || unicode.Is(unicode.Cn, next) {
				continue // surrogates; characters younger than unicode.Version
			}
			got := string("osln"[map[class]int{other: 0, space: 1, letter: 2, number: 3}[classOf(next)]])
			switch {
			case isWord(next):
				got += "w"
			case unicode.IsSpace(next):
				got += "s"
			default:
				got += "p"
			}
			if got != want {
				t.Errorf("%U has the classes %s, want %s", next, got, want)
			}
		}
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var first rune
		var classes string
		if _, err := fmt.Sscanf(s.Text(), "%x %s", &first, &classes); err != nil {
			t.Fatal(err)
		}
		check(first)
		want = classes
	}
	check(unicode.MaxRune + 1)
}
