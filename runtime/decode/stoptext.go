package decode

import "strings"

// StopText finds where a text that comes piece by piece first holds one of
// several strings, wherever the pieces are cut, and holds back what could begin
// one. It is made for a single text.
type StopText struct {
	stops []string
	held  string // not returned yet: it could begin one of stops
}

// NewStopText returns a StopText for the strings, none of them empty.
func NewStopText(stops []string) *StopText { return &StopText{stops: stops} }

// Next takes a piece and returns the text that can be shown by now. Once a
// string is found the text ends before it, and found is true; Next and Flush
// must not be called then.
func (s *StopText) Next(piece string) (text string, found bool) {
	all := s.held + piece
	if end := s.find(all); end >= 0 {
		s.held = ""
		return all[:end], true
	}
	n := len(all) - s.open(all)
	s.held = all[n:]
	return all[:n], false
}

// Flush ends the text: it returns what was held back.
func (s *StopText) Flush() string {
	text := s.held
	s.held = ""
	return text
}

// find returns where the first of the strings begins in text, -1 if there is
// none.
func (s *StopText) find(text string) int {
	first := -1
	for _, stop := range s.stops {
		if at := strings.Index(text, stop); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}

// open returns the length of the longest end of text that begins one of the
// strings.
func (s *StopText) open(text string) int {
	longest := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(text)); n > longest; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				longest = n
				break
			}
		}
	}
	return longest
}
