package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
)

// CacheShape is what one must know of a graph with a past to run it.
type CacheShape struct {
	Layers, Heads, HeadWidth int          // L, H, D
	Context                  int          // the most tokens of a sequence
	Positions                bool         // it takes position_ids
	Shared                   bool         // past and present are buffers (B,H,Context,D), else (B,H,P,D) and (B,H,P+T,D)
	DType                    format.DType // of past and present
}

// Way is a way to compute a text with a graph that has a past. All of them
// have the same logits and the same keys and values.
type Way string

// The ways. A graph with shared buffers computes each sequence by itself while
// there is more than one new token, and knows no padding.
const (
	Whole        Way = "whole"          // all tokens in one run
	TokenByToken Way = "token by token" // at least the first half in one run, then a token a run
	LeftPadding  Way = "left padding"   // the same, the sequences' halves of different lengths and padded on the left
)

// singles bounds the tokens that have a run each, give or take one: of a long
// text more than its half is in the first run. In GPT-2's context the other 448
// would cost minutes, and differ from these in the length of their past alone.
const singles = 64

// Ways returns the ways in which a graph of this shape is run.
func (c CacheShape) Ways() []Way {
	if c.Shared {
		return []Way{Whole, TokenByToken}
	}
	return []Way{Whole, TokenByToken, LeftPadding}
}

// Cached returns a session that computes a text in the given way: input_ids
// (B,T) to logits, (B,T,V), and the keys and values present.N.key and .value,
// (B,H,T,D), both without padding. Where s gives the logits of the last token
// alone, those of the first tokens are missing: (B,T',V) for the last T'. s is
// a session of a graph with a past and stays the caller's to close.
func Cached(s Session, shape CacheShape, way Way) Session { return &cached{s, shape, way} }

type cached struct {
	session Session
	shape   CacheShape
	way     Way
}

func (c *cached) Close() error { return nil }

func (c *cached) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	in := inputs["input_ids"]
	ids, err := in.Int64s()
	if err != nil || len(in.Shape) != 2 {
		return nil, fmt.Errorf("input_ids: %s%v: want int64 (B,T)", in.DType, in.Shape)
	}
	t := &text{cached: c, ids: ids, batch: in.Shape[0], length: in.Shape[1], logits: map[int][]byte{}}
	if t.length < 1 || t.length > c.shape.Context {
		return nil, fmt.Errorf("a text of %d tokens, the model sees 1 to %d", t.length, c.shape.Context)
	}
	if err := t.begin(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.way, err)
	}
	for !t.done() {
		if err := t.step(); err != nil {
			return nil, fmt.Errorf("%s: token by token, with %d before: %w", c.way, t.width, err)
		}
	}
	return t.outputs()
}

// text is a batch under way.
type text struct {
	*cached
	ids           []int64 // (B,T)
	batch, length int
	first         []int // of each sequence: tokens of the first run
	pad           []int // of each sequence: padding before its first token
	width         int   // columns of the cache so far, with padding
	past          map[string]format.Tensor
	logits        map[int][]byte // by place in (B,T), the rows seen so far
	vocab         int            // numbers in a row,
	dtype         format.DType   // and their type
}

// begin runs the first tokens of every sequence.
func (t *text) begin() error {
	t.first, t.pad = make([]int, t.batch), make([]int, t.batch)
	room := 0 // columns that padding may take
	if t.way == LeftPadding {
		room = min(3, t.shape.Context-t.length)
	}
	for b := range t.first {
		switch t.way {
		case Whole:
			t.first[b] = t.length
		default:
			t.first[b] = max(1, max((t.length+1)/2, t.length-singles)-b%(room/2+1))
		}
	}
	longest := slices.Max(t.first)
	spread := longest - slices.Min(t.first)
	for b := range t.pad {
		t.pad[b] = longest - t.first[b]
		if t.way == LeftPadding {
			t.pad[b] += room - spread
		}
	}
	if t.shape.Shared {
		return t.each()
	}
	width := t.first[0] + t.pad[0]
	t.past = t.empty(t.batch)
	return t.run(t.columns(width, func(b, column int) int { return column - t.pad[b] }), width)
}

