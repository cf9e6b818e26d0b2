package plot

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"gonum.org/v1/plot/vg"

	"github.com/attnx/attnx"
)

// In a terminal every column begins where its header does, however wide the
// tokens are.
func TestHeatmapAligned(t *testing.T) {
	m := heat{Tokens: []string{"日本", "a longer word", "\n", "é"}, Scores: [][]float64{
		{1, 0, 0, 0}, {0.5, 0.5, 0, 0}, {0.2, 0.3, 0.5, 0}, {0.25, 0.25, 0.25, 0.25},
	}}
	var sb strings.Builder
	if err := m.print(&sb); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(sb.String()), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d lines:\n%s", len(lines), &sb)
	}
	const cell = len("a␣longer␣word") - 2*len("␣") + 2 // columns
	for i, line := range lines[1:] {
		cells := i
		if i == 0 {
			cells = 4
		}
		if got, want := runewidth.StringWidth(line), cell+cells*(cell+1); got != want {
			t.Errorf("line %q has %d columns, want %d", line, got, want)
		}
	}
	for _, want := range []string{"日本", "a␣longer␣word", `\n`, "é", "█ 1.00", "▒ 0.50", "░ 0.25"} {
		if !strings.Contains(sb.String(), want) {
			t.Errorf("no %q in\n%s", want, &sb)
		}
	}
}

// A map too wide for a screen has shades alone, a line a token.
func TestHeatmapNarrow(t *testing.T) {
	const n = 40
	m := heat{Tokens: make([]string, n)}
	for i := range n {
		m.Tokens[i] = "token"
		row := make([]float64, n)
		row[i] = 1
		m.Scores = append(m.Scores, row)
	}
	var sb strings.Builder
	if err := m.print(&sb); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(sb.String()) {
		if w := runewidth.StringWidth(line); w > screen {
			t.Errorf("a line of %d columns: %q", w, line)
		}
	}
	if !strings.Contains(sb.String(), "token · · █\n") {
		t.Errorf("no third row in\n%s", &sb)
	}
}

// In a picture the first token is at the top and at the left: the one score of
// 1, of the last row and the second column, is at the bottom and left of the middle.
func TestPictureOrientation(t *testing.T) {
	m := heat{Tokens: []string{"a", "b", "c", "d"}, Scores: [][]float64{
		{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 1, 0, 0},
	}}
	path := filepath.Join(t.TempDir(), "map.png")
	if _, err := Attention(path, []attnx.AttentionMap{attnx.AttentionMap(m)}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	var n, sumX, sumY int
	size := picture.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			if r, _, b, _ := picture.At(x, y).RGBA(); r < 0x1000 && b > 0x8000 { // dark blue; letters are black
				n, sumX, sumY = n+1, sumX+x, sumY+y
			}
		}
	}
	if n < size.X*size.Y/100 {
		t.Fatalf("%d blue pixels of %v", n, size)
	}
	x, y := float64(sumX)/float64(n*size.X), float64(sumY)/float64(n*size.Y)
	if x < 0.3 || x > 0.6 || y < 0.6 || y > 0.9 {
		t.Errorf("the score is at %.2f of the width, %.2f of the height", x, y)
	}
}

// Ticks are round numbers, few, and inside the axis.
func TestRoundTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{0, 300, "0 50 100 150 200 250 300"},
		{0, 3.68, "0.0 0.5 1.0 1.5 2.0 2.5 3.0 3.5"},
		{0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{0, 0.035, "0.000 0.005 0.010 0.015 0.020 0.025 0.030 0.035"},
	} {
		var labels []string
		for _, tick := range (roundTicks{}).Ticks(c.low, c.high) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%g to %g: %s, want %s", c.low, c.high, got, c.want)
		}
	}
}

// Every token has its label at both sides, whatever their number.
func TestPictureLabels(t *testing.T) {
	for _, n := range []int{3, 17, 43, 128} {
		m := heat{}
		for i := range n {
			m.Tokens = append(m.Tokens, fmt.Sprintf("t%d.", i))
			m.Scores = append(m.Scores, make([]float64, n))
		}
		path := filepath.Join(t.TempDir(), "map.svg")
		small, err := Attention(path, []attnx.AttentionMap{attnx.AttentionMap(m)})
		if err != nil || small {
			t.Fatalf("%d tokens: labels too small: %t, %v", n, small, err)
		}
		svg, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range m.Tokens {
			if got := strings.Count(string(svg), ">"+token+"<"); got != 2 {
				t.Errorf("%d tokens: %s is written %d times", n, token, got)
			}
		}
	}
}

// Labels are smaller than the cells that they name, and the largest model's
// maps fit into a picture.
func TestHeatLayout(t *testing.T) {
	for _, panels := range []int{1, 2, 12, 48} {
		for _, n := range []int{1, 3, 43, 128, 1024} {
			labels := make([]string, n)
			for i := range labels {
				labels[i] = "a word"
			}
			l := newHeatLayout(labels, panels)
			if l.side*vg.Length(panels) > heatSide*1.001 || l.style.Font.Size > l.side/vg.Length(n) {
				t.Errorf("%d panels of %d tokens: %v points each, labels of %v", panels, n, l.side, l.style.Font.Size)
			}
		}
	}
}

// A PNG has no empty labels: its font lacks most of the world's characters.
func TestPictureCharacters(t *testing.T) {
	m := heat{Tokens: []string{" a", "\n", "\t", "日本", "é", "🙂", strings.Repeat("x", 300)}}
	const long = "xxxxxxxxxxxxxxxxxxxxxxx…"
	if got, want := m.pictureLabels("png"), []string{"·a", `\n`, `\t`, `\u65e5\u672c`, "é", `\U0001f642`, long}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := m.pictureLabels("svg")[3]; got != "日本" {
		t.Errorf("an SVG has %q", got)
	}
}
