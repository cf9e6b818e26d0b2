package gguf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/arch"
)

// settings reads the settings of an architecture from a file's metadata. The
// first error stays.
type settings struct {
	f       source
	arch    string
	tensors map[string]blocks.Info
	read    map[string]bool // names of settings, without the prefix
	err     error
}

func (s *settings) has(tensor string) bool {
	_, ok := s.tensors[tensor]
	return ok
}

func (s *settings) fail(name, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%s.%s is %s", s.arch, name, fmt.Sprintf(format, args...))
	}
}

// show formats a value for a message: an array by its type, as it may be long.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return quote.String(v)
	case uint8, int8, uint16, int16, uint32, int32, uint64, int64, float32, float64, bool:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("of type %T", v)
}

// value returns a setting, nil if the file does not have it.
func (s *settings) value(name string) any {
	s.read[name] = true
	return s.f.Value(s.arch + "." + name)
}

// integer returns a number, of any type of integer, and -1 for what is none.
// Numbers beyond those of sizes are cut: checks of the network refuse them.
func integer(v any) int {
	const most = math.MaxInt32
	switch n := v.(type) {
	case uint32:
		return int(min(n, most))
	case int32:
		return int(n)
	case uint64:
		return int(min(n, most))
	case int64:
		return int(min(max(n, -1), most))
	case uint16:
		return int(n)
	case int16:
		return int(n)
	case uint8:
		return int(n)
	case int8:
		return int(n)
	case []uint32: // of each layer: supported where all are the same
		return equal(n)
	case []int32:
		return equal(n)
	}
	return -1
}

func equal[T uint32 | int32](list []T) int {
	if len(list) == 0 || slices.Max(list) != slices.Min(list) {
		return -1
	}
	return integer(list[0])
}

// size returns a setting that must be there, a positive number.
func (s *settings) size(name string) int { return s.sizeOr(name, -1) }

// sizeOr returns a setting, or without it the given one.
func (s *settings) sizeOr(name string, missing int) int {
	v := s.value(name)
	if v == nil && missing > 0 {
		return missing
	}
	if v == nil {
		s.fail(name, "missing: the file is incomplete; take another copy")
		return -1
	}
	n := integer(v)
	if n < 1 {
		s.fail(name, "%s: expected a positive number, the same for all layers", show(v))
	}
	return n
}

// expect refuses a setting that is there and has another value.
func (s *settings) expect(name string, want int) {
	if v := s.value(name); v != nil && integer(v) != want {
		s.fail(name, "%s: only %d is supported", show(v), want)
	}
}

// number returns a setting that must be there.
func (s *settings) number(name string) float64 { return s.numberOr(name, math.NaN()) }

// numberOr returns a setting, or without it the given one.
func (s *settings) numberOr(name string, missing float64) float64 {
	switch x := s.value(name).(type) {
	case float32: // written in decimal, as 1e-5 in config.json: the nearest short number
		y, _ := strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64)
		return y
	case float64:
		return x
	case nil:
		if math.IsNaN(missing) {
			s.fail(name, "missing: the file is incomplete; take another copy")
		}
		return missing
	}
	s.fail(name, "%s: expected a number", show(s.value(name)))
	return 0
}

// vocab returns the number of rows of the token embedding.
func (s *settings) vocab() int {
	s.value("vocab_size") // llama.cpp takes the number of tokens instead
	if t := s.tensors["token_embd.weight"]; len(t.Shape) == 2 {
		return t.Shape[0]
	}
	return 0 // refused by the network's check
}

// tied reports whether the head is the token embedding: files leave it out, or
// have it twice.
func (s *settings) tied() bool {
	head, ok := s.tensors["output.weight"]
	if !ok {
		return true
	}
	table, ok := s.tensors["token_embd.weight"]
	if !ok || table.Type != head.Type || !slices.Equal(table.Shape, head.Shape) {
		return false
	}
	a, err := s.f.RawIn(nil, table)
	if err != nil {
		return false // read again, and reported, as a weight
	}
	b, err := s.f.RawIn(nil, head)
	return err == nil && bytes.Equal(a, b)
}

// decoder are the settings of a network in the manner of Llama.
type decoder struct {
	vocab, context, width, inner, layers, heads, groups, headWidth int
	epsilon                                                        float64
	rope                                                           arch.Rope
}

