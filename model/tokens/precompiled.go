package tokens

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/graphemes"
)

// charsmap is SentencePiece's table of characters and what replaces them: a
// trie in the form of darts-clone (a double array), and the replacements.
type charsmap struct {
	units []uint32
	texts string // each ends with a zero
}

// parsePrecompiled reads the normalizer that holds such a table.
func (l *normalizers) parsePrecompiled(n node) error {
	o, err := n.object("type", "precompiled_charsmap")
	if err != nil {
		return err
	}
	text, err := o["precompiled_charsmap"].str()
	if err != nil {
		return err
	}
	path := o["precompiled_charsmap"].path
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return invalid(path, "it is not base64")
	}
	m, longest, bad := newCharsmap(b)
	if bad != "" {
		return invalid(path, "%s", bad)
	}
	return l.add(n.path, longest, mapped(m.apply))
}

// newCharsmap reads a table, and returns the length of its longest replacement, or what is
// wrong with it.
func newCharsmap(b []byte) (m *charsmap, longest int, bad string) {
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) || binary.LittleEndian.Uint32(b)%4 != 0 {
		return nil, 0, "the size of its trie does not fit"
	}
	size := int(binary.LittleEndian.Uint32(b))
	m = &charsmap{units: make([]uint32, size/4), texts: string(b[4+size:])}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(b[4+4*i:])
	}
	if !utf8.ValidString(m.texts) {
		return nil, 0, "its replacements are not UTF-8"
	}
	for t := range strings.SplitSeq(m.texts, "\x00") {
		longest = max(longest, len(t))
	}
	return m, longest, ""
}

// apply replaces grapheme clusters of less than 6 bytes, and characters.
func (m *charsmap) apply(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		// Most text is ASCII, where a character is a cluster, except \r\n.
		if s[i] < utf8.RuneSelf && (i+1 == len(s) || s[i+1] < utf8.RuneSelf) && s[i] != '\r' {
			m.write(&b, s[i:i+1])
			i++
			continue
		}
		c := graphemes.FromString(s[i:])
		if !c.Next() {
			break
		}
		cluster := c.Value()
		i += len(cluster)
		if len(cluster) < 6 {
			if text, ok := m.find(cluster); ok {
				b.WriteString(text)
				continue
			}
		}
		for j, r := range cluster {
			m.write(&b, cluster[j:j+utf8.RuneLen(r)])
		}
	}
	return b.String()
}

func (m *charsmap) write(b *strings.Builder, char string) {
	if text, ok := m.find(char); ok {
		char = text
	}
	b.WriteString(char)
}

// find returns the replacement of the shortest prefix of s that has one. The
// Python library then replaces all of s by it.
func (m *charsmap) find(s string) (text string, ok bool) {
	s, _, _ = strings.Cut(s, "\x00")
	m.walk(s, func(_ int, value string) bool {
		text, ok = value, true
		return false
	})
	return text, ok
}

// longest returns the replacement of the longest prefix of s that has one, and the
// length of that prefix; 0: none has.
func (m *charsmap) longest(s string) (text string, n int) {
	m.walk(s, func(size int, value string) bool {
		text, n = value, size
		return true
	})
	return text, n
}

// walk calls found with the prefixes of s that have a replacement, the shortest first,
// until it returns false.
func (m *charsmap) walk(s string, found func(n int, text string) bool) {
	at := uint32(0)
	unit := func() (u uint32) {
		if int64(at) < int64(len(m.units)) {
			u = m.units[at]
		}
		return u
	}
	offset := func(u uint32) uint32 { return u >> 10 << (u & (1 << 9) >> 6) }
	at ^= offset(unit())
	for i := range len(s) {
		at ^= uint32(s[i])
		u := unit()
		if u&(1<<31|0xff) != uint32(s[i]) {
			return
		}
		at ^= offset(u)
		if u>>8&1 == 1 {
			from := unit() & (1<<31 - 1)
			if uint64(from) >= uint64(len(m.texts)) {
				return
			}
			text, _, _ := strings.Cut(m.texts[from:], "\x00")
			if !found(i+1, text) {
				return
			}
		}
	}
}
