package terminal

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// barState is what a progress line shows.
type barState struct {
	n, total int
	unit     string
	note     []string // the most important part first
	time     string   // "1:20 left"; empty where it is not known
}

// The columns of the bar itself. It takes more than the least where all else is
// shown.
const (
	leastBar = 4
	mostBar  = 20
)

// line returns the state as one line that is narrower than the screen: some
// terminals wrap after a character in the last column. The count always comes.
// Then, while there is room: the first part of the note, the time, the bar, the
// other parts of the note in their order, the unit.
func (b barState) line(columns int) string {
	room := max(columns-1, 0)
	count := fmt.Sprintf("%d/%d", b.n, b.total)
	room -= runewidth.StringWidth(count)
	take := func(width int) bool {
		if width > room {
			return false
		}
		room -= width
		return true
	}
	const gap = 2 // columns between parts
	shown := 0
	takeNote := func() bool {
		taken := shown < len(b.note) && take(gap+runewidth.StringWidth(b.note[shown]))
		if taken {
			shown++
		}
		return taken
	}
	takeNote()
	timed := b.time != "" && take(gap+runewidth.StringWidth(b.time))
	bar := 0
	if take(leastBar + 1) {
		bar = leastBar
	}
	for shown > 0 && takeNote() {
	}
	if b.unit != "" && shown == len(b.note) && take(1+runewidth.StringWidth(b.unit)) {
		count += " " + b.unit
	}
	var parts []string
	if bar > 0 {
		count = b.bar(bar+min(room, mostBar-leastBar)) + " " + count
	}
	parts = append(append(parts, count), b.note[:shown]...)
	if timed {
		parts = append(parts, b.time)
	}
	return runewidth.Truncate(strings.Join(parts, strings.Repeat(" ", gap)), max(columns-1, 0), "")
}

// bar returns the bar of a number of columns, filled as far as the work is done.
func (b barState) bar(columns int) string {
	cells := columns / max(1, runewidth.StringWidth("█")) // two columns wide in East Asian settings
	full := min(cells, cells*b.n/max(b.total, 1))
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full)
}

// clock writes a duration as minutes and seconds, with hours where there are some.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
