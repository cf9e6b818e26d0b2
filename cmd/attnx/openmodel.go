package main

import (
	"errors"
	"fmt"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/placement"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/ort"
)

// opened is a model that can be run.
type opened struct {
	path    string            // of what was read
	network *model.Checkpoint // without its weights where they are in a file
	file    *onnx.Model       // what ONNX Runtime runs; nil where something else does
	special *model.Special    // nil: what the tokenizer spells
	context int               // tokens that it sees
	running string            // what runs it: "ONNX Runtime 1.30.0 on cpu"
	device  *ort.Device       // a network with a past,
	session runtime.Session   // or one without
}

// openModel opens a checkpoint, an ONNX file of ours or a folder with one. A
// checkpoint runs in ONNX Runtime too where that is installed, as a network
// with a past that is exported in memory, else in Go. What ready refuses of a
// model, of which it sees the description alone, is not opened.
func openModel(path string, d device, s streams, ready func(*opened) error) (*opened, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	named := path
	if path = find.ModelIn(path); !find.IsFolder(path) {
		to, err := find.Resolve(path, s.tell)
		if err != nil {
			return nil, err
		}
		kind, err := find.ExpectModel(to)
		if err != nil {
			return nil, err
		}
		if kind == find.ONNX {
			o, err := openONNX(to, d, ready)
			if err == nil && huggingface.IsFolder(named) {
				err = o.specialOf(named)
			}
			if err != nil {
				return nil, err
			}
			return o, nil
		}
	}
	c, path, err := find.Load(path, s.tell, model.LoadModel)
	if err != nil {
		return nil, err
	}
	if err := ready(&opened{path: path, network: c}); err != nil {
		return nil, err
	}
	o, err := openCheckpoint(c, form{Options: export.Options{Profile: export.Cache}, last: true}, d)
	if err == nil {
		o.path = path
		return o, nil
	}
	if !errors.Is(err, runtime.ErrUnavailable) || d.name == "cuda" || d.library != "" {
		return nil, err
	}
	why := oneLine(err.Error())
	session, err := gorgonia.NewForward(c.Graph, c.Weights)
	return &opened{
		path: path, network: c, special: c.Special, context: c.Context(), session: session,
		running: "Go (no ONNX Runtime: " + why + ")",
	}, err
}

// openCheckpoint runs a checkpoint in ONNX Runtime, by way of an export in
// memory, which has a past.
func openCheckpoint(c *model.Checkpoint, f form, d device) (*opened, error) {
	how, err := d.options()
	if err != nil {
		return nil, err
	}
	m, data, err := encodedModel(c, f)
	if err != nil {
		return nil, err
	}
	o := &opened{network: c, special: c.Special, file: m, context: c.Context()}
	how.CUDA.Graphs = fixedShapes(m)
	if o.device, err = ort.OpenDeviceBytes(data, how); err != nil {
		return nil, withoutKernel("model", m, err)
	}
	o.running = describeORT(o.device)
	return o, nil
}

// fixedShapes reports whether the runs of a model that add one token all have
// the same shapes, so that CUDA can record one and repeat it.
func fixedShapes(m *onnx.Model) bool { return m.Metadata[export.MetaCache] == export.CacheShared }

