package gguf

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/tokens"
)

// Report describes a file that Write wrote.
type Report struct {
	Rounding format.Rounding // of the weights, to the types of the file
	Types    string          // of the tensors, with their number
	Notes    []string        // what llama.cpp does not find in the file
}

// metaCheckpoint is the hash of the weights from which attnx wrote a file.
const metaCheckpoint = model.MetaCheckpoint

// Write writes the model of a checkpoint as a GGUF file with its tokenizer, its
// special ids and its chat template. Matrices have elements of the given type, or
// of a wider one if their rows are no whole blocks of it. Vectors and tables of
// positions are float32, as llama.cpp expects. Equal checkpoints give equal bytes.
// Errors name the file.
//
// A network that GGUF or llama.cpp cannot express is refused: what is written is
// read back as a network, and must have the graph of the checkpoint.
func Write(path string, c *model.Checkpoint, typ blocks.Type) (Report, error) {
	w, err := newWriting(c, typ)
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", path, err)
	}
	err = store.Save(path, func(to io.Writer) error {
		w.report.Rounding = format.Rounding{}
		return blocks.WriteFrom(to, w.metadata, w.infos, w.tensor)
	})
	return w.report, err
}

// Ours reports whether attnx wrote a GGUF file.
func Ours(path string) bool {
	f, err := blocks.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	hash, ok := f.Value(metaCheckpoint).(string)
	return ok && hash != ""
}

// writing is a file in progress.
type writing struct {
	c        *model.Checkpoint
	row      family
	config   map[string]json.RawMessage
	metadata []blocks.Entry
	infos    []blocks.Info
	sources  []format.Tensor // of infos, under the names of the file
	report   Report
}

func newWriting(c *model.Checkpoint, typ blocks.Type) (*writing, error) {
	k := slices.IndexFunc(families, func(f family) bool { return f.name() == c.Arch || slices.Contains(f.also, c.Arch) })
	if k < 0 {
		var written []string
		for _, f := range families {
			written = append(append(written, f.name()), f.also...)
		}
		return nil, fmt.Errorf("attnx writes GGUF files of %s, not of %s: write a folder or an ONNX file", quote.Or(written), quote.String(c.Arch))
	}
	if !typ.Writable() {
		return nil, fmt.Errorf("%s cannot be written: take %s", typ, quote.Or(blocks.Writables()))
	}
	if err := c.Weights.Check(c.Graph); err != nil {
		return nil, err
	}
	if c.Special == nil {
		if t, err := tokens.Parse(c.Tokenizer); err == nil {
			known := *c
			known.Special = model.Spelled(t, c.IDs())
			c = &known
		}
	}
	w := &writing{c: c, row: families[k]}
	if err := json.Unmarshal(c.Config, &w.config); err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	w.put("general.architecture", w.row.arch)
	w.put("general.type", "model")
	w.put("general.file_type", fileTypes[typ])
	if n, _ := typ.Block(); n > 1 {
		w.put("general.quantization_version", uint32(2))
	}
	if err := w.settings(); err != nil {
		return nil, err
	}
	if err := w.tensors(typ); err != nil {
		return nil, err
	}
	if err := w.readBack(); err != nil {
		return nil, err
	}
	w.vocabulary()
	w.put(metaCheckpoint, c.Weights.Hash())
	return w, nil
}

// fileTypes are llama.cpp's numbers of the types of most matrices (llama.h,
// llama_ftype).
var fileTypes = map[blocks.Type]uint32{blocks.F32: 0, blocks.F16: 1, blocks.Q4_0: 2, blocks.Q8_0: 7, blocks.Q5_0: 8, blocks.Q4_K: 14, blocks.BF16: 32}

func (w *writing) put(key string, value any) {
	w.metadata = append(w.metadata, blocks.Entry{Key: key, Value: value})
}

