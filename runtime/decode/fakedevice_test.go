package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
)

var errGone = errors.New("the device is gone")

// fakeDevice runs a network on what is bound, the way the layout says, and
// writes down every call. It refuses what a model could not run.
type fakeDevice struct {
	network
	fakeModel
	visible bool // the processor can reach the memory
	silent  bool // no record
	lazy    bool // Run computes nothing

	in, out  []binding
	memories int
	calls    []string
	count    int // of calls that can fail
	failAt   int // the call that fails, counted from 1
	runs     int
	up, down int // bytes
	replays  map[int]string
	poison   float32 // if not 0, what the first logit of every row is
	closed   int
}

// fakeModel is what the file of a fakeDevice says.
type fakeModel struct {
	inputs, outputs []runtime.Value
	metadata        map[string]string
	dtype           format.DType
	lastOnly        bool
}

type fakeMemory struct {
	data    []byte
	number  int
	visible bool
}

func (m *fakeMemory) Size() int { return len(m.data) }
func (m *fakeMemory) Bytes() []byte {
	if !m.visible {
		return nil
	}
	return m.data
}

type binding struct {
	memory *fakeMemory
	offset int
	shape  []int
}

// declare returns the model that a network is exported to: values in an order
// of their own, with names of their own for the sizes.
func (n network) declare(kind string, lastOnly, positions bool, dtype format.DType) fakeModel {
	dim := func(name string) runtime.Dim { return runtime.Dim{Name: name} }
	size := func(n int) runtime.Dim { return runtime.Dim{Size: n} }
	batch, tokens, past, total := dim("batch_size"), dim("sequence_length"), dim("past_sequence_length"), dim("total_sequence_length")
	if kind == role.CacheShared {
		past = dim("max_sequence_length")
	}
	m := fakeModel{metadata: map[string]string{role.MetaCache: kind}, dtype: dtype, lastOnly: lastOnly}
	if kind == "" {
		m.metadata = nil
	}
	value := func(name string, t format.DType, shape ...runtime.Dim) runtime.Value {
		return runtime.Value{Name: name, DType: t, Shape: shape, Ranked: true}
	}
	for l := range n.layers {
		for _, part := range []string{"value", "key"} {
			after := total
			if kind == role.CacheShared {
				after = past
			}
			m.inputs = append(m.inputs, value(fmt.Sprintf("past_key_values.%d.%s", l, part), dtype, batch, size(n.heads), past, size(n.width)))
			m.outputs = append(m.outputs, value(fmt.Sprintf("present.%d.%s", l, part), dtype, batch, size(n.heads), after, size(n.width)))
		}
	}
	m.inputs = append(m.inputs, value("attention_mask", format.Int64, batch, total), value("input_ids", format.Int64, batch, tokens))
	if positions {
		m.inputs = append(m.inputs, value("position_ids", format.Int64, batch, tokens))
	}
	rows := tokens
	if lastOnly {
		rows = size(1)
	}
	m.outputs = append(m.outputs, value("logits", format.Float32, batch, rows, size(n.vocab)))
	return m
}

func newFakeDevice(n network, m fakeModel, visible bool) *fakeDevice {
	return &fakeDevice{network: n, fakeModel: m, visible: visible, replays: map[int]string{},
		in: make([]binding, len(m.inputs)), out: make([]binding, len(m.outputs))}
}

func (d *fakeDevice) Inputs() []runtime.Value  { return d.inputs }
func (d *fakeDevice) Outputs() []runtime.Value { return d.outputs }
func (d *fakeDevice) Metadata(key string) (string, bool) {
	v, ok := d.metadata[key]
	return v, ok
}

func (d *fakeDevice) note(format string, args ...any) {
	d.calls = append(d.calls, fmt.Sprintf(format, args...))
}

// call counts a call and says whether it fails.
func (d *fakeDevice) call() error {
	d.count++
	if d.closed > 0 {
		return errors.New("used after close")
	}
	if d.count == d.failAt {
		return errGone
	}
	return nil
}

func (d *fakeDevice) Alloc(n int) (runtime.Memory, error) {
	if !d.silent {
		d.note("alloc %d", n)
	}
	if err := d.call(); err != nil {
		return nil, err
	}
	if n < 0 || n > 1<<30 {
		return nil, errors.New("out of memory")
	}
	m := &fakeMemory{data: bytesOf(make([]int64, (n+7)/8))[:n], number: d.memories, visible: d.visible}
	d.memories++
	return m, nil
}

func (d *fakeDevice) BindInput(i int, m runtime.Memory, offset int, shape []int) error {
	return d.bind("in", d.inputs[i], &d.in[i], m, offset, shape)
}

