package gguf

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/attnx/attnx/format"
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/internal/memory"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/tokens"
)

// Read returns the model of a GGUF file as a checkpoint at step 0 without
// training state. The notes name what is left out: a tokenizer of a kind that
// attnx does not read. Errors name the file.
func Read(path string) (c *model.Checkpoint, notes []string, err error) {
	return readAs(path, func(*model.Checkpoint) *packing { return nil })
}

// ReadPacked is Read with the quantized matrices that can names, given the graph, in
// their blocks. Their weights in the checkpoint have no data.
func ReadPacked(path string, can func(*graph.Graph) map[string]bool) (c *model.Checkpoint, packed map[string]format.Blocks, notes []string, err error) {
	packed = map[string]format.Blocks{}
	c, notes, err = readAs(path, func(c *model.Checkpoint) *packing { return &packing{can: can(c.Graph), packed: packed} })
	return c, packed, notes, err
}

// packing is which weights stay in blocks, and these, in one of two forms.
type packing struct {
	can    map[string]bool
	packed map[string]format.Blocks // nil: low
	low    lowBits
}

func readAs(path string, how func(*model.Checkpoint) *packing) (c *model.Checkpoint, notes []string, err error) {
	f, err := blocks.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	c, row, s, err := networkOf(fileSource{f})
	if err == nil {
		texts := make(chan error, 1) // the tokenizer takes as long as the weights, and needs others of their parts
		go func() {
			var err error
			notes, err = addTexts(c, f)
			texts <- err
		}()
		err = row.weights(c, s, how(c))
		err = cmp.Or(<-texts, err)
	}
	if err != nil {
		return nil, nil, named(path, err)
	}
	for i, note := range notes {
		notes[i] = path + ": " + note
	}
	return c, notes, nil
}

// Check returns the network of a file, and why Read would not read it as a
// model, by all but the values of its weights.
func Check(path string, f *blocks.File) (arch string, notes []string, err error) {
	c, _, _, err := networkOf(fileSource{f})
	if err == nil {
		var n int
		if n, err = c.Parameters(); err == nil {
			err = fits(int64(n), 4*int64(n))
		}
	}
	if err == nil {
		notes, err = addTexts(c, f)
	}
	if err != nil {
		return "", nil, named(path, err)
	}
	return c.Arch, notes, nil
}

