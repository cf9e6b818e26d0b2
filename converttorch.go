package attnx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/model/train/torch"
)

// ToTorch is the value of ConvertOptions.To that hands a run over to PyTorch.
const ToTorch = "torch"

// convertToTorch writes the folder of a run with which PyTorch goes on: the newest
// checkpoint with its training state, the examples, and where the run has them from.
func convertToTorch(from, to string, o ConvertOptions) (*ConvertReport, error) {
	place, err := output.Claim(output.Folder, to, from)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	if err := resumable(from); err != nil {
		return nil, err
	}
	r := &trainRun{folder: from, events: TrainEvents{Tell: o.Tell}}
	defer r.close()
	path, err := r.newest(ResumeOptions{})
	if err == nil && path == "" {
		err = find.NoCheckpoint(from)
	}
	if err != nil {
		return nil, err
	}
	if r.options.Dropout > 0 {
		return nil, fmt.Errorf("%s: it is trained with dropout, and PyTorch would drop other values: train without", from)
	}
	if r.model.LoRA != nil {
		return nil, fmt.Errorf("%s: it trains an adapter: write that alone, and train it with PEFT", from)
	}
	if err := r.readData(context.Background(), Corpus{}, path); err != nil {
		return nil, err
	}
	if o.Saving != nil {
		o.Saving()
	}
	var more []store.File
	for _, name := range []string{store.SourceName, store.MetricsName} {
		text, err := os.ReadFile(r.in(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		more = append(more, store.File{Name: name, Write: func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(text)); return err }})
	}
	if err := torch.Write(to, r.model, r.data, more); err != nil {
		return nil, err
	}
	report := &ConvertReport{Path: filepath.Clean(to), Arch: r.model.Arch, DType: "float32", folder: true, hub: true}
	report.Parameters, err = r.model.Parameters()
	report.Notes = []string{fmt.Sprintf("step %d of %d; go on with: torchrun --nproc-per-node N train.py %s --out FOLDER", r.model.Step, r.options.Steps, to)}
	return report, err
}

// takeBack makes a run of a folder that PyTorch wrote: its state becomes a checkpoint
// there. It does nothing with any other folder.
func takeBack(folder string) error {
	if !torch.IsFolder(folder) {
		return nil
	}
	if saved, aside, err := store.List(folder, model.CheckSeal); err != nil || len(saved)+len(aside) > 0 {
		return err
	}
	c, err := torch.Read(folder)
	if err != nil {
		return err
	}
	o, err := train.Saved(c)
	if err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	run, err := model.OpenRun(folder, max(1, o.Keep))
	if err != nil {
		return err
	}
	return errors.Join(run.Save(c), run.Close())
}
