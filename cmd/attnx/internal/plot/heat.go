package plot

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/attnx/attnx"
)

// The sizes of an attention picture.
const (
	heatCell   = 1.1 * vg.Centimeter // side of a cell
	heatPanel  = 24 * vg.Centimeter  // side of a head's panel; beyond it cells shrink,
	heatLeast  = 0.4 * vg.Centimeter // down to the height of a label
	heatSide   = 200 * vg.Centimeter // the largest picture, 7,600 pixels
	heatNumber = 16                  // maximum number of tokens for which cells show their score
	heatFont   = 10 * vg.Length(1)   // font size of a label, in points
	heatSmall  = 5 * vg.Length(1)    // smallest readable font size
	heatLetter = 24                  // maximum characters of a label
)

// Attention draws the attention maps of one sentence, with a row of panels per
// layer and a column per head. The first token of a panel is at the top left.
// small reports that labels are hardly readable.
func Attention(path string, maps []attnx.AttentionMap) (small bool, err error) {
	format, err := Format(path)
	if err != nil {
		return false, err
	}
	rows, columns := 0, 0
	for i, m := range maps {
		if i == 0 || m.Layer != maps[i-1].Layer {
			rows, columns = rows+1, 0
		}
		columns++
	}
	l := newHeatLayout(heat(maps[0]).pictureLabels(format), max(rows, columns))
	plots := make([][]*plot.Plot, rows)
	for i, m := range maps {
		p, err := heat(m).plot(l)
		if err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		plots[i/columns] = append(plots[i/columns], p)
	}
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: vg.Points(12), PadY: vg.Points(12)}
	return l.style.Font.Size < heatSmall, savePicture(path, l.side*vg.Length(columns), l.side*vg.Length(rows), func(c draw.Canvas) {
		for i, row := range plot.Align(plots, tiles, c) {
			for j, panel := range row {
				plots[i][j].Draw(panel)
			}
		}
	})
}

// pictureLabels returns the labels of a map. The font of a PNG lacks the
// characters of many languages, so they are written as escapes. A viewer of SVG
// brings its own fonts.
func (m heat) pictureLabels(format string) []string {
	labels := m.labels()
	for i, l := range labels {
		if r := []rune(l); len(r) > heatLetter {
			l = string(r[:heatLetter-1]) + "…"
		}
		l = strings.ReplaceAll(l, "␣", "·") // the font has no ␣
		if format == "png" {
			l = drawable(l)
		}
		labels[i] = l
	}
	return labels
}

// drawable replaces characters that the font lacks by escapes.
func drawable(text string) string {
	face := plot.DefaultTextHandler.Cache().Lookup(plot.DefaultFont, heatFont)
	var sb strings.Builder
	for _, r := range text {
		if glyph, err := face.Face.GlyphIndex(nil, r); err == nil && glyph != 0 {
			sb.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		sb.WriteString(quoted[1 : len(quoted)-1])
	}
	return sb.String()
}

// heatLayout holds the size of a picture's panels and the labels at their
// sides.
type heatLayout struct {
	labels []string
	style  text.Style // of the labels below the panels
	side   vg.Length  // side of a panel with its labels
}

// newHeatLayout makes room for every label. If the panels would be too large
// for a picture, everything shrinks, labels included.
func newHeatLayout(labels []string, panels int) heatLayout {
	n := vg.Length(len(labels))
	l := heatLayout{labels: labels, style: text.Style{Font: font.From(plot.DefaultFont, heatFont), Handler: plot.DefaultTextHandler, Color: color.Black}}
	widest := vg.Length(0)
	for _, label := range labels {
		widest = max(widest, l.style.Width(label))
	}
	cell := max(min(heatCell, heatPanel/n), heatLeast)
	l.style.XAlign, l.style.YAlign = text.XCenter, text.YTop
	switch {
	case widest <= cell:
	case cell == heatCell:
		l.style.Rotation, l.style.XAlign, l.style.YAlign = math.Pi/4, text.XRight, text.YCenter
	default:
		l.style.Rotation, l.style.XAlign, l.style.YAlign = math.Pi/2, text.XRight, text.YCenter
	}
	l.side = n*cell + widest + 2*vg.Centimeter
	if limit := heatSide / vg.Length(panels); l.side > limit {
		l.style.Font.Size *= limit / l.side
		l.side = limit
	}
	return l
}

// plot draws one map.
func (m heat) plot(l heatLayout) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.Title.Padding = m.title(), vg.Points(4)
	p.X.Label.Text, p.Y.Label.Text = "looked at", "looking"
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0
	// Invisible ticks keep the labels off the map.
	p.X.Tick.LineStyle.Color, p.Y.Tick.LineStyle.Color = color.Transparent, color.Transparent
	p.X.Tick.Length, p.Y.Tick.Length = vg.Points(6), vg.Points(2)
	p.X.Tick.Label, p.Y.Tick.Label.Font = l.style, l.style.Font
	h := plotter.NewHeatMap(heatmap{m.Scores}, blues{})
	h.Min, h.Max = 0, 1
	p.Add(h)
	n := len(l.labels)
	x, y := make([]plot.Tick, n), make([]plot.Tick, n)
	for i, label := range l.labels {
		x[i] = plot.Tick{Value: float64(i), Label: label}
		y[i] = plot.Tick{Value: float64(n - 1 - i), Label: label}
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(x), plot.ConstantTicks(y)
	if n > heatNumber {
		return p, nil
	}
	numbers, err := m.numbers(l.style)
	if err != nil {
		return nil, err
	}
	p.Add(numbers)
	return p, nil
}

// numbers writes the score into each cell, in white if the cell is dark.
func (m heat) numbers(style text.Style) (*plotter.Labels, error) {
	var at plotter.XYLabels
	var dark []bool
	for t, row := range m.Scores {
		for s, x := range row[:t+1] {
			at.XYs = append(at.XYs, plotter.XY{X: float64(s), Y: float64(len(row) - 1 - t)})
			at.Labels = append(at.Labels, fmt.Sprintf("%.2f", x))
			dark = append(dark, x > 0.7)
		}
	}
	labels, err := plotter.NewLabels(at)
	if err != nil {
		return nil, err
	}
	style.Rotation, style.XAlign, style.YAlign = 0, text.XCenter, text.YCenter
	for i := range labels.TextStyle {
		labels.TextStyle[i] = style
		if dark[i] {
			labels.TextStyle[i].Color = color.White
		}
	}
	return labels, nil
}

// heatmap is one head's attention as gonum's grid: row 0 of a grid is at the
// bottom, row 0 of a matrix at the top.
type heatmap struct{ rows [][]float64 }

func (h heatmap) Dims() (c, r int)   { return len(h.rows[0]), len(h.rows) }
func (h heatmap) Z(c, r int) float64 { return h.rows[len(h.rows)-1-r][c] }
func (h heatmap) X(c int) float64    { return float64(c) }
func (h heatmap) Y(r int) float64    { return float64(r) }

// blues is a palette from white (no attention) to dark blue (full attention).
type blues struct{}

func (blues) Colors() []color.Color {
	const n = 64
	colors := make([]color.Color, n)
	for i := range colors {
		x := float64(i) / (n - 1)
		colors[i] = color.RGBA{R: uint8(255 * (1 - x)), G: uint8(255 * (1 - 0.75*x)), B: uint8(255 * (1 - 0.4*x)), A: 255}
	}
	return colors
}