// openONNX opens an ONNX file of ours: in ONNX Runtime, or the flat profile in
// onnx-go, for which it is made.
func openONNX(path string, d device, ready func(*opened) error) (*opened, error) {
	m, err := find.ReadModel(path)
	if err != nil {
		return nil, err
	}
	info, err := export.Describe(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: generate runs files that `attnx export` wrote", path, err)
	}
	if info.Profile == export.Train {
		return nil, fmt.Errorf("%s: it holds a training step, and generate needs logits: export the checkpoint with --profile %s", path, export.Cache)
	}
	o := &opened{path: path, file: m}
	if _, ok := m.MetadataValue(model.MetaConfig); !ok {
		return nil, fmt.Errorf("%s: no %.80q in the metadata: export the checkpoint again with `attnx export`", path, model.MetaConfig)
	}
	if o.network, err = model.FromMetadata(m.Metadata, len(m.Graph.Initializers)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := checkNetwork(path, m, info, o.network); err != nil {
		return nil, err
	}
	o.special, o.context = o.network.Special, o.network.Context()
	if err := ready(o); err != nil {
		return nil, err
	}
	verified, err := find.VerifyWeights(path, m)
	if err != nil {
		return nil, err
	}
	if info.Profile == export.Flat {
		if d.name == "cuda" {
			return nil, fmt.Errorf("%s: profile flat runs in onnx-go, which has no CUDA: take --profile %s or --device cpu", path, export.Cache)
		}
		if err := verified(); err != nil {
			return nil, err
		}
		o.file, o.context, o.running = nil, info.Length, "onnx-go"
		o.session, err = openFlat(path, m)
		return o, err
	}
	how, err := d.options()
	if err != nil {
		return nil, err
	}
	err = o.run(info.Profile, how)
	if altered := verified(); altered != nil { // told first: it may be why the model does not open
		o.Close()
		return nil, altered
	}
	if err != nil {
		return nil, withoutKernel(path, m, err)
	}
	return o, nil
}

// specialOf takes the special ids that the files of a folder beside the model
// say, as the other libraries that open it do. It closes o if they are not to be
// read.
func (o *opened) specialOf(folder string) error {
	s, err := huggingface.GenerationIDs(folder, o.network)
	if err != nil {
		o.Close()
		return err
	}
	if s != nil {
		o.special = s
	}
	return nil
}

// withoutKernel says which node of a model it was that CUDA cannot run, where
// that is the trouble and the table of kernels knows.
func withoutKernel(name string, m *onnx.Model, err error) error {
	missing := new(ort.CUDAError)
	if !errors.As(err, &missing) || missing.Missing != ort.MissingKernel {
		return err
	}
	plan, planErr := placement.Plan(m)
	if planErr != nil {
		return err
	}
	for _, n := range plan.Nodes {
		if n.Device != placement.OnCUDA {
			return fmt.Errorf("%s: %w", name, &ort.CUDAError{
				Missing: ort.MissingKernel, Detail: fmt.Sprintf("node %.80q: %s", n.Node, n.Why),
				Remedy: "export for the GPU, with --dtype float16 or bfloat16 where --fuse ort is asked for and without --quantize int8 (`attnx verify --plan cuda` lists all such nodes), or use --device cpu",
			})
		}
	}
	return err
}

// run opens the file in ONNX Runtime.
func (o *opened) run(p export.Profile, how ort.Options) (err error) {
	if p == export.Cache {
		how.CUDA.Graphs = fixedShapes(o.file)
		if o.device, err = ort.OpenDevice(o.path, how); err == nil {
			o.running = describeORT(o.device)
		}
		return err
	}
	s, err := ort.Open(o.path, how)
	if err == nil {
		o.session, o.running = s, describeORT(s)
	}
	return err
}

// model returns what gives the logits of a batch of sequences. Closing the
// model is closing o.
func (o *opened) model(batch int) (decode.Model, error) {
	if o.device == nil {
		return decode.Recompute(o.session, batch, o.context), nil
	}
	d, err := decode.New(o.device, decode.Options{Batch: batch, Context: o.context})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.path, err)
	}
	return d, nil
}

func (o *opened) Close() error {
	if o.device != nil {
		return o.device.Close()
	}
	if o.session != nil {
		return o.session.Close()
	}
	return nil
}

// describeORT says what runs a model, and why not CUDA where --device auto did
// not get it.
func describeORT(s interface {
	Version() string
	Device() string
	NoCUDA() error
}) string {
	text := fmt.Sprintf("ONNX Runtime %s on %s", s.Version(), s.Device())
	if err := s.NoCUDA(); err != nil {
		text += fmt.Sprintf(" (no CUDA: %s)", oneLine(err.Error()))
	}
	return text
}
