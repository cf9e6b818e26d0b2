package terminal

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/mattn/go-runewidth"
)

// Progress shows how far a piece of work is: one line that changes on a
// terminal, now and then a line anywhere else.
type Progress struct {
	out   io.Writer
	what  string
	unit  string
	total int
	told  int // tenths told so far, where there is no screen

	mu     sync.Mutex
	screen *display // nil without a terminal
}

// display is the last line of a terminal.
type display struct {
	columns func() int // as the terminal is now
	state   barState
	first   int // of the work, done before this began
	began   time.Time
	reached time.Time // when state.n was
	drawn   time.Time
	width   int           // of the line that was drawn
	slow    bool          // also shows how long the work has taken
	stop    chan struct{} // ends the clock; nil once the line is done
}

// Pauses between two drawings: of work that is fast, and of a clock that shows
// seconds and follows the size of the terminal.
const (
	fastest = 65 * time.Millisecond
	slowest = time.Second
)

// NewProgress begins to show work on what. The line begins with it where Set
// gives no note.
func NewProgress(out io.Writer, what string, total int, unit string) *Progress {
	p := &Progress{out: out, what: what, unit: unit, total: total}
	if f := Of(out); f != nil && os.Getenv("TERM") != "dumb" {
		p.onScreen(func() int { return columnsOf(f) })
	}
	return p
}

func (p *Progress) onScreen(columns func() int) {
	p.screen = &display{columns: columns, began: time.Now(), first: -1, stop: make(chan struct{})}
	p.screen.state = barState{total: p.total, unit: p.unit, note: []string{p.what}}
	go func(stop chan struct{}) {
		clock := time.NewTicker(slowest)
		defer clock.Stop()
		for {
			select {
			case <-clock.C:
				p.redraw()
			case <-stop:
				return
			}
		}
	}(p.screen.stop)
}

// Set shows that n of the total are done, with a note, such as the loss. Where
// the screen is narrow the last parts of the note are left out.
func (p *Progress) Set(n int, note ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	note = slices.DeleteFunc(note, func(s string) bool { return s == "" })
	if s := p.screen; s != nil {
		s.at(n, time.Now())
		if len(note) > 0 {
			s.state.note = note
		}
		if s.stop != nil && time.Since(s.drawn) >= fastest {
			p.draw()
		}
		return
	}
	if tenth := n * 10 / max(p.total, 1); tenth > p.told && n > 0 {
		p.told = tenth
		digits := len(strconv.Itoa(p.total))
		line := fmt.Sprintf("%s %*d/%d %s  %s", p.what, digits, n, p.total, p.unit, strings.Join(note, "  "))
		fmt.Fprintln(p.out, strings.TrimRight(line, " "))
	}
}

// Elapsed shows how long the work has taken, too: for work whose pieces take
// seconds or minutes. It reports whether there is a screen.
func (p *Progress) Elapsed() bool {
	if p.screen == nil {
		return false
	}
	p.screen.slow = true
	return true
}

// redraw follows the clock and the size of the terminal, once there is a line.
func (p *Progress) redraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.screen.stop != nil && !p.screen.drawn.IsZero() {
		p.draw()
	}
}

// Control sequences that every terminal of today has (ECMA-48, DEC VT100).
const (
	clearLine = "\x1b[K" // from the cursor on
	clearNext = "\x1b[B\x1b[2K"
	clearRest = "\x1b[J" // of the screen, from the cursor on
	cutLines  = "\x1b[?7l"
	wrapLines = "\x1b[?7h"
	remember  = "\x1b7" // where the cursor is
	goBack    = "\x1b8"
)

// draw writes the line over the last one. Lines are cut meanwhile: a terminal
// may be narrower before it says so. The cursor waits at the beginning of the
// line: where the terminal became narrower and wrapped it, the rest is below.
func (p *Progress) draw() {
	s := p.screen
	s.drawn = time.Now()
	s.state.time = s.times(s.drawn)
	columns := s.columns()
	begin := "\r" + cutLines
	if s.width > columns {
		begin += remember + strings.Repeat(clearNext, (s.width-1)/columns) + goBack
	}
	line := s.state.line(columns)
	s.width = runewidth.StringWidth(line)
	// A line that cannot be drawn stops no work.
	fmt.Fprint(p.out, begin+line+clearLine+wrapLines+"\r")
}

// at notes that n of the total are done.
func (s *display) at(n int, now time.Time) {
	if s.first < 0 {
		s.first = n
	}
	if n != s.state.n {
		s.state.n, s.reached = n, now
	}
}

// times returns the time that the work has taken and the time that is left, as
// far as they are to be shown.
func (s *display) times(now time.Time) string {
	var parts []string
	if s.slow {
		parts = append(parts, clock(now.Sub(s.began)))
	}
	done, rest := s.state.n-s.first, s.state.total-s.state.n
	if took := s.reached.Sub(s.began); done > 0 && rest > 0 && took >= slowest {
		left := time.Duration(float64(took)/float64(done)*float64(rest)) - now.Sub(s.reached)
		parts = append(parts, clock(max(0, left))+" left")
	}
	return strings.Join(parts, ", ")
}

// Clear takes the line off the screen.
func (p *Progress) Clear() { p.end("\r" + clearRest) }

// Finish leaves the line as it is now and goes to the next one.
func (p *Progress) Finish() { p.end("\n" + clearRest) }

func (p *Progress) end(last string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.screen == nil || p.screen.stop == nil {
		return
	}
	close(p.screen.stop)
	p.screen.stop = nil
	if !p.screen.drawn.IsZero() {
		p.draw()
		fmt.Fprint(p.out, last)
	}
}

// Curve draws numbers with characters, for a screen of so many columns.
func Curve(y []float64, caption string, columns int) string {
	return asciigraph.Plot(y, asciigraph.Height(8), asciigraph.Width(max(1, min(60, columns-curveLabels))), asciigraph.Caption(caption))
}

// curveLabels are the columns that the numbers beside a curve take at most.
const curveLabels = 12