func (s *settings) decoder() decoder {
	d := decoder{
		vocab: s.vocab(), context: s.size("context_length"), width: s.size("embedding_length"), inner: s.size("feed_forward_length"), layers: s.size("block_count"),
		heads: s.size("attention.head_count"), epsilon: s.number("attention.layer_norm_rms_epsilon"),
	}
	d.groups = s.sizeOr("attention.head_count_kv", d.heads)
	d.headWidth = s.sizeOr("attention.key_length", d.width/max(d.heads, 1))
	s.expect("attention.value_length", d.headWidth)
	s.expect("rope.dimension_count", d.headWidth)
	s.expect("expert_count", 0)
	s.expect("expert_used_count", 0)
	d.rope = s.rope(d)
	return d
}

// rope returns the settings of rotary positions.
func (s *settings) rope(d decoder) arch.Rope {
	r := arch.Rope{Type: "default", Theta: s.numberOr("rope.freq_base", 10000)}
	s.value("rope.scaling.finetuned") // about the training
	kind := "none"
	if v := s.value("rope.scaling.type"); v != nil {
		kind, _ = v.(string)
	}
	linear := s.numberOr("rope.scale_linear", 1) // the older name
	factor := s.numberOr("rope.scaling.factor", linear)
	original := s.sizeOr("rope.scaling.original_context_length", d.context)
	switch {
	case kind == "none" && s.value("rope.scaling.type") == nil && factor != 1, kind == "linear": // llama.cpp's default is linear
		if factor != 1 {
			r.Type, r.Factor = "linear", factor
		}
	case kind == "yarn":
		r.Type, r.Factor, r.Original = kind, factor, original
	case kind != "none":
		s.fail("rope.scaling.type", "%.80q: supported are none, linear, yarn", kind)
	}
	if s.has(ropeFactors) && s.err == nil {
		s.err = s.llama3(&r, d, original)
	}
	return r
}

// ropeFactors is the tensor by whose elements the angles of rotary positions are
// divided. Converters make it of the settings of Llama 3.1, which the file does
// not have.
const ropeFactors = "rope_freqs.weight"

// metaRope are the settings from which attnx made the factors, as JSON. They count if
// they give these factors.
const metaRope = "attnx.rope_parameters"

// llama3 sets the settings from which a converter made the factors: those in the file
// or, with the limits 1 and 4 that all models of Llama 3.1 to 3.3 have, the largest
// factor and a length that gives the factors.
func (s *settings) llama3(r *arch.Rope, d decoder, original int) error {
	t, err := s.f.Tensor(s.tensors[ropeFactors])
	if err != nil {
		return err
	}
	factors, err := t.Float32s()
	if err != nil {
		return err
	}
	largest := slices.Max(append([]float32{1}, factors...))
	switch {
	case len(factors) != d.headWidth/2 || len(factors) == 0:
		return fmt.Errorf("%s has %d elements, %d are expected: half of a head", ropeFactors, len(factors), d.headWidth/2)
	case largest == 1 && slices.Min(factors) == 1:
		return nil
	case r.Type != "default":
		return fmt.Errorf("%s and %s.rope.scaling.type %s are both there: only one is supported", ropeFactors, s.arch, r.Type)
	}
	if text, ok := s.f.Value(metaRope).(string); ok {
		c := arch.Rope{}
		if json.Unmarshal([]byte(text), &c) == nil && c.Type == "llama3" && c.Theta == r.Theta && c.Partial == 0 && c.MatchesFactors(d.headWidth, factors) {
			*r = c
			return nil
		}
	}
	c := arch.Rope{Type: "llama3", Theta: r.Theta, Factor: float64(largest), Low: 1, High: 4}
	for _, c.Original = range append([]int{8192, original, d.context}, c.Originals(d.headWidth, factors)...) {
		if c.MatchesFactors(d.headWidth, factors) {
			*r = c
			return nil
		}
	}
	return fmt.Errorf("%s holds factors that no original length gives with Llama 3.1's low_freq_factor 1 and high_freq_factor 4, and attnx holds no others: convert the model's Hugging Face folder instead", ropeFactors)
}

// rest refuses a setting that is not understood.
func (s *settings) rest() {
	metadata, _ := s.f.contents()
	for _, e := range metadata {
		name, ours := strings.CutPrefix(e.Key, s.arch+".")
		if ours && !s.read[name] && s.err == nil && name != "tensor_data_layout" {
			s.fail(quote.Line(name, 80), "%s: attnx does not know this setting; convert the model's Hugging Face folder instead", show(e.Value))
		}
	}
}
