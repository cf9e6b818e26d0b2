package runtime

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// CacheShape describes a graph with a past well enough to run it.
type CacheShape struct {
	Layers, Heads, HeadWidth int          // L, H, D
	Context                  int          // maximum tokens of a sequence
	Positions                bool         // the graph has position_ids as an input
	Window                   bool         // a token sees a fixed number of columns before its own
	Shared                   bool         // past and present are buffers (B,H,Context,D); otherwise (B,H,P,D) and (B,H,P+T,D)
	DType                    format.DType // element type of past and present
	// States are the kinds of the states of a recurrent network, instead of keys and values:
	// (B,HeadWidth) for each layer. It has no mask.
	States []role.Kind
}

// Cached returns a session that computes a text in the given way. It takes
// input_ids (B,T) and returns logits (B,T,V) and the keys and values
// present.N.key and present.N.value (B,H,T,D). Columns without a token are left
// out. If s returns only the logits of the last token, those of the first
// tokens are missing: (B,T',V) for the last T'. s is a session of a graph with
// a past. The caller still closes it.
func Cached(s Session, shape CacheShape, way Way) Session { return &cached{s, shape, way} }

type cached struct {
	session Session
	shape   CacheShape
	way     Way
}

func (c *cached) Close() error { return nil }

func (c *cached) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	ids, batch, length, err := idsOf(inputs)
	if err != nil {
		return nil, err
	}
	if length < 1 || length > c.shape.Context {
		return nil, fmt.Errorf("a text of %d tokens, the model sees 1 to %d", length, c.shape.Context)
	}
	t := &text{
		cached: c, ids: ids, batch: batch, length: length, columns: make([][]int, batch), done: make([]int, batch),
		past: c.shape.empty(batch), known: make([]bool, batch*length),
	}
	for slices.Min(t.done) < length {
		if err := t.run(t.next()); err != nil {
			return nil, fmt.Errorf("%s: with %d columns before: %w", c.way, t.width, err)
		}
	}
	return t.outputs()
}

// The names of the inputs and outputs of a text.
var (
	idsName       = role.Of(role.Tokens).Name()
	maskName      = role.Of(role.AttentionMask).Name()
	positionsName = role.Of(role.Positions).Name()
	logitsName    = role.Of(role.Logits).Name()
)

// pastKinds are the roles of the tensors that a graph keeps for each layer.
var pastKinds = [...]role.Kind{role.PastKey, role.PastValue}

// kinds returns the roles of the tensors that the graph keeps for each layer.
func (c CacheShape) kinds() []role.Kind {
	if len(c.States) > 0 {
		return c.States
	}
	return pastKinds[:]
}

// presentName returns the name of the output that becomes the given past.
func presentName(past string) string {
	r, _ := role.FromName(past)
	present := map[role.Kind]role.Kind{role.PastKey: role.PresentKey, role.PastValue: role.PresentValue, role.PastState: role.PresentState, role.PastCell: role.PresentCell}
	return role.Layered(present[r.Kind], r.Layer).Name()
}

// idsOf returns the token ids of a text (B,T).
func idsOf(inputs map[string]format.Tensor) (ids []int64, batch, length int, err error) {
	in := inputs[idsName]
	if ids, err = in.Int64s(); err != nil || len(in.Shape) != 2 || in.Shape[0] < 1 {
		return nil, 0, 0, fmt.Errorf("%s: %s%v: want int64 (B,T)", idsName, in.DType, in.Shape)
	}
	return ids, in.Shape[0], in.Shape[1], nil
}

// empty returns a past without columns.
func (c CacheShape) empty(batch int) map[string]format.Tensor {
	columns := 0
	if c.Shared {
		columns = c.Context
	}
	return c.past(batch, columns)
}

// past returns a past of zeros with the given number of columns.
func (c CacheShape) past(batch, columns int) map[string]format.Tensor {
	past := map[string]format.Tensor{}
	for i := range c.Layers {
		for _, kind := range c.kinds() {
			shape := []int{batch, c.Heads, columns, c.HeadWidth}
			if len(c.States) > 0 {
				shape = []int{batch, c.HeadWidth}
			}
			n, _ := format.Elements(shape)
			name := role.Layered(kind, i).Name()
			past[name] = format.Tensor{Name: name, DType: c.DType, Shape: shape, Data: make([]byte, n*c.DType.Size())}
		}
	}
	return past
}