func (d *fakeDevice) BindOutput(i int, m runtime.Memory, offset int, shape []int) error {
	return d.bind("out", d.outputs[i], &d.out[i], m, offset, shape)
}

func (d *fakeDevice) bind(kind string, v runtime.Value, b *binding, m runtime.Memory, offset int, shape []int) error {
	memory := m.(*fakeMemory)
	if !d.silent {
		d.note("%s %s m%d+%d %v", kind, v.Name, memory.number, offset, shape)
	}
	if err := d.call(); err != nil {
		return err
	}
	n, ok := format.Elements(shape)
	if !ok || len(shape) != len(v.Shape) || offset < 0 || offset+n*v.DType.Size() > len(memory.data) {
		return fmt.Errorf("%s %s: %v at %d of %d bytes", kind, v.Name, shape, offset, len(memory.data))
	}
	b.memory, b.offset, b.shape = memory, offset, append(b.shape[:0], shape...)
	return nil
}

func (d *fakeDevice) Write(m runtime.Memory, offset int, src []byte) error {
	if !d.silent {
		d.note("write m%d+%d %d bytes", m.(*fakeMemory).number, offset, len(src))
	}
	if err := d.call(); err != nil {
		return err
	}
	d.up += len(src)
	if copy(m.(*fakeMemory).data[offset:], src) != len(src) {
		return errors.New("write beyond the memory")
	}
	return nil
}

func (d *fakeDevice) Read(m runtime.Memory, offset int, dst []byte) error {
	if !d.silent {
		d.note("read m%d+%d %d bytes", m.(*fakeMemory).number, offset, len(dst))
	}
	if err := d.call(); err != nil {
		return err
	}
	d.down += len(dst)
	if copy(dst, m.(*fakeMemory).data[offset:]) != len(dst) {
		return errors.New("read beyond the memory")
	}
	return nil
}

func (d *fakeDevice) Close() error { d.closed++; return nil }

func (d *fakeDevice) input(name string) binding {
	return d.in[slices.IndexFunc(d.inputs, func(v runtime.Value) bool { return v.Name == name })]
}

func (d *fakeDevice) output(name string) binding {
	return d.out[slices.IndexFunc(d.outputs, func(v runtime.Value) bool { return v.Name == name })]
}

func (d *fakeDevice) Run(replay int) error {
	if !d.silent {
		d.note("run %d", replay)
	}
	if err := d.call(); err != nil {
		return err
	}
	d.runs++
	if d.lazy {
		return nil
	}
	for i, b := range slices.Concat(d.in, d.out) {
		if b.memory == nil {
			return fmt.Errorf("value %d is not bound", i)
		}
	}
	if replay > 0 {
		var key strings.Builder
		for _, b := range slices.Concat(d.in, d.out) {
			fmt.Fprintf(&key, "m%d+%d %v ", b.memory.number, b.offset, b.shape)
		}
		if was, ok := d.replays[replay]; ok && was != key.String() {
			return fmt.Errorf("replay %d was %s and is %s", replay, was, key.String())
		}
		d.replays[replay] = key.String()
	}
	return d.compute()
}

// compute runs the network for every sequence.
func (d *fakeDevice) compute() error {
	ids, mask := d.input("input_ids"), d.input("attention_mask")
	batch, tokens, columns := ids.shape[0], ids.shape[1], mask.shape[1]
	shared := d.metadata[role.MetaCache] == role.CacheShared
	past := columns - tokens
	if shared {
		past = d.input("past_key_values.0.key").shape[2]
		if tokens > 1 && batch > 1 {
			return errors.New("several tokens of several sequences")
		}
	}
	rows := tokens
	if d.lastOnly {
		rows = 1
	}
	logits := d.output("logits")
	if mask.shape[0] != batch || past < 0 || columns > d.context || !slices.Equal(logits.shape, []int{batch, rows, d.vocab}) {
		return fmt.Errorf("ids %v, mask %v, logits %v", ids.shape, mask.shape, logits.shape)
	}
	for b := range batch {
		seen := make([]bool, columns) // by the mask
		ones := 0
		for j := range seen {
			v := mask.int(b*columns + j)
			if v != 0 && v != 1 {
				return fmt.Errorf("mask is %d", v)
			}
			if seen[j] = v == 1; seen[j] {
				ones++
			}
		}
		first := past // the column of the first new token
		if shared {
			if first = ones - tokens; first < 0 || slices.Contains(seen[:ones], false) {
				return fmt.Errorf("%d tokens, mask %v", tokens, seen)
			}
		}
		last, err := d.sequence(b, first, tokens, past, seen)
		if err != nil {
			return err
		}
		for r := range rows {
			row := d.logits(last[tokens-rows+r])
			if d.poison != 0 {
				row[0] = d.poison
			}
			for v, x := range row {
				logits.set(format.Float32, (b*rows+r)*d.vocab+v, math.Float32bits(x))
			}
		}
	}
	return nil
}