// settings writes the configuration of the network.
func (w *writing) settings() error {
	for _, s := range w.row.members {
		text, ok := w.config[s.member]
		if !ok {
			continue
		}
		key := w.row.arch + "." + s.key
		var x float64
		if err := json.Unmarshal(text, &x); err != nil {
			return fmt.Errorf("%s of the configuration: %w", s.member, err)
		}
		if s.number {
			w.put(key, float32(x))
		} else {
			w.put(key, uint32(min(max(x, 0), math.MaxUint32)))
		}
	}
	if w.row.more != nil {
		if err := w.row.more(w); err != nil {
			return fmt.Errorf("the configuration: %w", err)
		}
	}
	text, ok := w.config["rope_parameters"]
	if !ok {
		return nil
	}
	var r arch.Rope
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("rope_parameters of the configuration: %w", err)
	}
	return w.rope(r, text)
}

// rope writes the settings of rotary positions, whose text is the configuration's.
func (w *writing) rope(r arch.Rope, text []byte) error {
	var width int
	for _, layer := range w.c.Attentions() {
		width, _ = layer.Args[0].Shape[3].Number()
	}
	if r.Partial > 0 {
		width = int(float64(width) * r.Partial)
	}
	prefix := w.row.arch + ".rope."
	w.put(prefix+"dimension_count", uint32(width))
	w.put(prefix+"freq_base", float32(r.Theta))
	switch r.Type {
	case "llama3":
		if !w.row.factors {
			return fmt.Errorf("rope_type of the configuration is llama3, and llama.cpp's %s has no factors of the angles (%s): write a folder or an ONNX file", w.row.arch, ropeFactors)
		}
		w.put(prefix+"scaling.original_context_length", uint32(min(max(r.Original, 0), math.MaxUint32)))
		w.put(metaRope, string(text))
		factors := r.Factors(width)
		w.sources = append(w.sources, format.FromFloat32s(ropeFactors, []int{len(factors)}, factors))
	case "linear", "yarn":
		w.put(prefix+"scaling.type", r.Type)
		w.put(prefix+"scaling.factor", float32(r.Factor))
		if r.Type == "yarn" {
			w.put(prefix+"scaling.original_context_length", uint32(r.Original))
		}
	}
	return nil
}

// tensors decides the names and the types of the tensors.
func (w *writing) tensors(typ blocks.Type) error {
	for k, p := range w.c.Graph.Params {
		w.sources = append(w.sources, w.c.Weights[k].WithName(w.row.names.Replace(p.Name)))
	}
	if w.twice() {
		for k, p := range w.c.Graph.Params {
			if p.Name == w.row.table {
				w.sources = append(w.sources, w.c.Weights[k].WithName(w.row.names.Replace(w.row.head)))
			}
		}
	}
	count := map[blocks.Type]int{}
	for _, t := range w.sources {
		shape := slices.Clone(t.Shape)
		if w.row.turns(w.weight(t.Name)) {
			slices.Reverse(shape)
		}
		of := elementType(typ, t.Name, shape)
		block, size := of.Block()
		n, ok := format.Elements(shape)
		if !ok {
			return fmt.Errorf("tensor %.80q is too large", t.Name)
		}
		count[of]++
		w.infos = append(w.infos, blocks.Info{Name: t.Name, Type: of, Shape: shape, Size: int64(n / block * size)})
	}
	var parts []string
	for _, t := range []blocks.Type{blocks.F32, blocks.F16, blocks.BF16, blocks.Q8_0, blocks.Q5_0, blocks.Q4_0, blocks.Q4_K} {
		if count[t] > 0 {
			what := " tensors"
			if len(parts) > 0 {
				what = ""
			}
			parts = append(parts, fmt.Sprintf("%d%s in %s", count[t], what, t))
		}
	}
	w.report.Types = strings.Join(parts, ", ")
	return nil
}

// weight returns the name in the network of a tensor of the file.
func (w *writing) weight(tensor string) string {
	for _, p := range w.c.Graph.Params {
		if w.row.names.Replace(p.Name) == tensor {
			return p.Name
		}
	}
	return ""
}

// elementType returns the type of a tensor in a file whose matrices have the type
// typ: what convert_hf_to_gguf.py and llama-quantize --pure choose.
func elementType(typ blocks.Type, name string, shape []int) blocks.Type {
	if len(shape) < 2 || name == "position_embd.weight" {
		return blocks.F32
	}
	for _, t := range []blocks.Type{typ, blocks.Q5_0} { // llama-quantize takes it for rows that are no blocks of Q4_K
		block, _ := t.Block()
		if t == typ || typ == blocks.Q4_K {
			if shape[len(shape)-1]%block == 0 {
				return t
			}
		}
	}
	return blocks.F16
}

