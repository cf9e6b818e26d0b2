// Package torch hands a training run over to PyTorch and takes it back: the model as a
// folder of transformers, the moments of AdamW under the names of its parameters,
// the settings, and the examples in the order in which the run takes them.
// fixtures/distributed/train.py goes on from such a folder on several processes or
// machines, and writes one.
package torch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/train"
)

// Names of the files that a folder has besides those of train.Data.Files. The model is
// in a folder of its own, so that the whole is a run's and no model's once it is taken
// back.
const (
	ModelName     = "model"
	StateName     = "training.json"
	OptimizerName = "optimizer.safetensors"
)

// Prefixes of the moments in OptimizerName, as torch.optim.AdamW names them; the name
// of a parameter follows. A parameter without moments is not trained.
const (
	firstMoment  = "exp_avg."
	secondMoment = "exp_avg_sq."
)

// version of the layout.
const version = 1

// maxState bounds the size of StateName, in bytes.
const maxState = 1 << 20

// state is StateName.
type state struct {
	Version  int             `json:"version"`
	Step     int             `json:"step"`     // steps done
	Settings json.RawMessage `json:"settings"` // train.Options
	Random   json.RawMessage `json:"random"`   // the generator, its seed, and batches drawn
	Position json.RawMessage `json:"position"` // the hash of the data, and batches taken
	Data     train.Rows      `json:"data"`
}

// Write writes the folder of a checkpoint with training state and of its data. more
// are further files. The folder must not exist, or must be empty. Errors name the
// folder.
func Write(path string, c *model.Checkpoint, d *train.Data, more []store.File) error {
	files, err := files(c, d)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return store.SaveFolder(path, append(files, more...))
}

func files(c *model.Checkpoint, d *train.Data) ([]store.File, error) {
	o, err := train.Saved(c)
	if err != nil {
		return nil, err
	}
	if !huggingface.OnHub(c) {
		return nil, fmt.Errorf("transformers has no architecture %.80q: PyTorch has no such network", c.Arch)
	}
	if c.Continues() != nil || o.Loss != nil {
		return nil, fmt.Errorf("only language models can be handed over: this run learns something else than the next token")
	}
	rows, examples, err := d.Files(o)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(state{version, c.Step, c.Train.Options, c.Train.Random, c.Train.Data, rows}, "", "  ")
	if err != nil {
		return nil, err
	}
	files, err := huggingface.Files(c, format.Float32, new(format.Rounding))
	if err != nil {
		return nil, err
	}
	for i := range files {
		files[i].Name = ModelName + "/" + files[i].Name
	}
	files = append(files,
		store.File{Name: StateName, Write: func(w io.Writer) error { _, err := w.Write(append(text, '\n')); return err }},
		store.File{Name: OptimizerName, Write: func(w io.Writer) error { return writeMoments(w, c) }})
	return append(files, examples...), nil
}

// writeMoments writes OptimizerName.
func writeMoments(w io.Writer, c *model.Checkpoint) error {
	names := momentNames(c)
	h := format.Header{Metadata: map[string]string{"format": "pt"}}
	for _, m := range c.Train.Moments {
		name, ok := names[m.Name]
		if !ok {
			return fmt.Errorf("moment %.80q belongs to no weight", m.Name)
		}
		h.Tensors = append(h.Tensors, format.TensorInfo{Name: name, DType: m.DType, Shape: m.Shape})
	}
	fw := format.NewWriter(w, h)
	for _, m := range c.Train.Moments {
		fw.Add(m.WithName(names[m.Name]))
	}
	return fw.Close()
}

// momentNames returns the names in OptimizerName of the moments of all weights.
func momentNames(c *model.Checkpoint) map[string]string {
	names := map[string]string{}
	for _, w := range c.Weights {
		file := huggingface.FileName(c, w.Name)
		names[train.FirstMoment+w.Name], names[train.SecondMoment+w.Name] = firstMoment+file, secondMoment+file
	}
	return names
}

// IsFolder reports whether a folder has the state of a run in it.
func IsFolder(path string) bool {
	info, err := os.Stat(filepath.Join(path, StateName))
	return err == nil && info.Mode().IsRegular() && huggingface.IsFolder(filepath.Join(path, ModelName))
}

// Read reads the checkpoint of a folder. Errors name the file.
func Read(path string) (*model.Checkpoint, error) {
	file := filepath.Join(path, StateName)
	s, err := readState(file)
	if err != nil {
		return nil, err
	}
	c, _, err := huggingface.Read(filepath.Join(path, ModelName))
	if err != nil {
		return nil, err
	}
	c.Step, c.Train = s.Step, &model.TrainState{Options: s.Settings, Random: s.Random, Data: s.Position}
	if _, err := train.Saved(c); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if c.Train.Moments, err = readMoments(filepath.Join(path, OptimizerName), c); err != nil {
		return nil, err
	}
	if err := train.Resumable(c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readState(file string) (s state, err error) {
	f, err := os.Open(file)
	if err != nil {
		return s, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	if len(text) > maxState {
		return s, fmt.Errorf("%s: it has more than %d bytes", file, maxState)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	if s.Version != version || s.Step < 0 {
		return s, fmt.Errorf("%s: version %d, step %d: expected version %d and a step of 0 or more", file, s.Version, s.Step, version)
	}
	return s, nil
}

// readMoments reads the moments of the weights that have some.
func readMoments(path string, c *model.Checkpoint) (moments []format.Tensor, err error) {
	f, err := format.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there are no moments of the optimizer: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	there := map[string]format.TensorInfo{}
	for _, t := range f.Tensors() {
		there[t.Name] = t
	}
	names := momentNames(c)
	for _, w := range c.Weights {
		for _, name := range []string{train.FirstMoment + w.Name, train.SecondMoment + w.Name} {
			info, ok := there[names[name]]
			if !ok {
				continue
			}
			if info.DType != format.Float32 || fmt.Sprint(info.Shape) != fmt.Sprint(w.Shape) {
				return nil, fmt.Errorf("%s: %.80q is %s%v, expected F32%v", path, info.Name, info.DType, info.Shape, w.Shape)
			}
			t, err := f.Tensor(info.Name)
			if err != nil {
				return nil, err
			}
			moments = append(moments, t.WithName(name))
		}
	}
	return moments, nil
}
