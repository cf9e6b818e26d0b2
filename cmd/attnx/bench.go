package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
)

// benchRow is what one engine does with one preset.
type benchRow struct {
	Preset          string  `json:"preset"`
	Engine          string  `json:"engine"`
	Batch           int     `json:"batch"`
	Context         int     `json:"context"`
	MsPerStep       float64 `json:"ms_per_step"` // median
	TokensPerSecond float64 `json:"tokens_per_second"`
	GFLOPS          float64 `json:"gflops"`
}

func benchCommand(s streams) *cobra.Command {
	var presets []string
	var batch, steps int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure training steps on this machine",
		Long:    "Measure the training step of the Gorgonia engine: the median of some steps, in\nmilliseconds, tokens and floating-point operations a second.",
		Example: "  attnx bench --preset nano",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if batch < 1 || steps < 1 {
				return fmt.Errorf("--batch %d and --steps %d must be 1 or more", batch, steps)
			}
			var rows []benchRow
			for _, name := range presets {
				row, err := benchPreset(name, batch, steps)
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			if asJSON {
				return printJSON(s.out, map[string][]benchRow{"rows": rows})
			}
			tw := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(tw, "preset\tengine\tbatch\tcontext\tms a step\ttokens/s\tGFLOP/s\t")
			for _, r := range rows {
				fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%.1f\t%.0f\t%.1f\t\n", r.Preset, r.Engine, r.Batch, r.Context, r.MsPerStep, r.TokensPerSecond, r.GFLOPS)
			}
			return tw.Flush()
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&presets, "preset", []string{"nano"}, "presets to measure: "+strings.Join(model.Presets(), ","))
	fl.IntVar(&batch, "batch", 12, "sequences in a batch")
	fl.IntVar(&steps, "steps", 5, "steps to measure, after one that is not")
	fl.BoolVar(&asJSON, "json", false, "print the numbers as JSON")
	return cmd
}

// benchVocab is nanoGPT's vocabulary of characters.
const benchVocab = 65

func benchPreset(name string, batch, steps int) (benchRow, error) {
	vocab := benchVocab
	if name == "gpt2" {
		vocab = 50257
	}
	config, err := model.Preset(name, model.GPT2, vocab)
	if err != nil {
		return benchRow{}, err
	}
	g, err := model.BuildLoss(config)
	if err != nil {
		return benchRow{}, err
	}
	engine, err := train.NewGorgonia(g, train.GorgoniaOptions{})
	if err != nil {
		return benchRow{}, err
	}
	defer engine.Close()
	weights := model.NewWeights(g, 1)
	var grads []format.Tensor
	for _, w := range weights {
		grads = append(grads, format.FromFloat32s(w.Name, w.Shape, make([]float32, w.Elements())))
	}
	b := train.Batch{B: batch, T: config.Context}
	stream := model.NewStream(1, "bench")
	for i := range batch * config.Context {
		b.IDs = append(b.IDs, int64(stream.IntN(uint64(2*i), vocab)))
		b.Labels = append(b.Labels, int64(stream.IntN(uint64(2*i+1), vocab)))
	}
	var times []float64
	for i := range steps + 1 {
		began := time.Now()
		if _, err := engine.Step(weights, b, grads); err != nil {
			return benchRow{}, err
		}
		if i > 0 { // the first step compiles
			times = append(times, time.Since(began).Seconds())
		}
	}
	slices.Sort(times)
	median := times[len(times)/2]
	flop, err := stepFLOP(config, batch)
	return benchRow{
		Preset: name, Engine: engine.Name(), Batch: batch, Context: config.Context,
		MsPerStep: median * 1e3, TokensPerSecond: float64(batch*config.Context) / median, GFLOPS: flop / median / 1e9,
	}, err
}

// stepFLOP counts the floating-point operations of one training step as is
// usual: 6 for each parameter and token, and 12·L·C·T for each token's
// attention (Kaplan et al., arXiv:2001.08361, appendix B).
func stepFLOP(c model.Config, batch int) (float64, error) {
	n, err := c.Parameters()
	if err != nil {
		return 0, err
	}
	tokens := float64(batch * c.Context)
	return tokens * (6*float64(n) + 12*float64(c.Layers*c.Width*c.Context)), nil
}
