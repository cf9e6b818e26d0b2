package decode

import "strings"

// StopText finds the first of several strings in a text that arrives in pieces,
// wherever the pieces are cut. It holds back a part that could begin one of the
// strings. A StopText is used for one text.
type StopText struct {
	stops []string
	held  string // not returned yet: could begin one of stops
}

// NewStopText returns a StopText for the given strings, none of which may be
// empty.
func NewStopText(stops []string) *StopText { return &StopText{stops: stops} }

// Next takes a piece and returns the text that can be shown now. When a string
// is found, found is true and the text ends before the string. Next and Flush
// must not be called after that.
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

// Flush ends the text and returns the part held back.
func (s *StopText) Flush() string {
	text := s.held
	s.held = ""
	return text
}

// find returns the index in text of the first of the strings, -1 if there is
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

// open returns the length of the longest suffix of text that begins one of the
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
