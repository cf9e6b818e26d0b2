package plot

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"

	"github.com/attnx/attnx"
)

// heat is an attention map to be drawn.
type heat attnx.AttentionMap

func (m heat) title() string { return fmt.Sprintf("layer %d, head %d", m.Layer, m.Head) }

// Text draws a map as text: each cell has a shade and its number, or only a
// shade if there are too many tokens.
func Text(w io.Writer, m attnx.AttentionMap) error { return heat(m).print(w) }

// labels returns the tokens as cells of a table: a space as ␣, unprintable
// characters as escapes.
func (m heat) labels() []string {
	labels := make([]string, len(m.Tokens))
	for i, token := range m.Tokens {
		var sb strings.Builder
		for _, r := range token {
			switch {
			case r == ' ':
				sb.WriteRune('␣')
			case unicode.IsPrint(r):
				sb.WriteRune(r)
			default:
				quoted := strconv.QuoteRune(r)
				sb.WriteString(quoted[1 : len(quoted)-1])
			}
		}
		labels[i] = sb.String()
	}
	return labels
}

// shades are the cells of a text heat map, lightest first.
var shades = []rune("·░▒▓█")

func shade(x float64) string {
	return string(shades[max(0, min(int(x*float64(len(shades))), len(shades)-1))])
}

// screen is the maximum width, in columns, of a map with numbers.
const screen = 100

// print implements Text.
func (m heat) print(w io.Writer) error {
	labels := m.labels()
	label, cell := 0, runewidth.StringWidth("█ 1.00")
	for _, t := range labels {
		label = max(label, runewidth.StringWidth(t))
	}
	cell = max(cell, label)
	numbers := label+len(labels)*(cell+1) <= screen
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s\n", m.title())
	if numbers {
		sb.WriteString(strings.Repeat(" ", label))
		for _, t := range labels {
			sb.WriteString(" " + padded(t, cell))
		}
		sb.WriteByte('\n')
	}
	for t, row := range m.Scores {
		sb.WriteString(padded(labels[t], label))
		for _, x := range row[:t+1] { // later tokens are masked
			if numbers {
				sb.WriteString(" " + padded(fmt.Sprintf("%s %.2f", shade(x), x), cell))
			} else {
				sb.WriteString(" " + shade(x))
			}
		}
		sb.WriteByte('\n')
	}
	if !numbers {
		fmt.Fprintf(&sb, "columns are the same tokens, left to right; highest score %.2f; numbers with --json\n", m.highest())
	}
	_, err := io.WriteString(w, sb.String()+"\n")
	return err
}

func (m heat) highest() float64 {
	x := 0.0
	for _, row := range m.Scores {
		x = max(x, slices.Max(row))
	}
	return x
}

// padded aligns a text to the right in the given number of columns. Shades
// count as one column, as terminals draw them outside East Asian settings.
func padded(s string, columns int) string {
	return strings.Repeat(" ", max(0, columns-runewidth.StringWidth(s))) + s
}
