package attnx

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime"
)

// asText begins an input that is a text: NAME=text:like this.
const asText = "text:"

// maxInputText bounds the bytes of a text.
const maxInputText = 16 << 20

// isText reports whether an input is a text, or a file with one.
func (f File) isText() bool {
	return strings.HasPrefix(f.Path, asText) || strings.EqualFold(filepath.Ext(f.Path), ".txt")
}

// text returns the text.
func (f File) text() (string, error) {
	if text, ok := strings.CutPrefix(f.Path, asText); ok {
		return text, nil
	}
	info, err := os.Stat(f.Path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s: it is not a file: name a text", f.Path)
	case info.Size() > maxInputText:
		return "", fmt.Errorf("%s: it has more than %d bytes: give a shorter text", f.Path, maxInputText)
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxInputText))
	return string(data), err
}

// readText sets an input to the ids of a text, with the special tokens that the
// tokenizer adds, and the inputs that go with it: a mask of ones, positions that count
// from 0, and segments of 0. Where the file fixes the length, the text is padded if
// there is a mask that says so.
func (x *ONNX) readText(f File, tokenizer string, given map[string]format.Tensor, from map[string]string) error {
	v, err := x.input(f.Input)
	if err != nil {
		return err
	}
	if bits, _ := v.DType.Integer(); bits < 16 {
		return fmt.Errorf("%s: input %.80q is %s: the ids of a text are integers", x.Path, f.Input, v)
	}
	if v.Ranked && (len(v.Shape) == 0 || len(v.Shape) > 2 || len(v.Shape) == 2 && v.Shape[0].Name == "" && v.Shape[0].Size != 1) {
		return fmt.Errorf("%s: input %.80q is %s, which one text does not fill: give its ids as a file", x.Path, f.Input, v)
	}
	if r, _ := role.FromName(v.Name); slices.Contains([]role.Kind{role.AttentionMask, role.SourceMask, role.Positions, role.Segments}, r.Kind) {
		return fmt.Errorf("%s: input %.80q goes beside the ids of a text: name the input that takes these", x.Path, f.Input)
	}
	t, where, err := x.tokenizer(tokenizer)
	if err != nil {
		return err
	}
	text, err := f.text()
	if err != nil {
		return err
	}
	if err := find.CheckText(fmt.Sprintf("%s: input %.80q: the text", x.Path, f.Input), text); err != nil {
		return err
	}
	ids := t.AddSpecial(t.Encode(text))
	if len(ids) == 0 {
		return fmt.Errorf("%s: input %.80q: the text has no tokens: give a longer one", x.Path, f.Input)
	}
	length := len(ids)
	if ids, err = x.padded(ids, v, t); err != nil {
		return err
	}
	if given[v.Name], err = x.ids(ids, v, t); err != nil {
		return err
	}
	from[v.Name] = fmt.Sprintf("%d tokens of a text, by %s", length, where)
	x.beside(v, length, len(ids), given, from)
	return nil
}

// input returns the input of a name.
func (x *ONNX) input(name string) (v runtime.Value, err error) {
	for _, in := range x.inputs {
		if in.Name == name {
			return in, nil
		}
	}
	return v, x.known(map[string]format.Tensor{name: {}})
}

// tokenizer returns the tokenizer at a path or, without one, the file's.
func (x *ONNX) tokenizer(path string) (*tokens.Tokenizer, string, error) {
	if path != "" {
		return find.TokenizerAt(path, nil)
	}
	return find.TokenizerNear(x.Path, x.File)
}

// padTokens are the names of padding tokens (transformers' tokenizers).
var padTokens = []string{"<pad>", "[PAD]", "<|pad|>", "<|endoftext|>", "</s>"}

