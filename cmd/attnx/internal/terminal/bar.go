package terminal

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// barState is the content of a progress line.
type barState struct {
	n, total int
	unit     string
	note     []string // most important part first
	time     string   // "1:20 left"; empty if not known
}

// The width of the bar itself in columns. It is above the minimum only if
// everything else fits.
const (
	leastBar = 4
	mostBar  = 20
)

// line formats the state as one line narrower than the screen, because some
// terminals wrap after a character in the last column. The count is always
// shown. If there is room, these follow in order of priority: the first part of
// the note, the time, the bar, the other parts of the note, the unit.
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

// bar draws the bar in the given number of columns, filled in proportion to the
// work done.
func (b barState) bar(columns int) string {
	cells := columns / max(1, runewidth.StringWidth("█")) // two columns wide in East Asian settings
	full := min(cells, cells*b.n/max(b.total, 1))
	return strings.Repeat("█", full) + strings.Repeat("░", cells-full)
}

// clock formats a duration as minutes and seconds, with hours if there are any.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