// sequence runs the tokens of sequence b, which go to the columns from first
// on, and returns their last states.
func (d *fakeDevice) sequence(b, first, tokens, past int, seen []bool) ([][]int, error) {
	shared := d.metadata[role.MetaCache] == role.CacheShared
	states := make([][]int, tokens)
	for i := range states {
		at := b*tokens + i
		position := 0 // by the mask: the tokens seen before
		for _, v := range seen[:first+i] {
			if v {
				position++
			}
		}
		if j := slices.IndexFunc(d.inputs, func(v runtime.Value) bool { return v.Name == "position_ids" }); j >= 0 {
			if !slices.Equal(d.in[j].shape, d.input("input_ids").shape) {
				return nil, fmt.Errorf("positions %v", d.in[j].shape)
			}
			position = d.in[j].int(at)
		}
		id := d.input("input_ids").int(at)
		if id < 0 || id >= d.vocab || position < 0 || position >= d.context {
			return nil, fmt.Errorf("id %d at position %d", id, position)
		}
		states[i] = d.embed(id, position)
	}
	for layer := range d.layers {
		pairs := [2]ends{d.ends(layer, "key"), d.ends(layer, "value")}
		after := past
		if !shared {
			after += tokens
		}
		for _, p := range pairs {
			same := p.in.memory == p.out.memory && p.in.offset == p.out.offset
			if same != shared || p.in.memory == p.out.memory && !shared || p.in.shape[2] != past || p.out.shape[2] != after || p.in.shape[1] != d.heads || p.in.shape[3] != d.width {
				return nil, fmt.Errorf("past m%d+%d %v, present m%d+%d %v", p.in.memory.number, p.in.offset, p.in.shape, p.out.memory.number, p.out.offset, p.out.shape)
			}
		}
		var cached [2][][]int // keys and values, by column
		for i, p := range pairs {
			columns := first + tokens
			cached[i] = make([][]int, columns)
			for j := range columns {
				if j < first {
					cached[i][j] = d.vector(p.in, b, j, past)
				} else if i == 0 {
					cached[i][j] = d.key(layer, states[j-first])
				} else {
					cached[i][j] = d.value(layer, states[j-first])
				}
				if j >= first || !shared {
					for e, x := range cached[i][j] {
						head, w := e/d.width, e%d.width
						p.out.set(d.dtype, ((b*d.heads+head)*after+j)*d.width+w, d.encode(x))
					}
				}
			}
		}
		next := make([][]int, tokens)
		for i, x := range states {
			sum := make([]int, d.size())
			for j := range first + i + 1 {
				if shared || seen[j] {
					d.attend(sum, x, cached[0][j], cached[1][j])
				}
			}
			next[i] = d.add(x, sum)
		}
		states = next
	}
	return states, nil
}

type ends struct{ in, out binding }

func (d *fakeDevice) ends(layer int, part string) ends {
	return ends{d.input(fmt.Sprintf("past_key_values.%d.%s", layer, part)), d.output(fmt.Sprintf("present.%d.%s", layer, part))}
}

// vector returns what the cache holds for column j of sequence b.
func (d *fakeDevice) vector(in binding, b, j, past int) []int {
	x := make([]int, d.size())
	for e := range x {
		head, w := e/d.width, e%d.width
		x[e] = d.decode(in.get(d.dtype, ((b*d.heads+head)*past+j)*d.width+w))
	}
	return x
}

// encode returns a number as the cache holds it: a float32, or in two bytes
// the number itself, since nobody but this device reads them.
func (d *fakeDevice) encode(x int) uint32 {
	if d.dtype == format.Float32 {
		return math.Float32bits(float32(x))
	}
	return uint32(x)
}

func (d *fakeDevice) decode(bits uint32) int {
	if d.dtype == format.Float32 {
		return int(math.Float32frombits(bits))
	}
	return int(bits)
}

func (b binding) int(i int) int {
	return int(int64(binary.NativeEndian.Uint64(b.memory.data[b.offset+8*i:])))
}

func (b binding) get(t format.DType, i int) uint32 {
	if t.Size() == 2 {
		return uint32(binary.NativeEndian.Uint16(b.memory.data[b.offset+2*i:]))
	}
	return binary.NativeEndian.Uint32(b.memory.data[b.offset+4*i:])
}

func (b binding) set(t format.DType, i int, bits uint32) {
	if t.Size() == 2 {
		binary.NativeEndian.PutUint16(b.memory.data[b.offset+2*i:], uint16(bits))
		return
	}
	binary.NativeEndian.PutUint32(b.memory.data[b.offset+4*i:], bits)
}