// named adds the file to an error that does not name it.
func named(path string, err error) error {
	var bad *blocks.FormatError
	var unsupported *blocks.UnsupportedError
	switch {
	case errors.As(err, &bad):
		if bad.File == "" {
			bad.File = path
		}
		return err
	case errors.As(err, &unsupported):
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// addTexts reads the tokenizer, the special ids and tokens, and the chat
// template.
func addTexts(c *model.Checkpoint, f *blocks.File) (notes []string, err error) {
	if c.Special, err = special(f, c.Vocab()); err != nil {
		return nil, err
	}
	var other *errNotRead
	var read *tokens.Tokenizer
	if c.Tokenizer, read, err = tokenizer(f); errors.As(err, &other) {
		notes, err = append(notes, other.reason+": the model has no tokenizer"), nil
	}
	c.Keep(read)
	if template, ok := f.Value(keyChat).(string); ok && err == nil {
		c.ChatTemplate = template
		err = model.CheckTemplate(template)
	}
	return notes, err
}

// fits refuses weights, of so many bytes, that do not fit in the free memory.
func fits(weights, size int64) error {
	if free := memory.Free(); free > 0 && size > free {
		return fmt.Errorf("its %s weights take %d MB, %d MB are free: take a smaller model", quote.Count(int(weights)), size/1e6, free/1e6)
	}
	return nil
}

// source is a file that is open, or one that is being written.
type source interface {
	Value(key string) any
	RawIn(buffer []byte, i blocks.Info) ([]byte, error)
	Tensor(i blocks.Info) (format.Tensor, error)
	contents() ([]blocks.Entry, []blocks.Info)
}

type fileSource struct{ *blocks.File }

func (f fileSource) contents() ([]blocks.Entry, []blocks.Info) { return f.Metadata, f.Tensors }

func networkOf(f source) (*model.Checkpoint, family, *settings, error) {
	fail := func(format string, args ...any) (*model.Checkpoint, family, *settings, error) {
		return nil, family{}, nil, fmt.Errorf(format, args...)
	}
	name, _ := f.Value("general.architecture").(string)
	k := slices.IndexFunc(families, func(f family) bool { return f.arch == name })
	switch {
	case name == "":
		return fail("it names no general.architecture: it holds no model")
	case integer(f.Value("split.count")) > 1:
		return fail("it is one part of %d: join them with llama-gguf-split --merge", integer(f.Value("split.count")))
	case k < 0:
		return fail("its architecture is %s, attnx reads %s: convert the model's Hugging Face folder instead", quote.String(name), quote.Or(names()))
	}
	row := families[k]
	s := &settings{f: f, arch: name, tensors: map[string]blocks.Info{}, read: map[string]bool{}}
	_, infos := f.contents()
	for _, i := range infos {
		s.tensors[i.Name] = i
	}
	n := row.network(s)
	if s.rest(); s.err != nil {
		return nil, row, s, s.err
	}
	if deep, ok := n.(interface{ Depth() int }); ok && deep.Depth() > len(infos) {
		return fail("%s.block_count is %d, and the file has %d tensors: it is damaged; take another copy", name, deep.Depth(), len(infos))
	}
	c, err := model.Of(n)
	return c, row, s, err
}

// names lists the architectures.
func names() (list []string) {
	for _, f := range families {
		list = append(list, f.arch)
	}
	return list
}

// weights reads the weights of the model, those of p in blocks. All shapes are
// checked before the first is read.
func (row family) weights(c *model.Checkpoint, s *settings, p *packing) error {
	left := map[string]bool{ropeFactors: true}
	for name := range s.tensors {
		left[name] = true
	}
	delete(left, ropeFactors)
	if c.Graph.Lookup(row.head) == nil {
		delete(left, row.names.Replace(row.head))
	}
	infos := make([]blocks.Info, len(c.Graph.Params))
	for k, p := range c.Graph.Params {
		name := row.names.Replace(p.Name)
		i, ok := s.tensors[name]
		if !ok {
			return fmt.Errorf("tensor %.80q is missing: the file is incomplete; take another copy", name)
		}
		delete(left, name)
		shape := slices.Clone(i.Shape)
		if row.turns(p.Name) {
			slices.Reverse(shape)
		}
		if !p.Shape.Equal(graph.Numbers(shape...)) {
			return fmt.Errorf("tensor %.80q has shape %v, its network expects %s: the file is damaged; take another copy", name, i.Shape, p.Shape)
		}
		infos[k] = i
	}
	for name := range left {
		return fmt.Errorf("tensor %.80q is no weight of the architecture %s: convert the model's Hugging Face folder instead", name, row.arch)
	}
	var count, size int64
	for k, i := range infos {
		n := int64(i.Elements())
		count += n
		if size += 4 * n; p.takes(row, c.Graph.Params[k].Name, i) {
			size -= 4*n - blocks.PackedSize(i.Type, n)
		}
	}
	if err := fits(count, size); err != nil {
		return err
	}
	c.Weights = make(model.Weights, len(infos))
	var buffer []byte
	for k, i := range infos {
		name := c.Graph.Params[k].Name
		if p.takes(row, name, i) {
			var err error
			if buffer, err = s.f.RawIn(buffer, i); err == nil {
				t := row.ordered(s, format.Tensor{Name: name, DType: format.Float32, Shape: i.Shape, Data: buffer})
				if p.low != nil {
					err = p.low.add(name, i.Type, t.Data)
				} else {
					p.packed[name], err = blocks.Pack(i.Type, i.Shape[0], i.Shape[1], t.Data)
				}
			}
			if err != nil {
				return err
			}
			c.Weights[k] = format.Tensor{Name: name, DType: format.Float32, Shape: i.Shape}
			continue
		}
		t, err := s.f.Tensor(i)
		if err != nil {
			return err
		}
		t = row.ordered(s, t.WithName(name))
		if row.shifts(name) {
			if t, err = plus(t, -1); err != nil {
				return err
			}
		}
		c.Weights[k] = t.WithName(name)
	}
	return nil
}

// takes reports whether a weight stays in the blocks that it has in the file.
func (p *packing) takes(row family, weight string, i blocks.Info) bool {
	if p == nil || !p.can[weight] {
		return false
	}
	if p.low != nil && !blocks.Splits(i.Type) || p.low == nil && !blocks.Packs(i.Type) {
		return false
	}
	return len(i.Shape) == 2 && !row.turns(weight) && !row.shifts(weight)
}

// ordered returns a weight with its rows in the order of the network, and
// transposed if it is transposed in the file. Its rows may be in blocks.
func (row family) ordered(s *settings, t format.Tensor) format.Tensor {
	if part := row.rotates(t.Name); part != "" {
		heads := s.sizeOr("attention.head_count", 1)
		if strings.Contains(part, "k_proj") {
			heads = s.sizeOr("attention.head_count_kv", heads)
		}
		t = unpaired(t, heads)
	}
	if row.turns(t.Name) {
		t = transposed(t)
	}
	if has(row.mixed, t.Name) {
		t = headFirst(t, s.sizeOr("attention.head_count", 1))
	}
	return t
}

// turns reports whether a weight is transposed in a file.
func (row family) turns(weight string) bool {
	return slices.ContainsFunc(row.turned, func(end string) bool { return strings.HasSuffix(weight, end) })
}

// shifts reports whether a weight has 1 more in a file.
func (row family) shifts(weight string) bool {
	return row.shifted != "" && strings.HasSuffix(weight, row.shifted)
}

// rotates returns the part of a weight's name by which its rows are in pairs; ""
// if they are not.
func (row family) rotates(weight string) string {
	for _, part := range row.rotated {
		if strings.Contains(weight, part) {
			return part
		}
	}
	return ""
}

// unpaired undoes what converters do to queries and keys of Llama
// (convert_hf_to_gguf.py, permute). ggml rotates elements 2i and 2i+1 of a head,
// transformers elements i and i+D/2, so the rows of a head are in pairs.
func unpaired(t format.Tensor, heads int) format.Tensor {
	d := t.Shape[0] / heads
	return rows(t, func(r int) int {
		h, half, i := r/d, r%d/(d/2), r%(d/2)
		return h*d + 2*i + half
	})
}

// paired does what converters do: see unpaired.
func paired(t format.Tensor, heads int) format.Tensor {
	d := t.Shape[0] / heads
	return rows(t, func(r int) int {
		h, i, half := r/d, r%d/2, r%2
		return h*d + half*(d/2) + i
	})
}

// rows returns a tensor whose row r is the row from(r) of t.
func rows(t format.Tensor, from func(r int) int) format.Tensor {
	row := len(t.Data) / t.Shape[0] // bytes
	out := make([]byte, 0, len(t.Data))
	for r := range t.Shape[0] {
		k := from(r)
		out = append(out, t.Data[k*row:(k+1)*row]...)
	}
	t.Data = out
	return t
}

// transposed returns a matrix of float32 with its axes swapped.
func transposed(t format.Tensor) format.Tensor {
	rows, columns := t.Shape[0], t.Shape[1]
	out := make([]byte, len(t.Data))
	for r := range rows {
		for c := range columns {
			copy(out[4*(c*rows+r):][:4], t.Data[4*(r*columns+c):])
		}
	}
	return format.Tensor{Name: t.Name, DType: t.DType, Shape: []int{columns, rows}, Data: out}
}

// special returns the special ids of a file. Ids outside the vocabulary never
// occur and are left out.
func special(f *blocks.File, vocab int) (*model.Special, error) {
	id := func(name string) *int64 {
		n := integer(f.Value("tokenizer.ggml." + name + "_token_id"))
		if n < 0 || n >= min(vocab, math.MaxInt32) {
			return nil
		}
		wide := int64(n)
		return &wide
	}
	s := &model.Special{Begin: id("bos"), Pad: id("padding")}
	for _, name := range []string{"eos", "eot", "eom"} {
		if end := id(name); end != nil && !slices.Contains(s.End, *end) {
			s.End = append(s.End, *end)
		}
	}
	list, _ := f.Value(keyTokens).([]string)
	for name, token := range map[string]*string{"bos": &s.Tokens.Begin, "eos": &s.Tokens.End, "padding": &s.Tokens.Pad, "unknown": &s.Tokens.Unknown} {
		if n := integer(f.Value("tokenizer.ggml." + name + "_token_id")); n >= 0 && n < len(list) && len(list[n]) <= model.MaxSpecialBytes && utf8.ValidString(list[n]) {
			*token = list[n]
		}
	}
	return s, s.Check(vocab)
}
