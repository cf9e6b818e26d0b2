package tokens

import "strings"

// GPT-2 writes each byte as a visible character, so that a token in its files
// is a word without spaces. A byte that is a visible character of Latin-1
// stays that character; the others become U+0100, U+0101, … in order.

// symbols holds the character for each byte.
var symbols = func() (s [256]rune) {
	next := rune(256)
	for b := range s {
		switch r := rune(b); {
		case '!' <= r && r <= '~', '¡' <= r && r <= '¬', '®' <= r && r <= 'ÿ':
			s[b] = r
		default:
			s[b] = next
			next++
		}
	}
	return s
}()

// byteOrder lists the bytes in the order of their ids, in GPT-2's vocabulary
// and in those that Train makes. It is the order of their characters.
var byteOrder = func() (order [256]byte) {
	i := 0
	for r := rune(0); i < len(order); r++ {
		if b, ok := byteOf(r); ok {
			order[i] = b
			i++
		}
	}
	return order
}()

var symbolBytes = func() map[rune]byte {
	m := make(map[rune]byte, len(symbols))
	for b, r := range symbols {
		m[r] = byte(b)
	}
	return m
}()

// byteOf is the inverse of symbols.
func byteOf(r rune) (byte, bool) {
	b, ok := symbolBytes[r]
	return b, ok
}

// bytesOf returns the bytes of a token written in such characters. A token
// with any other character is returned unchanged.
func bytesOf(token string) string {
	if b, ok := bytesOfAll(token); ok {
		return b
	}
	return token
}

// bytesOfAll returns the bytes of a token, if it is written in such characters
// only.
func bytesOfAll(token string) (string, bool) {
	var b strings.Builder
	for _, r := range token {
		c, ok := byteOf(r)
		if !ok {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}
