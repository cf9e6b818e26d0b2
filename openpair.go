package attnx

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/branch"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
)

// openPair opens the ONNX files in the folder of a network that translates. Nothing else of
// the folder is needed: its configurations only say how it translates.
func openPair(folder string, o Options) (*Translator, error) {
	encoder, first, next, _ := pairIn(folder)
	paths := []string{filepath.Join(folder, filepath.FromSlash(encoder)), filepath.Join(folder, filepath.FromSlash(first)), filepath.Join(folder, filepath.FromSlash(next))}
	merged := first == next
	if merged {
		paths = paths[:2]
	}
	models := make([]*onnx.Model, len(paths))
	tensors := 0
	for i, path := range paths {
		if err := missingPart(path); err != nil {
			return nil, err
		}
		m, err := find.ReadModel(path)
		if err != nil {
			return nil, err
		}
		models[i] = m
		tensors += len(m.Graph.Initializers)
	}
	c, err := model.WholeIn(models[0].Metadata, tensors)
	if err != nil {
		return nil, &Error{Err: fmt.Errorf("%s: it does not describe the network that it is the encoder of: %w", paths[0], err), Do: ExportAgain}
	}
	if huggingface.IsFolder(folder) {
		s, err := huggingface.GenerationIDs(folder, c)
		if err != nil {
			return nil, err
		}
		if s != nil {
			c.Special = s
		}
	}
	t, err := newTranslator(folder, c, o)
	if err != nil {
		return nil, err
	}
	cut, err := c.Cut()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	parts, err := cut.Checkpoints(c)
	if err != nil {
		return nil, err
	}
	form := mergedForm(parts[2].Graph)
	for i, part := range parts {
		path, m := paths[min(i, len(paths)-1)], models[min(i, len(paths)-1)]
		if merged && i > 0 {
			if m, err = branch.Split(form, m, i == 2, namesOfInputs(part.Graph)); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
		if err := isPart(path, m, part); err != nil {
			return nil, err
		}
	}
	r, err := o.runner(export.Plain{})
	if err == nil {
		err = r.available(r.options(o))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	for i, path := range paths {
		verified, err := find.VerifyWeights(path, models[i])
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		file, err := r.file(path, models[i])
		var s runtime.Session
		if err == nil {
			s, err = r.Open(file, r.options(o))
		}
		if err == nil {
			t.sessions, t.Runtime = append(t.sessions, s), r.placed(s)
		}
		if altered := verified(); altered != nil { // reported first: it may be the reason why the model does not open
			err = altered
		}
		if err != nil {
			return nil, errors.Join(withoutKernel(path, models[i], err), t.Close())
		}
	}
	t.parts = decode.Pair{Encoder: t.sessions[0], First: t.sessions[1], Layers: cut.Layers(), Recurrent: cut.Recurrent()}
	if merged {
		in := func(yes bool) decode.Part {
			return (&within{form: form, yes: yes, file: models[1]}).session(t.sessions[1])
		}
		t.parts.First, t.parts.Next = in(false), in(true)
	} else {
		t.parts.Next = t.sessions[2]
	}
	return t, nil
}

// missingPart reports a file of a network that translates that is not there.
func missingPart(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return &Error{Err: fmt.Errorf("%s is missing: the folder has the encoder of a network that translates, but not its whole decoder", path), Do: ExportAgain}
	}
	return nil
}

// isPart refuses a file that is not the part of the network that its name says.
func isPart(path string, m *onnx.Model, part *model.Checkpoint) error {
	info, err := export.Describe(m)
	if err != nil {
		return &Error{Err: fmt.Errorf("%s: %w", path, err), Do: ExportAgain}
	}
	if !graph.HasFingerprint(part.Graph, info.Fingerprint) {
		return &Error{Err: fmt.Errorf("%s: it is not the %s that the encoder beside it belongs to", path, part.Arch), Do: ExportAgain}
	}
	return checkNetwork(path, m, info, part)
}

// weighted returns the network with its weights, which are those beside the ONNX files if
// such files were opened.
func (t *Translator) weighted() (*model.Checkpoint, error) {
	if len(t.Checkpoint.Weights) > 0 {
		return t.Checkpoint, nil
	}
	c, _, err := find.Load(t.Path, nil, model.LoadModel)
	if err != nil {
		return nil, fmt.Errorf("%s: what a network attends to is computed from the checkpoint, not from ONNX files: %w", t.Path, err)
	}
	return c, nil
}

func namesOfInputs(g *graph.Graph) (names []string) {
	for _, in := range g.Inputs {
		names = append(names, in.Name)
	}
	return names
}

// within is the place of a network in a merged decoder.
type within struct {
	form    branch.Form
	yes     bool        // the branch
	file    *onnx.Model // with the declarations of the file
	compare bool        // outputs that are passed through are compared with the inputs

	zeros map[string]format.Tensor // what the other branch was given last
}

// maxZeros bounds the elements that a branch is given for the other one: a declaration in a
// file is not to be trusted.
const maxZeros = 1 << 28

// session returns a session of the file as one of the branch.
func (w *within) session(s runtime.Session) runtime.Session { return inBranch{s, w} }

// inBranch runs one branch of a file.
type inBranch struct {
	runtime.Session
	*within
}

// Run gives the branch its inputs, and the other one zeros: an empty past, or states. It
// fails if an output that is passed through is another than the input.
func (b inBranch) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	all := maps.Clone(inputs)
	choice := byte(0)
	if b.yes {
		choice = 1
	}
	all[b.form.Condition] = format.Tensor{Name: b.form.Condition, DType: format.Bool, Shape: []int{1}, Data: []byte{choice}}
	sizes := map[string]int{}
	for _, in := range b.file.Graph.Inputs {
		for axis, d := range in.Dims {
			if t, given := all[in.Name]; given && d.Open && axis < len(t.Shape) {
				sizes[d.Param] = t.Shape[axis]
			}
		}
	}
	for _, in := range b.file.Graph.Inputs {
		if _, given := all[in.Name]; given {
			continue
		}
		t := format.Tensor{Name: in.Name, DType: find.WeightTypes[in.DataType]}
		for _, d := range in.Dims {
			if d.Open {
				d.Value = int64(sizes[d.Param]) // 0 if nothing has it
			}
			t.Shape = append(t.Shape, int(d.Value))
		}
		n, ok := format.Elements(t.Shape)
		if !ok || t.DType.Size() == 0 || n > maxZeros {
			return nil, fmt.Errorf("the input %.80q is declared as %s, which cannot be filled with zeros", in.Name, in)
		}
		if t.Data = b.zeros[in.Name].Data; len(t.Data) != n*t.DType.Size() {
			t.Data = make([]byte, n*t.DType.Size())
		}
		if b.zeros == nil {
			b.zeros = map[string]format.Tensor{}
		}
		b.zeros[in.Name], all[in.Name] = t, t
	}
	out, err := b.Session.Run(all)
	if err != nil {
		return nil, err
	}
	for o, in := range b.form.Through {
		t, ok := out[o]
		if !b.yes || !ok {
			continue
		}
		if b.compare && !bytes.Equal(t.Data, inputs[in].Data) {
			return nil, fmt.Errorf("the output %.80q is another than the input %.80q, which it should be", o, in)
		}
		delete(out, o)
	}
	return out, nil
}
