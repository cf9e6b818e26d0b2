// Package plot draws the loss of a run and the attention of a model, as
// pictures and as text.
package plot

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/output"
)

// Loss draws the training and validation loss over the steps as a PNG.
func Loss(path string, history []attnx.Metric) error {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "step", "loss (nats per token)"
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.Tick.Marker, p.Y.Tick.Marker = roundTicks{}, roundTicks{}
	p.Legend.Top, p.Legend.Padding = true, vg.Points(4)
	p.Legend.XOffs, p.Legend.YOffs = -vg.Points(6), -vg.Points(6)
	p.Add(plotter.NewGrid())
	var train, val plotter.XYs
	for _, m := range history {
		train = append(train, plotter.XY{X: float64(m.Step), Y: m.Loss})
		if m.ValLoss != nil {
			val = append(val, plotter.XY{X: float64(m.Step), Y: *m.ValLoss})
		}
	}
	for _, c := range []struct {
		name   string
		points plotter.XYs
		color  color.Color
	}{
		{"training", train, color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 255}},
		{"validation", val, color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 255}},
	} {
		if len(c.points) == 0 {
			continue
		}
		line, dots, err := plotter.NewLinePoints(c.points)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		line.Color, line.Width = c.color, vg.Points(1.2)
		dots.Color, dots.Shape, dots.Radius = c.color, draw.CircleGlyph{}, vg.Points(2)
		p.Add(line)
		if len(c.points) <= 100 {
			p.Add(dots)
		}
		p.Legend.Add(c.name, line)
	}
	// The axis starts at zero, the lowest possible loss.
	p.X.Min, p.Y.Min = 0, min(0, p.Y.Min)
	p.Y.Max *= 1.05
	return savePicture(path, 20*vg.Centimeter, 12*vg.Centimeter, p.Draw)
}

// roundTicks marks an axis at multiples of 1, 2 or 5 times a power of ten.
type roundTicks struct{}

func (roundTicks) Ticks(low, high float64) []plot.Tick {
	const wanted = 8
	step := math.Pow(10, math.Floor(math.Log10((high-low)/wanted)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(m*step) <= wanted {
			step *= m
			break
		}
	}
	digits := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	var ticks []plot.Tick
	for i := math.Ceil(low / step); i*step <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: strconv.FormatFloat(i*step, 'f', digits, 64)})
	}
	return ticks
}

// Format returns the picture format for a path's extension.
func Format(path string) (string, error) {
	ending := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
	if ending != "png" && ending != "svg" {
		return "", fmt.Errorf("%s: pictures are written as .png or .svg: give the file one of these endings", path)
	}
	return ending, nil
}

// savePicture writes what paint draws. An existing picture is replaced only
// once the new one is complete.
func savePicture(path string, width, height vg.Length, paint func(draw.Canvas)) error {
	format, err := Format(path)
	if err != nil {
		return err
	}
	canvas, err := draw.NewFormattedCanvas(width, height, format)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	margin := vg.Points(8)
	paint(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	return store.Save(path, func(w io.Writer) error {
		var b bytes.Buffer
		if _, err := canvas.WriteTo(&b); err != nil {
			return err
		}
		_, err := w.Write(output.Marked(format, b.Bytes()))
		return err
	})
}