// tensor returns the bytes of a tensor of the file.
func (w *writing) tensor(k int) ([]byte, error) {
	t, name := w.sources[k], w.weight(w.infos[k].Name)
	if part := w.row.rotates(name); part != "" {
		t = paired(t, w.heads(part))
	}
	if w.row.turns(name) {
		t = transposed(t)
	}
	if has(w.row.mixed, name) {
		t = partFirst(t, w.heads(w.row.mixed[0]))
	}
	if w.row.shifts(name) {
		var err error
		if t, err = plus(t, 1); err != nil {
			return nil, err
		}
	}
	x, err := blocks.Encode(t, w.infos[k].Type)
	if err != nil {
		return nil, err
	}
	if w.infos[k].Type != blocks.F32 {
		err = w.count(t, x)
	}
	return x.Data, err
}

// heads returns the number of heads of a weight whose rows are in pairs.
func (w *writing) heads(part string) (n int) {
	for _, name := range headMembers(part) {
		if text, ok := w.config[name]; ok && json.Unmarshal(text, &n) == nil && n > 0 {
			return n
		}
	}
	return 1
}

// count adds the rounding of a tensor to the report.
func (w *writing) count(t format.Tensor, x blocks.Tensor) error {
	was, err := t.Float32s()
	if err != nil {
		return err
	}
	now := make([]float32, len(was))
	if err := blocks.Dequantize(x.Type, now, x.Data); err != nil {
		return err
	}
	r := format.Rounding{Elements: len(was)}
	for i, x := range was {
		off := math.Abs(float64(now[i]) - float64(x))
		if off == 0 {
			continue
		}
		r.Changed++
		r.MaxAbs = max(r.MaxAbs, off)
		if x != 0 {
			r.MaxRel = max(r.MaxRel, off/math.Abs(float64(x)))
		}
	}
	w.report.Rounding.Add(r)
	return nil
}

// readBack compares the network that Read would find in the file with that of the
// checkpoint.
func (w *writing) readBack() error {
	back, _, _, err := networkOf(w)
	if err != nil {
		return fmt.Errorf("llama.cpp has no such network: %w", err)
	}
	if graph.Fingerprint(back.Graph) == graph.Fingerprint(w.c.Graph) {
		return nil
	}
	var config map[string]json.RawMessage
	var other []string
	if json.Unmarshal(back.Config, &config) == nil {
		for name, text := range w.config {
			if name != "model_type" && string(config[name]) != string(text) {
				other = append(other, fmt.Sprintf("%s %s", name, quote.Line(string(text), 60)))
			}
		}
	}
	slices.Sort(other)
	if len(other) == 0 {
		other = []string{"its graph"}
	}
	return fmt.Errorf("a GGUF file of llama.cpp cannot express %s: write a folder or an ONNX file", strings.Join(other, ", "))
}

// Value, entries, tensorInfos, RawIn and Tensor make what is being written readable.
func (w *writing) Value(key string) any {
	for _, e := range w.metadata {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

// RawIn reports that there are no bytes yet: a head that the network has is not
// compared with the token embedding. Where the file has that twice, they are equal.
func (w *writing) RawIn([]byte, blocks.Info) ([]byte, error) {
	if w.twice() {
		return nil, nil
	}
	return nil, io.EOF
}

// twice reports whether the token embedding is the head too, and is written as both.
func (w *writing) twice() bool { return w.row.table != "" && w.c.Graph.Lookup(w.row.head) == nil }

// Tensor returns a tensor that is not a weight of the network.
func (w *writing) Tensor(i blocks.Info) (format.Tensor, error) {
	for _, t := range w.sources {
		if t.Name == i.Name {
			return t, nil
		}
	}
	return format.Tensor{}, fmt.Errorf("tensor %.80q is missing", i.Name)
}

func (w *writing) contents() ([]blocks.Entry, []blocks.Info) { return w.metadata, w.infos }
