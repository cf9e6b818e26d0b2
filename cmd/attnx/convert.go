package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
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
		Long: `Turn a model from one form into another. IN is a checkpoint, a run's folder, a
Hugging Face GPT-2 folder (one file or shards) or an ONNX file; OUT is a
checkpoint if its name ends with .safetensors, else a new folder in Hugging
Face's layout: config.json, model.safetensors, tokenizer.json.

A checkpoint holds float32. --dtype writes a folder in a smaller type, and the
rounding is told: how many weights changed, and by how much at most.`,
		Example: "  attnx convert runs/go -o folder\n  attnx convert folder -o model.safetensors\n  attnx convert runs/go -o half --dtype bfloat16",
		Args:    oneArg("checkpoint, folder or ONNX file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dtype, known := precisions[precision]
			toCheckpoint := strings.EqualFold(filepath.Ext(out), ".safetensors")
			switch {
			case out == "":
				return fmt.Errorf("-o is missing: name a file that ends with .safetensors for a checkpoint, or a folder")
			case !known:
				return fmt.Errorf("--dtype %q: take float32, bfloat16 or float16", precision)
			case toCheckpoint && dtype != format.Float32:
				return fmt.Errorf("--dtype %s: a checkpoint holds float32: name a folder with -o", precision)
			}
			load, what := loader(model.LoadModel), folderOutput
			if toCheckpoint {
				load, what = model.Load, checkpointOutput
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
			n, err := c.Config.Parameters()
			if err != nil {
				return err
			}
			fmt.Fprintf(s.note, "wrote %s: %s, %s parameters in %s\n", out, c.Config.Arch, thousands(n), precision)
			if rounding.Changed > 0 {
				fmt.Fprintf(s.note, "rounding changed %s of them: by at most %.3g, relatively %.3g", thousands(rounding.Changed), rounding.MaxAbs, rounding.MaxRel)
				if rounding.Overflowed > 0 {
					fmt.Fprintf(s.note, "; %s were too large and became infinite", thousands(rounding.Overflowed))
				}
				fmt.Fprintln(s.note)
			}
			if !toCheckpoint && c.Config.Arch != model.GPT2 {
				fmt.Fprintf(s.note, "transformers has no architecture %q: only attnx opens this folder\n", c.Config.Arch)
			}
			if asJSON {
				return printJSON(s.out, convertReport{out, c.Config.Arch, n, precision, newRounding(rounding)})
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
func readAny(path string, s streams, load loader) (*model.Checkpoint, format.Rounding, error) {
	if huggingface.IsFolder(path) {
		return readFolder(path, s)
	}
	if !isFolder(path) {
		to, err := resolve(path, s)
		if err != nil {
			return nil, format.Rounding{}, err
		}
		kind, err := expectModel(to)
		if err != nil {
			return nil, format.Rounding{}, err
		}
		if kind == onnxFile {
			return readONNX(to)
		}
	}
	c, _, err := loadCheckpoint(path, s, load)
	return c, format.Rounding{}, err
}

// readONNX takes a model out of an ONNX file: the weights are the initializers
// of their names, the configuration is in the metadata of a file of ours, or in
// the config.json beside one of another tool.
func readONNX(path string) (*model.Checkpoint, format.Rounding, error) {
	var rounding format.Rounding
	m, err := readModel(path)
	if err != nil {
		return nil, rounding, err
	}
	if m.Metadata[export.MetaWeightsSHA256] != "" { // ours; other tools do not say what their weights were
		verified, err := verifyWeights(path, m)
		if err == nil {
			err = verified()
		}
		if err != nil {
			return nil, rounding, err
		}
	}
	config, err := configOf(m, path)
	if err != nil {
		return nil, rounding, err
	}
	if n := len(m.Graph.Initializers); config.Layers > n {
		return nil, rounding, fmt.Errorf("%s: n_layer is %d, the file has %d initializers", path, config.Layers, n)
	}
	g, err := model.Build(config)
	if err != nil {
		return nil, rounding, err
	}
	initializers := map[string]*onnx.Tensor{}
	for _, t := range m.Graph.Initializers {
		initializers[strings.TrimPrefix(t.Name, "transformer.")] = t
	}
	c := &model.Checkpoint{Config: config, Tokenizer: []byte(m.Metadata[model.MetaTokenizer])}
	if _, ours := m.Metadata[model.MetaConfig]; ours {
		c.Special, err = model.SpecialIn(m.Metadata, config.Vocab)
	} else {
		c.Special, err = huggingface.ReadSpecial(filepath.Dir(path), config, c.Tokenizer)
	}
	if err != nil {
		return nil, rounding, fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range g.Params {
		t := initializers[p.Name]
		if t == nil {
			return nil, rounding, fmt.Errorf("%s: it has no initializer %q: convert a file of the profile plain or cache without --quantize, whose weights keep their names and shapes", path, p.Name)
		}
		dtype, known := onnxTypes[t.DataType]
		if !known {
			return nil, rounding, fmt.Errorf("%s: initializer %q is of type %s, a weight wants a floating-point type", path, t.Name, t.DataType)
		}
		want, _ := p.Shape.Numbers()
		x := format.Tensor{Name: p.Name, DType: dtype}
		for _, d := range t.Dims {
			x.Shape = append(x.Shape, int(d))
		}
		if fmt.Sprint(x.Shape) != fmt.Sprint(want) {
			return nil, rounding, fmt.Errorf("%s: initializer %q is %v, the configuration wants %v: convert a file of the profile plain", path, t.Name, x.Shape, want)
		}
		if x.Data, err = t.Load(filepath.Dir(path)); err != nil {
			return nil, rounding, fmt.Errorf("%s: %w", path, err)
		}
		wide, r, err := x.Convert(format.Float32)
		if err != nil {
			return nil, rounding, fmt.Errorf("%s: %w", path, err)
		}
		rounding.Add(r)
		c.Weights = append(c.Weights, wide)
	}
	return c, rounding, nil
}

// onnxTypes are the types that a weight may have.
var onnxTypes = map[onnx.DataType]format.DType{
	onnx.Float: format.Float32, onnx.Double: format.Float64, onnx.Float16: format.Float16, onnx.BFloat16: format.BFloat16,
}

// configOf returns the configuration of the model in an ONNX file.
func configOf(m *onnx.Model, path string) (model.Config, error) {
	if text, ok := m.Metadata[model.MetaConfig]; ok {
		c, err := model.ParseConfig(text)
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return c, err
	}
	beside := filepath.Join(filepath.Dir(path), "config.json")
	info, err := os.Lstat(beside)
	if errors.Is(err, fs.ErrNotExist) {
		return model.Config{}, fmt.Errorf("%s: it does not say what network it is, and there is no config.json beside it", path)
	}
	if err != nil {
		return model.Config{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return model.Config{}, fmt.Errorf("%s: it is no regular file of at most 1 MiB", beside)
	}
	text, err := os.ReadFile(beside)
	if err != nil {
		return model.Config{}, err
	}
	c, err := huggingface.ParseConfig(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", beside, err)
	}
	return c, err
}
