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

// Progress shows the progress of work: as a line that changes on a terminal,
// elsewhere as an occasional new line.
type Progress struct {
	out     io.Writer
	what    string
	unit    string
	total   int
	written int // tenths written so far, if there is no screen

	mu     sync.Mutex
	screen *display // nil if the output is not a terminal
}

// display is the last line of a terminal.
type display struct {
	columns func() int // current width of the terminal
	state   barState
	first   int // work that was done before this began
	began   time.Time
	reached time.Time // time of the last change of state.n
	drawn   time.Time
	width   int           // of the last drawn line
	slow    bool          // also shows how long the work has taken
	stop    chan struct{} // stops the clock; nil once the line is finished
}

// Minimum time between redraws: for fast work, and for a clock that shows
// seconds and follows the size of the terminal.
const (
	fastest = 65 * time.Millisecond
	slowest = time.Second
)

// NewProgress begins to show the progress of what. The line begins with what if
// Set gives no note.
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

// Set shows that n of the total are done, with a note, such as the loss. On a
// narrow screen the last parts of the note are left out.
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
	if tenth := n * 10 / max(p.total, 1); tenth > p.written && n > 0 {
		p.written = tenth
		digits := len(strconv.Itoa(p.total))
		line := fmt.Sprintf("%s %*d/%d %s  %s", p.what, digits, n, p.total, p.unit, strings.Join(note, "  "))
		fmt.Fprintln(p.out, strings.TrimRight(line, " "))
	}
}

// Elapsed also shows the time spent so far, for work whose steps take seconds
// or minutes. It reports whether there is a screen.
func (p *Progress) Elapsed() bool {
	if p.screen == nil {
		return false
	}
	p.screen.slow = true
	return true
}

// redraw follows the clock and the size of the terminal, once a line is shown.
func (p *Progress) redraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.screen.stop != nil && !p.screen.drawn.IsZero() {
		p.draw()
	}
}

// Control sequences that all current terminals support (ECMA-48, DEC VT100).
const (
	clearLine = "\x1b[K" // from the cursor to the end of the line
	clearNext = "\x1b[B\x1b[2K"
	clearRest = "\x1b[J" // from the cursor to the end of the screen
	cutLines  = "\x1b[?7l"
	wrapLines = "\x1b[?7h"
	remember  = "\x1b7" // saves the cursor position
	goBack    = "\x1b8"
)

// draw replaces the last line. Wrapping is off meanwhile, because the terminal
// may have become narrower before it reports so. The cursor stays at the
// beginning of the line: if the terminal wraps the line, the rest is below the
// cursor.
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
	// A line that cannot be drawn must not stop the work.
	fmt.Fprint(p.out, begin+line+clearLine+wrapLines+"\r")
}

// at records that n of the total are done.
func (s *display) at(n int, now time.Time) {
	if s.first < 0 {
		s.first = n
	}
	if n != s.state.n {
		s.state.n, s.reached = n, now
	}
}

// times returns the elapsed and the remaining time, if they are to be shown.
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

// Clear removes the line from the screen.
func (p *Progress) Clear() { p.end("\r" + clearRest) }

// Finish keeps the current line and moves to the next one.
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

// Curve draws numbers as text for a screen of the given width.
func Curve(y []float64, caption string, columns int) string {
	return asciigraph.Plot(y, asciigraph.Height(8), asciigraph.Width(max(1, min(60, columns-curveLabels))), asciigraph.Caption(caption))
}

// curveLabels is the maximum width of the numbers beside a curve.
const curveLabels = 12
