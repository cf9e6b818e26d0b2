package attnx

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/train/gorgonia"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/decode"
	"github.com/attnx/attnx/runtime/ort"
)

// Model is an open model.
type Model struct {
	Path       string            // of the file that was read
	Checkpoint *model.Checkpoint // without weights if they are in File, or in the runtime alone
	File       *onnx.Model       // nil if the network itself runs; of a GGUF file without the elements of its weights
	Special    *model.Special    // nil: as in the tokenizer
	Context    int               // maximum tokens
	Runtime    runtime.Place     // where it runs: "ONNX Runtime 1.30.0 on cpu"
	Device     runtime.Device    // for a network with a past
	Session    runtime.Session   // for a network without one
}

// OpenModel opens a checkpoint, an ONNX file of attnx or a folder with one. A
// checkpoint is exported in memory, with a past if its network can have one, and
// runs in a runtime if one is installed; otherwise it runs in Go.
func OpenModel(path string, o Options) (*Model, error) {
	return openAs(path, export.Cache{LastLogits: true}, o, asItIs, func(*Model) error { return nil })
}

// change returns the model that is opened for one that was read.
type change func(*model.Checkpoint) (*model.Checkpoint, error)

func asItIs(c *model.Checkpoint) (*model.Checkpoint, error) { return c, nil }

