package plot

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/attnx/attnx"
)

// runColors are the colors of runs, in order: those of Okabe and Ito, which people with
// any kind of color vision tell apart.
var runColors = []color.Color{
	color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 255}, color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 255}, color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 255},
	color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 255}, color.RGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 255}, color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 255},
}

// Runs draws the validation losses of runs against steps, tokens and seconds, side by
// side, and below them their speed by the length of a text and their loss by position. A run
// without an evaluation has its training losses.
func Runs(path string, runs []attnx.RunSummary) error {
	axes := []struct {
		name string
		of   func(attnx.CurvePoint) float64
	}{
		{"steps", func(p attnx.CurvePoint) float64 { return float64(p.Step) }},
		{"tokens", func(p attnx.CurvePoint) float64 { return p.Tokens }},
		{"seconds", func(p attnx.CurvePoint) float64 { return p.Seconds }},
	}
	var panels []*plot.Plot
	for i, axis := range axes {
		p := plot.New()
		p.X.Label.Text, p.X.Padding, p.Y.Padding = axis.name, 0, 0
		p.X.Tick.Marker, p.Y.Tick.Marker = fewTicks{}, roundTicks{}
		p.Add(plotter.NewGrid())
		if i == 0 {
			p.Y.Label.Text = "validation loss (nats per token)"
		}
		p.Legend.Padding = vg.Points(3) // below the curves
		for j, r := range runs {
			var points, all plotter.XYs
			for _, c := range r.Curve {
				all = append(all, plotter.XY{X: axis.of(c), Y: c.Loss})
				if c.ValLoss != nil {
					points = append(points, plotter.XY{X: axis.of(c), Y: *c.ValLoss})
				}
			}
			if len(points) == 0 {
				points = all
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			line.Color, line.Width = runColors[j%len(runColors)], vg.Points(1.4)
			if j >= len(runColors) {
				line.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
			}
			p.Add(line)
			if i == len(axes)-1 {
				p.Legend.Add(r.Run, line)
			}
		}
		p.X.Min, p.Y.Min = 0, min(0, p.Y.Min)
		p.Y.Max *= 1.05
		panels = append(panels, p)
	}
	for _, lower := range []struct {
		x, y string
		of   func(attnx.RunSummary) plotter.XYs
	}{
		{"length of text (tokens)", "tokens/s", speedPoints},
		{"position in the text", "validation loss", positionPoints},
	} {
		p := plot.New()
		p.X.Label.Text, p.Y.Label.Text, p.X.Padding, p.Y.Padding = lower.x, lower.y, 0, 0
		p.Y.Tick.Marker, p.X.Tick.Marker = roundTicks{}, powerTicks{}
		p.Add(plotter.NewGrid())
		some := false
		for j, r := range runs {
			points := lower.of(r)
			if len(points) == 0 {
				continue
			}
			line, dots, err := plotter.NewLinePoints(points)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			line.Color, line.Width = runColors[j%len(runColors)], vg.Points(1.4)
			dots.Color, dots.Shape, dots.Radius = line.Color, draw.CircleGlyph{}, vg.Points(2)
			p.Add(line, dots)
			some = true
		}
		if some {
			p.Y.Min, p.Y.Max = 0, 1.05*p.Y.Max
			panels = append(panels, p)
		}
	}
	const columns = 3
	rows := (len(panels) + columns - 1) / columns
	return savePicture(path, 30*vg.Centimeter, vg.Length(rows)*11*vg.Centimeter, func(c draw.Canvas) {
		tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: vg.Points(14), PadY: vg.Points(14)}
		for i, p := range panels {
			p.Draw(tiles.At(c, i%columns, i/columns))
		}
	})
}

// speedPoints and positionPoints are what the lower panels draw, over powers of two.
func speedPoints(r attnx.RunSummary) (points plotter.XYs) {
	for _, s := range r.Speeds {
		points = append(points, plotter.XY{X: math.Log2(float64(s.Length)), Y: s.TokensPerSecond})
	}
	return points
}

func positionPoints(r attnx.RunSummary) (points plotter.XYs) {
	for _, l := range r.Positions {
		points = append(points, plotter.XY{X: math.Log2(float64(l.To)), Y: l.Loss})
	}
	return points
}

// powerTicks marks an axis at powers of two.
type powerTicks struct{}

func (powerTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	for i := math.Ceil(low); i <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: i, Label: fmt.Sprint(math.Exp2(i))})
	}
	return ticks
}

// fewTicks are half of roundTicks, for a narrow axis.
type fewTicks struct{}

func (fewTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	for i, t := range (roundTicks{}).Ticks(low, high) {
		if i%2 == 0 {
			ticks = append(ticks, t)
		}
	}
	return ticks
}
