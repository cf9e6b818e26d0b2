package main

import (
	"fmt"
	"image/color"
	"math"
	"strings"

	"github.com/mattn/go-runewidth"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The sizes of an attention picture.
const (
	heatCell   = 1.1 * vg.Centimeter // one score
	heatPanel  = 24 * vg.Centimeter  // the largest map of one head; cells shrink beyond it
	heatSide   = 100 * vg.Centimeter // the largest picture
	heatLabels = 40                  // labels on an axis
	heatNumber = 16                  // tokens up to which cells show their score
)

// plotAttention draws maps of one sentence: a row of panels for each layer, a
// column for each head. In a panel the first token is at the top and the left.
func plotAttention(path string, maps []attentionMap) error {
	var plots [][]*plot.Plot
	for i, m := range maps {
		p, err := m.plot()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if i == 0 || m.Layer != maps[i-1].Layer {
			plots = append(plots, nil)
		}
		last := len(plots) - 1
		plots[last] = append(plots[last], p)
	}
	tiles := draw.Tiles{Rows: len(plots), Cols: len(plots[0]), PadX: vg.Points(12), PadY: vg.Points(12)}
	label := 0
	for _, t := range maps[0].labels() {
		label = max(label, runewidth.StringWidth(t))
	}
	side := min(vg.Length(len(maps[0].Tokens))*heatCell, heatPanel) + 2*vg.Centimeter + vg.Points(6)*vg.Length(label)
	side = min(side, heatSide/vg.Length(max(tiles.Rows, tiles.Cols)))
	return savePicture(path, side*vg.Length(tiles.Cols), side*vg.Length(tiles.Rows), func(c draw.Canvas) {
		for i, row := range plot.Align(plots, tiles, c) {
			for j, panel := range row {
				plots[i][j].Draw(panel)
			}
		}
	})
}

// plot draws one map.
func (m attentionMap) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.Title.Padding = m.title(), vg.Points(4)
	p.X.Label.Text, p.Y.Label.Text = "looked at", "looking"
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0
	p.X.Tick.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0
	p.X.Tick.Length, p.Y.Tick.Length = vg.Points(6), vg.Points(2)
	h := plotter.NewHeatMap(heatmap{m.Scores}, blues{})
	h.Min, h.Max = 0, 1
	p.Add(h)
	n, labels := len(m.Tokens), m.labels()
	var x, y []plot.Tick
	wide := false
	for i := 0; i < n; i += 1 + n/heatLabels {
		l := strings.ReplaceAll(labels[i], "␣", "·") // the font has no ␣
		wide = wide || runewidth.StringWidth(l) > 5
		x = append(x, plot.Tick{Value: float64(i), Label: l})
		y = append(y, plot.Tick{Value: float64(n - 1 - i), Label: l})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(x), plot.ConstantTicks(y)
	if wide {
		p.X.Tick.Label.Rotation = math.Pi / 4
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = text.XRight, text.YCenter
	}
	if n > heatNumber {
		return p, nil
	}
	numbers, err := m.numbers(p.X.Tick.Label)
	if err != nil {
		return nil, err
	}
	p.Add(numbers)
	return p, nil
}

// numbers writes the score into each cell, white on a dark one.
func (m attentionMap) numbers(style text.Style) (*plotter.Labels, error) {
	var at plotter.XYLabels
	var dark []bool
	for t, row := range m.Scores {
		for s, x := range row[:t+1] {
			at.XYs = append(at.XYs, plotter.XY{X: float64(s), Y: float64(len(row) - 1 - t)})
			at.Labels = append(at.Labels, fmt.Sprintf("%.2f", x))
			dark = append(dark, x > 0.5)
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

// heatmap is one head's attention as gonum's grid: row 0 of a picture is at
// the bottom, row 0 of a matrix at the top.
type heatmap struct{ rows [][]float64 }

func (h heatmap) Dims() (c, r int)   { return len(h.rows[0]), len(h.rows) }
func (h heatmap) Z(c, r int) float64 { return h.rows[len(h.rows)-1-r][c] }
func (h heatmap) X(c int) float64    { return float64(c) }
func (h heatmap) Y(r int) float64    { return float64(r) }

// blues is a palette from white, for no attention, to dark blue, for all of it.
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
