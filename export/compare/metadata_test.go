package compare

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Long texts are shown from where they differ, between whole characters.
func TestMetadataLong(t *testing.T) {
	long := strings.Repeat("größer ", 200)
	p := Metadata(map[string]string{"k": long + "a"}, map[string]string{"k": long + "b"}, "")
	if len(p.Departures) != 1 {
		t.Fatalf("%+v", p)
	}
	text := p.Departures[0].Text
	if !strings.Contains(text, `a", export writes`) || !strings.Contains(text, `b", from byte 17`) || !utf8.ValidString(text) {
		t.Error(text)
	}
}
