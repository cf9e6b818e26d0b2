package plot

import (
	"fmt"
	"image/color"

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
// side. A run without an evaluation has its training losses.
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
		p.Legend.Top, p.Legend.Padding = true, vg.Points(3)
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
	return savePicture(path, 30*vg.Centimeter, 11*vg.Centimeter, func(c draw.Canvas) {
		tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Points(14)}
		for i, p := range panels {
			p.Draw(tiles.At(c, i, 0))
		}
	})
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