// openAs is OpenModel with the profile in which a checkpoint is exported, what
// changes it before, and a check: ready sees the description of the model before it
// is opened, and may refuse it.
func openAs(path string, p export.Profile, d Options, as change, ready func(*Model) error) (*Model, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	named := path
	if path = find.ModelIn(path); !find.IsFolder(path) {
		to, err := find.Resolve(path, d.Tell)
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
	c, blocks, path, err := loadToRun(path, p, d)
	if err != nil {
		return nil, err
	}
	if c, err = as(c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := ready(&Model{Path: path, Checkpoint: c}); err != nil {
		return nil, err
	}
	if (p == export.Cache{LastLogits: true}) {
		if _, err := model.Cached(c.Graph, true); errors.As(err, new(*graph.CacheError)) && c.Continues() == nil {
			p = export.Plain{} // such as a recurrent network: each token computes the whole text
		}
	}
	o, err := openCheckpoint(c, blocks, p, d)
	if err == nil {
		o.Path = path
		return o, nil
	}
	if blocks != nil || !errors.Is(err, runtime.ErrUnavailable) || d.Device == "cuda" || d.Library != "" || d.Runtime != "" {
		return nil, err
	}
	session, missing := gorgonia.NewForward(c.Graph, c.Weights)
	return &Model{
		Path: path, Checkpoint: c, Special: c.Special, Context: c.Context(), Session: session,
		Runtime: runtime.Place{Runtime: "Go", Without: "ONNX Runtime", Why: err},
	}, missing
}

// loadToRun reads a model. Matrices of a GGUF file that ONNX Runtime can multiply by
// in their blocks stay in these: the weights of the checkpoint leave them out.
func loadToRun(path string, p export.Profile, d Options) (*model.Checkpoint, map[string]format.Blocks, string, error) {
	if p, past := p.(export.Cache); past && !p.Fuse && find.IsGGUF(path) && (d.Device == "" || d.Device == "cpu") {
		if r, err := d.runner(p); err == nil && r.Name == ort.Runtime.Name && r.available(r.options(d)) == nil {
			c, blocks, err := find.ReadPacked(path, precision.Factors, d.Tell)
			return c, blocks, path, err
		}
	}
	c, path, err := find.Load(path, d.Tell, model.LoadModel)
	return c, nil, path, err
}

// OpenCheckpoint runs a checkpoint in a runtime, through an export in memory.
// Only the profile cache decodes with a past.
func OpenCheckpoint(c *model.Checkpoint, p export.Profile, d Options) (*Model, error) {
	return openCheckpoint(c, nil, p, d)
}

// openCheckpoint is OpenCheckpoint with some weights in blocks, see loadToRun. It
// drops the weights of such a checkpoint.
func openCheckpoint(c *model.Checkpoint, blocks map[string]format.Blocks, p export.Profile, d Options) (*Model, error) {
	r, err := d.runner(p)
	if err == nil {
		err = r.available(r.options(d))
	}
	if err != nil {
		return nil, err
	}
	var m *onnx.Model
	if past, ok := p.(export.Cache); ok && blocks != nil {
		fused := past
		fused.Fuse = true // a past in one buffer takes half of the memory
		if m, err = export.Packed(c.Graph, c.Weights, blocks, fused); err != nil {
			m, err = export.Packed(c.Graph, c.Weights, blocks, past)
		}
	} else {
		m, err = export.Model(c.Graph, c.Weights, p)
	}
	if err != nil {
		return nil, err
	}
	f, err := lent(m, r.Lends && isCache(p) && blocks != nil)
	if err != nil {
		return nil, err
	}
	if blocks != nil { // the runtime has all of them
		c.Weights = nil
		m = onnx.Refer(m, func(t *onnx.Tensor) *onnx.External {
			return &onnx.External{Location: nowhere, Length: int64(len(t.Raw))}
		})
		clear(blocks)
		debug.FreeOSMemory() // before the runtime takes its own
	}
	o := &Model{Checkpoint: c, Special: c.Special, File: m, Context: c.Context()}
	if err := o.run(r, p, f, d); err != nil {
		return nil, withoutKernel("model", m, err)
	}
	return o, nil
}

// nowhere is where a model says that its lent weights are. ONNX Runtime asks that it
// exists; reading it as a file is an error.
const nowhere = "."

// leastLent is the size in bytes from which a weight is lent to a runtime.
const leastLent = 4096

// readInPlace are operators whose large inputs no pass of ONNX Runtime looks into
// while it opens a model. The others need their weights in the file.
var readInPlace = map[string]bool{"MatMulNBits": true, "FusedMatMul": true, "Gather": true}

// lent returns a model as a file in memory. Its large weights are beside it, in the
// memory that they have, for a runtime that takes them so.
func lent(m *onnx.Model, beside bool) (f runtime.File, err error) {
	inside := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		for _, in := range n.Inputs {
			inside[in] = inside[in] || !beside || !readInPlace[n.Op]
		}
	}
	m = onnx.Refer(m, func(t *onnx.Tensor) *onnx.External {
		dtype, err := read.ElementType(t.DataType)
		if err != nil || inside[t.Name] || len(t.Raw) < leastLent {
			return nil
		}
		w := format.Tensor{Name: t.Name, DType: dtype, Data: t.Raw}
		for _, n := range t.Dims {
			w.Shape = append(w.Shape, int(n))
		}
		f.Weights = append(f.Weights, w)
		return &onnx.External{Location: nowhere, Length: int64(len(t.Raw))}
	})
	b := bytes.NewBuffer(make([]byte, 0, m.EncodedSize())) // Grow would clear new memory
	err = m.Encode(b)
	f.Data = b.Bytes()
	return f, err
}

// fixedShapes reports whether all runs that add one token have the same shapes,
// so that CUDA can record one and repeat it.
func fixedShapes(m *onnx.Model) bool { return m.Metadata[role.MetaCache] == role.CacheShared }

// openONNX opens an ONNX file of attnx in a runtime that supports its profile.
func openONNX(path string, d Options, ready func(*Model) error) (*Model, error) {
	m, err := find.ReadModel(path)
	if err != nil {
		return nil, err
	}
	info, err := export.Describe(m)
	if err != nil {
		return nil, &Error{Err: fmt.Errorf("%s: %w", path, err), Do: RunExported}
	}
	if _, train := info.Profile.(export.Train); train {
		return nil, &Error{Err: fmt.Errorf("%s: it holds a training step, and generate needs logits", path), Do: ExportCache}
	}
	o := &Model{Path: path, File: m}
	if _, ok := m.MetadataValue(model.MetaConfig); !ok {
		return nil, &Error{Err: fmt.Errorf("%s: no %.80q in the metadata", path, model.MetaConfig), Do: ExportAgain}
	}
	if o.Checkpoint, err = model.FromMetadata(m.Metadata, len(m.Graph.Initializers)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := checkNetwork(path, m, info, o.Checkpoint); err != nil {
		return nil, err
	}
	o.Special, o.Context = o.Checkpoint.Special, o.Checkpoint.Context()
	if err := ready(o); err != nil {
		return nil, err
	}
	verified, err := find.VerifyWeights(path, m)
	if err != nil {
		return nil, err
	}
	r, err := d.runner(info.Profile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if flat, is := info.Profile.(export.Flat); is {
		if d.Device == "cuda" {
			return nil, &Error{Err: fmt.Errorf("%s: profile flat runs in %s, which has no CUDA", path, r.Name), Do: NotFlatOrCPU}
		}
		o.Context = flat.Length
	}
	if err := r.available(r.options(d)); err != nil {
		return nil, err
	}
	file, err := r.file(path, m)
	if err == nil {
		err = o.run(r, info.Profile, file, d)
	}
	if altered := verified(); altered != nil { // reported first: it may be the reason why the model does not open
		o.Close()
		return nil, altered
	}
	if err != nil {
		return nil, withoutKernel(path, m, err)
	}
	return o, nil
}

// specialOf reads the special ids from the files of the model's folder, as the
// other libraries that open it do. It closes o if they cannot be read.
func (o *Model) specialOf(folder string) error {
	s, err := huggingface.GenerationIDs(folder, o.Checkpoint)
	if err != nil {
		o.Close()
		return err
	}
	if s != nil {
		o.Special = s
	}
	return nil
}

// run opens a file of a profile in a runtime: as a device for decoding if it
// has a past, otherwise as a session.
func (o *Model) run(r row, p export.Profile, f runtime.File, d Options) error {
	how := r.options(d)
	if !isCache(p) {
		s, err := r.Open(f, how)
		if err == nil {
			o.Session, o.Runtime = s, r.placed(s)
		}
		return err
	}
	how.Repeats = fixedShapes(o.File)
	// ONNX Runtime's own form of lent weights would be a second one. MatMulNBits needs it.
	how.Stored = len(f.Weights) > 0 && !slices.ContainsFunc(o.File.Graph.Nodes, func(n *onnx.Node) bool { return n.Op == "MatMulNBits" })
	x, err := r.OpenDevice(f, how)
	if err == nil {
		o.Device, o.Runtime = x, r.placed(x)
	}
	return err
}

// Logits returns the decode.Model for a batch of sequences. To release it,
// close o.
func (o *Model) Logits(batch int) (decode.Model, error) {
	if o.Device == nil {
		return decode.Recompute(o.Session, batch, o.Context), nil
	}
	d, err := decode.Open(o.Device, decode.Options{Batch: batch, Context: o.Context})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Path, err)
	}
	return d, nil
}

// Close closes the model.
func (o *Model) Close() error {
	if o.Device != nil {
		return o.Device.Close()
	}
	if o.Session != nil {
		return o.Session.Close()
	}
	return nil
}
