package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
)

// trainingState is what a fast and long run shows.
func trainingState() barState {
	note := []string{"loss 10.825", "val 9.731", "137,000 tokens/s", "1234 GFLOP/s", "45 % of GEMM"}
	return barState{n: 1500, total: 2000, unit: "steps", note: note, time: "12:34 left"}
}

// No line reaches the last column, and what is left out is the least important.
func TestBarFits(t *testing.T) {
	wide := barState{n: 3, total: 7, unit: "MB", note: []string{"取得 ONNX Runtime 日本語", "é́"}, time: "1:00, 2:00 left"}
	for _, columns := range []int{0, 1, 2, 10, 20, 40, 60, 80, 100, 200} {
		for _, b := range []barState{trainingState(), wide, {n: 5, total: 0}} {
			if line := b.line(columns); runewidth.StringWidth(line) > max(0, columns-1) || strings.Contains(line, "\n") {
				t.Errorf("%d columns: %q has %d", columns, line, runewidth.StringWidth(line))
			}
		}
	}
	for columns, want := range map[int]string{
		20:  "██████░░░ 1500/2000",
		40:  "███░ 1500/2000  loss 10.825  12:34 left",
		60:  "█████████░░░░ 1500/2000  loss 10.825  val 9.731  12:34 left",
		80:  "███████████░░░░ 1500/2000  loss 10.825  val 9.731  137,000 tokens/s  12:34 left",
		100: "█████░░ 1500/2000  loss 10.825  val 9.731  137,000 tokens/s  1234 GFLOP/s  45 % of GEMM  12:34 left",
		200: "███████████████░░░░░ 1500/2000 steps  loss 10.825  val 9.731  137,000 tokens/s  1234 GFLOP/s  45 % of GEMM  12:34 left",
	} {
		if got := trainingState().line(columns); got != want {
			t.Errorf("%d columns:\n%s, want\n%s", columns, got, want)
		}
	}
}

// A line is drawn over the one before, whatever became of the terminal's size
// meanwhile: nothing but finish goes to the next line.
func TestProgressOnScreen(t *testing.T) {
	var out strings.Builder
	columns := 80
	p := &Progress{out: &out, what: "training", unit: "steps", total: 200}
	p.onScreen(func() int { return columns })
	for step, c := range []int{80, 60, 41, 100} {
		columns = c
		p.screen.drawn = time.Time{} // not too soon after the last
		p.Set(step, "loss 2.000", "1,000 tokens/s", "0 GFLOP/s")
	}
	p.Finish()
	p.Finish()
	p.Set(5)
	draws := strings.Split(out.String(), clearLine+wrapLines+"\r")
	if len(draws) != 6 || draws[5] != "\n"+clearRest {
		t.Fatalf("%d draws: %q", len(draws), draws)
	}
	for i, c := range []int{80, 60, 41, 100, 100} {
		text, ok := strings.CutPrefix(draws[i], "\r"+cutLines)
		text, wrapped := strings.CutPrefix(text, remember+clearNext+goBack)
		if w := runewidth.StringWidth(text); !ok || w >= c || strings.ContainsAny(text, "\r\n\x1b") {
			t.Errorf("at %d columns: %q of %d", c, draws[i], w)
		}
		if want := c == 60 || c == 41; wrapped != want {
			t.Errorf("at %d columns: what is below is cleared: %t", c, wrapped)
		}
	}
}

func TestTimeLeft(t *testing.T) {
	began := time.Now()
	s := display{state: barState{total: 200}, first: -1, began: began}
	s.at(100, began) // a run that is resumed
	s.at(110, began.Add(20*time.Second))
	for after, want := range map[time.Duration]string{20: "3:00 left", 50: "2:30 left", 1000: "0:00 left"} {
		if got := s.times(began.Add(after * time.Second)); got != want {
			t.Errorf("after %d s: %s, want %s", after, got, want)
		}
	}
	s.slow = true
	if got := s.times(began.Add(time.Hour)); got != "1:00:00, 0:00 left" {
		t.Error(got)
	}
	s.at(200, began.Add(time.Hour))
	if got := s.times(began.Add(time.Hour)); got != "1:00:00" {
		t.Error(got)
	}
}

// A file gets a line a tenth, and no escape codes.
func TestProgressOffScreen(t *testing.T) {
	var out strings.Builder
	p := NewProgress(&out, "training", 20, "steps")
	for n := range 21 {
		p.Set(n, "loss 1.000", "")
	}
	p.Finish()
	if lines := strings.Split(out.String(), "\n"); len(lines) != 11 || lines[0] != "training  2/20 steps  loss 1.000" || strings.ContainsAny(out.String(), "\x1b\r") {
		t.Errorf("%q", out.String())
	}
}
