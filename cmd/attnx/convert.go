package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/foreign"
	"github.com/attnx/attnx/model/huggingface"
)

// precisions are the values of convert's --dtype.
var precisions = map[string]format.DType{"float32": format.Float32, "bfloat16": format.BFloat16, "float16": format.Float16}

// convertReport is what convert prints as JSON.
type convertReport struct {
	Path       string         `json:"path"` // of the checkpoint or folder
	Arch       string         `json:"arch"`
	Parameters int            `json:"parameters"`
	DType      string         `json:"dtype"`
	Rounding   roundingReport `json:"rounding"`
}

// roundingReport is a format.Rounding as JSON.
type roundingReport struct {
	Changed    int     `json:"changed"`
	MaxAbs     float64 `json:"max_abs"`
	MaxRel     float64 `json:"max_rel"`
	Overflowed int     `json:"overflowed"`
}

func newRounding(r format.Rounding) roundingReport {
	return roundingReport{r.Changed, r.MaxAbs, r.MaxRel, r.Overflowed}
}

func convertCommand(s streams) *cobra.Command {
	var out, precision string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "convert IN -o OUT",
		Short: "Convert between checkpoints, Hugging Face folders and ONNX files",
		Long: `Convert a model from one form to another. IN is a checkpoint, a run's folder, a
Hugging Face GPT-2 folder (one file or shards) or an ONNX file; OUT is a
checkpoint if its name ends with .safetensors, otherwise a new folder in Hugging
Face's layout: config.json, model.safetensors, tokenizer.json. From the ONNX
file of another tool convert takes the weights, and the configuration and the
tokenizer beside it.

A checkpoint holds float32. --dtype writes a folder in a smaller type and
reports the rounding: how many weights changed, and by how much at most.`,
		Example: "  attnx convert runs/go -o folder\n  attnx convert folder -o model.safetensors\n  attnx convert runs/go -o half --dtype bfloat16",
		Args:    oneArg("checkpoint, folder or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dtype, known := precisions[precision]
			toCheckpoint := strings.EqualFold(filepath.Ext(out), ".safetensors")
			switch {
			case out == "":
				return fmt.Errorf("-o is missing: name a file that ends with .safetensors for a checkpoint, or a folder")
			case !known:
				return fmt.Errorf("--dtype %.80q: take float32, bfloat16 or float16", precision)
			case toCheckpoint && dtype != format.Float32:
				return fmt.Errorf("--dtype %s: a checkpoint holds float32: name a folder with -o", precision)
			}
			load, what := find.Loader(model.LoadModel), output.Folder
			if toCheckpoint {
				load, what = model.Load, output.Checkpoint
			}
			place, err := claim(what, out, args[0])
			if err != nil {
				return err
			}
			defer place.Close()
			c, rounding, err := readAny(args[0], s, load)
			if err != nil {
				return err
			}
			if err := warnTokenizer(args[0], c, s); err != nil {
				return err
			}
			if toCheckpoint {
				err = c.Save(out)
			} else {
				var narrowed format.Rounding
				narrowed, err = huggingface.Write(out, c, dtype)
				rounding.Add(narrowed)
			}
			if err != nil {
				return err
			}
			n, err := c.Parameters()
			if err != nil {
				return err
			}
			fmt.Fprintf(s.note, "wrote %s: %s, %s parameters in %s\n", out, c.Arch, thousands(n), precision)
			if rounding.Changed > 0 {
				fmt.Fprintf(s.note, "rounding changed %s of them: by at most %.3g, relatively %.3g", thousands(rounding.Changed), rounding.MaxAbs, rounding.MaxRel)
				if rounding.Overflowed > 0 {
					fmt.Fprintf(s.note, "; %s were too large and became infinite", thousands(rounding.Overflowed))
				}
				fmt.Fprintln(s.note)
			}
			if !toCheckpoint && !huggingface.OnHub(c) {
				fmt.Fprintf(s.note, "transformers has no architecture %q: only attnx opens this folder\n", c.Arch)
			}
			if asJSON {
				return printJSON(s.out, convertReport{out, c.Arch, n, precision, newRounding(rounding)})
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "checkpoint (.safetensors) or folder to write")
	cmd.Flags().StringVar(&precision, "dtype", "float32", "of a folder's weights: float32, bfloat16 or float16")
	jsonFlag(cmd, &asJSON, convertReport{})
	return cmd
}

// readAny reads a model in any form. The rounding is that of weights that were
// not float32.
func readAny(path string, s streams, load find.Loader) (*model.Checkpoint, format.Rounding, error) {
	if file := find.ModelIn(path); file != path && huggingface.IsFolder(path) && !huggingface.HasWeights(path) {
		return foreign.Read(file, s.tell)
	}
	if huggingface.IsFolder(path) {
		return find.ReadFolder(path, s.tell)
	}
	if !find.IsFolder(path) {
		to, err := find.Resolve(path, s.tell)
		if err != nil {
			return nil, format.Rounding{}, err
		}
		kind, err := find.ExpectModel(to)
		if err != nil {
			return nil, format.Rounding{}, err
		}
		if kind == find.ONNX {
			return foreign.Read(to, s.tell)
		}
	}
	c, _, err := find.Load(path, s.tell, load)
	return c, format.Rounding{}, err
}
