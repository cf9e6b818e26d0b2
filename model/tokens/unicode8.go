package tokens

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"unicode"
)

// unicode8 holds the characters of some classes as the Python library knows
// them, whose tables are older than Go's. fixtures/oracle/tokenizer_kinds.py
// writes it with --tables.
//
//go:embed unicode8.txt
var unicode8 string

var oldTables = sync.OnceValue(func() map[string]*unicode.RangeTable {
	tables := make(map[string]*unicode.RangeTable)
	for line := range strings.Lines(unicode8) {
		fields := strings.Fields(line)
		t := new(unicode.RangeTable)
		for _, f := range fields[1:] {
			var lo, hi uint32
			if n, _ := fmt.Sscanf(f, "%x-%x", &lo, &hi); n < 2 {
				hi = lo
			}
			if hi > 0xffff {
				t.R32 = append(t.R32, unicode.Range32{Lo: lo, Hi: hi, Stride: 1})
			} else {
				t.R16 = append(t.R16, unicode.Range16{Lo: uint16(lo), Hi: uint16(hi), Stride: 1})
			}
		}
		tables[fields[0]] = t
	}
	return tables
})

// inOld reports whether a character from U+0080 is in a class: punctuation,
// mark (M) or nonspacing (Mn).
func inOld(class string, r rune) bool { return r >= 0x80 && unicode.Is(oldTables()[class], r) }