// done reports whether every token of every sequence was run.
func (t *text) done() bool {
	for b := range t.pad {
		if t.width-t.pad[b] < t.length {
			return false
		}
	}
	return true
}

// step runs the next token of each sequence. One that has ended is given any.
func (t *text) step() error {
	return t.run(t.columns(1, func(b, _ int) int { return t.width - t.pad[b] }), t.width+1)
}

// empty returns the past of nothing.
func (t *text) empty(batch int) map[string]format.Tensor {
	columns := 0
	if t.shape.Shared {
		columns = t.shape.Context
	}
	past := map[string]format.Tensor{}
	for i := range t.shape.Layers {
		for _, part := range []string{"key", "value"} {
			shape := []int{batch, t.shape.Heads, columns, t.shape.HeadWidth}
			n, _ := format.Elements(shape)
			name := pastName(i, part)
			past[name] = format.Tensor{Name: name, DType: t.shape.DType, Shape: shape, Data: make([]byte, n*t.shape.DType.Size())}
		}
	}
	return past
}

// columns returns the places in the sequences, (B,n), of the tokens of a run;
// what is no token of the sequence is -1.
func (t *text) columns(n int, place func(b, column int) int) []int {
	places := make([]int, t.batch*n)
	for i := range places {
		places[i] = place(i/n, i%n)
		if places[i] < 0 || places[i] >= t.length {
			places[i] = -1
		}
	}
	return places
}

// run runs the tokens at the given places (B,n), behind t.past, so that the
// cache then has the given width, and keeps the logits and the new past.
func (t *text) run(places []int, width int) error {
	n := len(places) / t.batch
	ids, positions := make([]int64, len(places)), make([]int64, len(places))
	for i, p := range places {
		if p >= 0 {
			ids[i], positions[i] = t.ids[i/n*t.length+p], int64(p)
		}
	}
	seen := width
	if t.shape.Shared {
		seen = t.shape.Context
	}
	mask := make([]int64, t.batch*seen)
	for i := range mask {
		if column := i % seen; column >= t.pad[i/seen] && column < width {
			mask[i] = 1
		}
	}
	out, err := t.session.Run(t.inputs(t.batch, ids, positions, mask))
	if err != nil {
		return err
	}
	if err := t.keep(out, t.batch, n, func(i int) int {
		if places[i] < 0 {
			return -1
		}
		return i/n*t.length + places[i]
	}); err != nil {
		return err
	}
	t.width = width
	next := make(map[string]format.Tensor, len(t.past))
	for name, past := range t.past {
		shape := slices.Clone(past.Shape)
		if !t.shape.Shared {
			shape[2] = width
		}
		present, err := presentOf(out, name, shape)
		if err != nil {
			return err
		}
		next[name] = format.Tensor{Name: name, DType: present.DType, Shape: shape, Data: bytes.Clone(present.Data)} // the session's is gone with its next run
	}
	t.past = next
	return nil
}

func (t *text) inputs(batch int, ids, positions, mask []int64) map[string]format.Tensor {
	in := map[string]format.Tensor{
		"input_ids":      format.FromInt64s("input_ids", []int{batch, len(ids) / batch}, ids),
		"attention_mask": format.FromInt64s("attention_mask", []int{batch, len(mask) / batch}, mask),
	}
	if t.shape.Positions {
		in["position_ids"] = format.FromInt64s("position_ids", []int{batch, len(ids) / batch}, positions)
	}
	for name, past := range t.past {
		in[name] = past
	}
	return in
}

