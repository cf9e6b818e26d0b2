package compare

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	const want = `{"a": 1, "b": {"c": [1, 2.5, "x"], "d": null}, "e": true}`
	for _, c := range []struct{ have, found string }{
		{want, "[]"},
		{`{"e":true,"b":{"d":null,"c":[1.0,25e-1,"x"]},"a":1}`, "[]"},
		{`{"a": 2, "b": {"c": [1, 2.5, "x"], "d": null}, "e": true}`, "[a is 2, export writes 1]"},
		{`{"a": 1, "b": {"c": [1, 2.5, "y"], "d": null}, "e": true}`, `[b.c[2] is "y", export writes "x"]`},
		{`{"a": 1, "b": {"c": [1, 2.5], "d": null}, "e": true}`, "[b.c has 2 elements, export writes 3]"},
		{`{"a": "1", "b": {"c": [1, 2.5, "x"], "d": 0}, "e": 1}`, `[a is "1", export writes 1 b.d is 0, export writes null e is 1, export writes true]`},
		{`{"a": 1, "b": {"c": [1, 2.5, "x"], "d": null}}`, "[e is missing, export writes true]"},
		{`{"a": 1, "b": {"c": [1, 2.5, "x"], "d": null, "f": 9}, "e": true, "g": 1}`, "[b.f is 9, export does not write it]"},
		{`{"h": 1, "b": {"c": [1, 2.5, "x"]}, "e": true}`, "[]"},
		{`{"h": 2, "b": {"c": [1, 2.5, "x"]}, "e": true}`, "[a is 2, export writes 1]"},
		{`{"a": 1, "h": 2, "b": {"c": [1, 2.5, "x"]}, "e": true}`, "[h is 2, export writes 1]"},
		{`{"a": 1, "h": 1, "b": {"c": [1, 2.5, "x"]}, "e": true, "f": false}`, "[]"},
		{`{"a": 1, "b": {"c": [1, 2.5, "x"]}, "e": true, "f": true}`, "[f is true, export does not write it]"},
		{`[]`, `[the document is [], export writes {"a":1,"b":{"c":[1,2.5,"x"],"d":null},"e":true}]`},
		{``, "[the document is not valid JSON: it is empty]"},
		{want + "1", "[the document is not valid JSON: something follows the document]"},
		{`{"a": 2, "a": 1, "b": {"c": [1, 2.5, "x"], "d": null}, "e": true}`, `[the document is not valid JSON: duplicate object member name "a"]`},
	} {
		found := fmt.Sprint(JSON([]byte(c.have), []byte(want), Fields{
			Extra: func(place string) bool { return place == "g" || place == "h" },
			Same: func(place string, have, want any) bool {
				return place == "b.d" && have == nil && want == nil || place == "f" && have == false && want == nil
			},
			Alias: map[string]string{"a": "h"},
		}))
		if found != c.found {
			t.Errorf("%s: %s, want %s", c.have, found, c.found)
		}
	}
	// Integers that are one float64, and a document that differs everywhere.
	if d := JSON([]byte("[9007199254740993]"), []byte("[9007199254740992]"), Fields{}); len(d) != 1 {
		t.Errorf("integers beyond 2^53: %v", d)
	}
	many := "[" + strings.Repeat("1,", 1000) + "1]"
	if d := JSON([]byte(strings.ReplaceAll(many, "1", "2")), []byte(many), Fields{}); len(d) != maxDepartures {
		t.Errorf("%d departures are listed", len(d))
	}
}

// TestHugeJSON compares documents of megabytes, of which little is kept.
func TestHugeJSON(t *testing.T) {
	for _, c := range []struct{ have, found string }{
		{"[" + strings.Repeat("1,", 2<<20) + "1]", "[the document has more than 10015 names and values, export writes 3]"},
		{strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), "[the document is {"},
		{strings.Repeat("[", 2<<20), "[the document is not valid JSON: exceeded max depth"},
		{`["` + strings.Repeat("x", 4<<20) + `"]`, `[[0] is "xxxxxx`},
	} {
		before := allocated()
		found := fmt.Sprint(JSON([]byte(c.have), []byte("[1]"), Fields{}))
		if took := allocated() - before; took > 64<<20 {
			t.Errorf("%.20s...: %d bytes were allocated", c.have, took)
		}
		if !strings.HasPrefix(found, c.found) {
			t.Errorf("%.20s...: %.200s, want %s", c.have, found, c.found)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestMetadata(t *testing.T) {
	want := map[string]string{"x.config": `{"n": 1}`, "x.kind": "plain", "x.text": "t"}
	have := map[string]string{"x.config": `{"n": 2}`, "x.kind": "cache", "x.new": "1", "x.size": "3", "y": "free"}
	found := fmt.Sprint(Metadata(have, want, "x.", "x.size").Departures)
	if expect := `[x.config: n is 2, export writes 1 x.kind is "cache", export writes "plain" x.text is missing x.new is "1", export does not write it]`; found != expect {
		t.Errorf("%s, want %s", found, expect)
	}
}