// inputs returns the inputs of a graph: ids and positions (B,T), a mask (B,P+T)
// and a past.
func (c CacheShape) inputs(batch int, ids, positions, mask []int64, past map[string]format.Tensor) map[string]format.Tensor {
	in := map[string]format.Tensor{
		idsName: format.FromInt64s(idsName, []int{batch, len(ids) / batch}, ids),
	}
	if len(c.States) == 0 {
		in[maskName] = format.FromInt64s(maskName, []int{batch, len(mask) / batch}, mask)
	}
	if c.Positions {
		in[positionsName] = format.FromInt64s(positionsName, []int{batch, len(ids) / batch}, positions)
	}
	for name, t := range past {
		in[name] = t
	}
	return in
}

// text is a batch that is being computed.
type text struct {
	*cached
	ids           []int64 // (B,T)
	batch, length int
	columns       [][]int // per sequence: the place in the text of every column so far, or hole
	done          []int   // per sequence: tokens already run
	width, runs   int     // columns and runs so far
	past          map[string]format.Tensor
	logits        []byte       // (B,T,V)
	known         []bool       // which of its rows were computed, (B,T)
	vocab         int          // values in a row
	dtype         format.DType // type of these values
}

// run runs n columns of every sequence, (B,n), after the earlier ones. A graph
// with shared buffers gets the sequences one by one unless n is 1.
func (t *text) run(places [][]int) error {
	n := len(places[0])
	for b, p := range places {
		t.columns[b] = append(t.columns[b], p...)
	}
	width := t.width + n
	step := t.batch
	if t.shape.Shared && n > 1 {
		step = 1
	}
	next := map[string]format.Tensor{}
	for from := 0; from < t.batch; from += step {
		if err := t.rows(places, from, from+step, width, next); err != nil {
			return err
		}
	}
	for b, row := range places {
		for _, p := range row {
			if p != hole {
				t.done[b] = p + 1
			}
		}
	}
	t.past, t.width, t.runs = next, width, t.runs+1
	return nil
}

// rows runs columns of the sequences from to to-1, keeps their logits and adds
// their part of the new past to next.
func (t *text) rows(places [][]int, from, to, width int, next map[string]format.Tensor) error {
	n, seen := len(places[0]), width
	if t.shape.Shared {
		seen = t.shape.Context
		if n > 1 {
			seen = width // a prompt has no past
		}
	}
	batch := to - from
	ids, positions, mask := make([]int64, batch*n), make([]int64, batch*n), make([]int64, batch*seen)
	for b := range batch {
		for i, p := range places[from+b] {
			if p != hole {
				ids[b*n+i], positions[b*n+i] = t.ids[(from+b)*t.length+p], int64(p)
			}
		}
		for column, p := range t.columns[from+b] {
			if p != hole || t.shape.Shared { // the only holes are texts that have ended
				mask[b*seen+column] = 1
			}
		}
	}
	past := map[string]format.Tensor{}
	for name, x := range t.past {
		past[name] = rowsOf(x, from, to)
	}
	out, err := t.session.Run(t.shape.inputs(batch, ids, positions, mask, past))
	if err != nil {
		return err
	}
	if err := t.keep(out, places[from:to], from); err != nil {
		return err
	}
	for name, x := range past {
		if !t.shape.Shared && len(t.shape.States) == 0 {
			x.Shape[2] = width
		}
		present, err := presentOf(out, x, t.shape.Shared)
		if err != nil {
			return err
		}
		whole, ok := next[name]
		if !ok {
			whole = format.Tensor{Name: name, DType: present.DType, Shape: slices.Concat([]int{t.batch}, x.Shape[1:])}
		}
		whole.Data = append(whole.Data, present.Data...) // a copy, because the next run overwrites the session's tensor
		next[name] = whole
	}
	return nil
}