// keep takes the logits of a run of batch sequences, n tokens each: place says
// where in (B,T) the i-th of them stands, -1 for none.
func (t *text) keep(out map[string]format.Tensor, batch, n int, place func(i int) int) error {
	logits, ok := out["logits"]
	if !ok {
		return errors.New(`the session gives no output "logits"`)
	}
	if len(logits.Shape) != 3 || logits.Shape[0] != batch || logits.Shape[1] != n && logits.Shape[1] != 1 || logits.Shape[2] < 1 {
		return fmt.Errorf("logits have shape %v for %d sequences of %d tokens", logits.Shape, batch, n)
	}
	if err := logits.Check(); err != nil {
		return err
	}
	rows, vocab := logits.Shape[1], logits.Shape[2]
	t.vocab, t.dtype = vocab, logits.DType
	size := vocab * logits.DType.Size()
	for i := range batch * n {
		row := i%n - (n - rows) // in the logits
		if p := place(i); p >= 0 && row >= 0 {
			t.logits[p] = bytes.Clone(logits.Data[(i/n*rows+row)*size:][:size])
		}
	}
	return nil
}

// each runs the first tokens of the sequences of a shared cache one by one,
// each on its part of the buffers.
func (t *text) each() error {
	whole := t.empty(t.batch)
	for b := range t.batch {
		t.past = t.empty(1)
		n := t.first[b]
		ids, positions, mask := t.ids[b*t.length:][:n], make([]int64, n), make([]int64, n)
		for i := range positions {
			positions[i], mask[i] = int64(i), 1
		}
		out, err := t.session.Run(t.inputs(1, ids, positions, mask))
		if err != nil {
			return err
		}
		if err := t.keep(out, 1, n, func(i int) int { return b*t.length + i }); err != nil {
			return err
		}
		for name, past := range whole {
			present, err := presentOf(out, name, t.past[name].Shape)
			if err != nil {
				return err
			}
			if present.DType != past.DType {
				return fmt.Errorf("%s is %s, the past is %s", present.Name, present.DType, past.DType)
			}
			copy(past.Data[b*len(present.Data):], present.Data)
		}
	}
	t.past, t.width = whole, t.first[0]
	return nil
}

// presentOf returns the output that is the past of the given name in the next
// run, which must have the given shape.
func presentOf(out map[string]format.Tensor, name string, shape []int) (format.Tensor, error) {
	present, ok := out["present"+strings.TrimPrefix(name, "past_key_values")]
	if !ok {
		return present, fmt.Errorf("the session gives no output for %s", name)
	}
	if !slices.Equal(present.Shape, shape) {
		return present, fmt.Errorf("%s has shape %v, want %v", present.Name, present.Shape, shape)
	}
	return present, present.Check()
}

// outputs returns the logits and the cache of the whole text.
func (t *text) outputs() (map[string]format.Tensor, error) {
	first := t.length // the first row from which on every sequence has its logits
	for ; first > 0; first-- {
		complete := true
		for b := range t.batch {
			complete = complete && t.logits[b*t.length+first-1] != nil
		}
		if !complete {
			break
		}
	}
	logits := format.Tensor{Name: "logits", DType: t.dtype, Shape: []int{t.batch, t.length - first, t.vocab}}
	for b := range t.batch {
		for p := first; p < t.length; p++ {
			logits.Data = append(logits.Data, t.logits[b*t.length+p]...)
		}
	}
	out := map[string]format.Tensor{"logits": logits}
	for name, past := range t.past {
		name = "present" + strings.TrimPrefix(name, "past_key_values")
		x := format.Tensor{Name: name, DType: past.DType, Shape: []int{t.batch, t.shape.Heads, t.length, t.shape.HeadWidth}}
		row := t.shape.HeadWidth * past.DType.Size()
		columns := past.Shape[2]
		for i := range t.batch * t.shape.Heads {
			x.Data = append(x.Data, past.Data[(i*columns+t.pad[i/t.shape.Heads])*row:][:t.length*row]...)
		}
		out[name] = x
	}
	return out, nil
}