// padded fills ids up to the length that the file fixes.
func (x *ONNX) padded(ids []int64, v runtime.Value, t *tokens.Tokenizer) ([]int64, error) {
	if !v.Ranked || v.Shape[len(v.Shape)-1].Name != "" || v.Shape[len(v.Shape)-1].Size == len(ids) {
		return ids, nil
	}
	length := v.Shape[len(v.Shape)-1].Size
	if len(ids) > length {
		return nil, fmt.Errorf("%s: input %.80q takes %d tokens, the text has %d: shorten it", x.Path, v.Name, length, len(ids))
	}
	if _, ok := x.companion(v, maskOf(v)); ok {
		for _, name := range padTokens {
			if pad, ok := t.ID(name); ok {
				for len(ids) < length {
					ids = append(ids, pad)
				}
				return ids, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: input %.80q takes %d tokens, the text has %d, and no mask or token for padding is known: give a text of %d", x.Path, v.Name, length, len(ids), length)
}

// ids returns the ids as a tensor for an input. It refuses ids that the model does not
// have.
func (x *ONNX) ids(ids []int64, v runtime.Value, t *tokens.Tokenizer) (format.Tensor, error) {
	shape := []int{1, len(ids)}
	if v.Ranked && len(v.Shape) == 1 {
		shape = shape[1:]
	}
	below := x.below(map[string][]int{v.Name: shape}, nil)[v.Name]
	for _, id := range ids {
		if below > 0 && id >= int64(below) {
			return format.Tensor{}, fmt.Errorf("%s: the token %.80q has the id %d, but the model's ids are from 0 to %d: name the model's own tokenizer", x.Path, t.Token(id), id, below-1)
		}
	}
	out, err := asType(format.FromInt64s(v.Name, shape, ids), v.DType)
	if err != nil {
		return out, fmt.Errorf("%s: input %.80q: %w", x.Path, v.Name, err)
	}
	return out, fits(out, v)
}

// maskOf returns what the mask of a text's input is for.
func maskOf(v runtime.Value) role.Kind {
	if r, _ := role.FromName(v.Name); r.Kind == role.SourceTokens {
		return role.SourceMask
	}
	return role.AttentionMask
}

// companion returns the input of a purpose that has the shape of a text's ids.
func (x *ONNX) companion(v runtime.Value, k role.Kind) (runtime.Value, bool) {
	for _, in := range x.inputs {
		r, _ := role.FromName(in.Name)
		if bits, _ := in.DType.Integer(); r.Kind == k && in.Name != v.Name && (len(in.Shape) == len(v.Shape) || !in.Ranked || !v.Ranked) && (bits > 0 || in.DType == format.Bool || in.DType.Float()) {
			return in, true
		}
	}
	return runtime.Value{}, false
}

// beside sets the inputs that go with a text of so many tokens, padded to a length. Of
// a file with a past they are left to be drawn: they depend on it.
func (x *ONNX) beside(v runtime.Value, tokens, length int, given map[string]format.Tensor, from map[string]string) {
	for _, in := range x.inputs {
		if r, _ := role.FromName(in.Name); r.Kind == role.PastKey {
			return
		}
	}
	set := func(k role.Kind, how string, value func(i int) float64) {
		in, ok := x.companion(v, k)
		if _, there := given[in.Name]; !ok || there {
			return
		}
		values := make([]float64, length)
		for i := range values {
			values[i] = value(i)
		}
		t, err := numbersOf(in, given[v.Name].Shape, values)
		if err == nil && fits(t, in) == nil {
			given[in.Name], from[in.Name] = t, how
		}
	}
	set(maskOf(v), "ones for the tokens", func(i int) float64 {
		if i < tokens {
			return 1
		}
		return 0
	})
	if maskOf(v) == role.AttentionMask {
		set(role.Positions, "counted from 0", func(i int) float64 { return float64(i) })
		set(role.Segments, "zeros for one text", func(int) float64 { return 0 })
	}
}

// numbersOf returns numbers as a tensor of an input's type.
func numbersOf(v runtime.Value, shape []int, values []float64) (format.Tensor, error) {
	if v.DType.Float() {
		t, _, err := format.FromFloat64s(v.Name, shape, values).Convert(v.DType)
		return t, err
	}
	t := format.Tensor{Name: v.Name, DType: v.DType, Shape: shape}
	for _, x := range values {
		t.Data = appendInteger(t.Data, v.DType, uint64(x))
	}
	return t, t.Check()
}