// rowsOf returns the part of a tensor that belongs to the sequences from to
// to-1. It shares the tensor's memory.
func rowsOf(t format.Tensor, from, to int) format.Tensor {
	size := len(t.Data) / t.Shape[0]
	t.Data = t.Data[from*size : to*size]
	t.Shape = slices.Concat([]int{to - from}, t.Shape[1:])
	return t
}

// presentOf returns the output that becomes a past of the given shape. With
// inPlace the output must have the type and shape of the past itself.
func presentOf(out map[string]format.Tensor, past format.Tensor, inPlace bool) (format.Tensor, error) {
	present, ok := out[presentName(past.Name)]
	switch {
	case !ok:
		return present, fmt.Errorf("the session gives no output for %s", past.Name)
	case !slices.Equal(present.Shape, past.Shape):
		return present, fmt.Errorf("%s has shape %v, want %v", present.Name, present.Shape, past.Shape)
	case inPlace && present.DType != past.DType:
		return present, fmt.Errorf("%s is %s, the past is %s", present.Name, present.DType, past.DType)
	}
	return present, present.Check()
}

// keep stores the logits of a run of columns, (B,n), of the sequences from
// first on.
func (t *text) keep(out map[string]format.Tensor, places [][]int, first int) error {
	logits, ok := out[logitsName]
	if !ok {
		return fmt.Errorf("the session gives no output %.80q", logitsName)
	}
	batch, n := len(places), len(places[0])
	if len(logits.Shape) != 3 || logits.Shape[0] != batch || logits.Shape[1] != n && logits.Shape[1] != 1 || logits.Shape[2] < 1 {
		return fmt.Errorf("logits have shape %v for %d sequences of %d tokens", logits.Shape, batch, n)
	}
	if err := logits.Check(); err != nil {
		return err
	}
	rows, vocab := logits.Shape[1], logits.Shape[2]
	t.vocab, t.dtype = vocab, logits.DType
	size := vocab * logits.DType.Size()
	if t.logits == nil {
		t.logits = make([]byte, len(t.known)*size)
	}
	if len(t.logits) != len(t.known)*size {
		return fmt.Errorf("logits have %d values of %s, an earlier run had another size", vocab, logits.DType)
	}
	for b, row := range places {
		for i, p := range row {
			if at := i - (n - rows); p != hole && at >= 0 {
				place := (first+b)*t.length + p
				t.known[place] = true
				copy(t.logits[place*size:][:size], logits.Data[(b*rows+at)*size:])
			}
		}
	}
	return nil
}

// outputs returns the logits and the cache of the whole text.
func (t *text) outputs() (map[string]format.Tensor, error) {
	from := t.length // the first row with logits in every sequence
	for from > 0 && t.complete(from-1) {
		from--
	}
	logits := format.Tensor{Name: logitsName, DType: t.dtype, Shape: []int{t.batch, t.length - from, t.vocab}}
	if logits.Data = t.logits; from > 0 {
		size := len(t.logits) / len(t.known)
		logits.Data = make([]byte, 0, t.batch*(t.length-from)*size)
		for b := range t.batch {
			logits.Data = append(logits.Data, t.logits[(b*t.length+from)*size:(b+1)*t.length*size]...)
		}
	}
	out := map[string]format.Tensor{logitsName: logits}
	for name, past := range t.past {
		name = presentName(name)
		if len(t.shape.States) > 0 {
			out[name] = past.WithName(name)
			continue
		}
		x := format.Tensor{Name: name, DType: past.DType, Shape: []int{t.batch, t.shape.Heads, t.length, t.shape.HeadWidth}}
		row := t.shape.HeadWidth * past.DType.Size()
		for i := range t.batch * t.shape.Heads {
			for column, p := range t.columns[i/t.shape.Heads] {
				if p != hole {
					x.Data = append(x.Data, past.Data[(i*past.Shape[2]+column)*row:][:row]...)
				}
			}
		}
		out[name] = x
	}
	return out, nil
}

// complete reports whether every sequence has the logits of the given place.
func (t *text) complete(place int) bool {
	for b := range t.batch {
		if !t.known[b*t.length+place] {
			return false
		}
	}
	return true
}
