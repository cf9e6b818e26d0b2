package runtime

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// The largest numbers of past columns and of new tokens in AnyPast.
const (
	anyPastColumns = 48
	anyPastTokens  = 3
)

// AnyPast returns a session that gives a graph with a past inputs that no text
// produces: arbitrary numbers as the past, a mask with holes even among the new
// tokens, and positions that are not the mask's running sums. All of them are
// functions of input_ids (B,T), whose first t tokens are run. The outputs are
// the graph's: logits (B,t,V) and presents (B,H,P+t,D). Two correct sessions of
// one network give equal outputs. The caller still closes s. The buffers of s
// must not be shared.
func AnyPast(s Session, shape CacheShape) Session { return &anyPast{s, shape} }

type anyPast struct {
	session Session
	shape   CacheShape
}

func (a *anyPast) Close() error { return nil }

func (a *anyPast) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	ids, batch, length, err := idsOf(inputs)
	if err != nil {
		return nil, err
	}
	n := max(1, min(length, anyPastTokens, a.shape.Context/2))
	before := min(length, anyPastColumns, a.shape.Context-n)
	seed := uint64(batch)
	first := make([]int64, 0, batch*n)
	for b := range batch {
		row := ids[b*length:][:n]
		first = append(first, row...)
		for _, id := range row {
			seed = splitMix(seed + uint64(id))
		}
	}
	random := func(i int) uint64 { seed := splitMix(seed); return splitMix(seed + uint64(i)) }
	positions, mask := make([]int64, batch*n), make([]int64, batch*(before+n))
	for i := range positions {
		positions[i] = int64(random(i) % uint64(a.shape.Context))
	}
	for i := range mask {
		if random(1<<32+i)%3 > 0 || i%(before+n) == 0 { // every token sees at least one column
			mask[i] = 1
		}
	}
	past := a.shape.past(batch, before)
	at := 2 << 32
	for layer := range a.shape.Layers {
		for _, kind := range pastKinds {
			x := past[role.Layered(kind, layer).Name()]
			elements := x.Elements()
			if past[x.Name], err = eighths(x, func(i int) uint64 { return random(at + i) }); err != nil {
				return nil, err
			}
			at += elements
		}
	}
	out, err := a.session.Run(a.shape.inputs(batch, first, positions, mask, past))
	if err != nil {
		return nil, err
	}
	kept := make(map[string]format.Tensor, len(out))
	for name, t := range out {
		t.Data = bytes.Clone(t.Data)
		kept[name] = t
	}
	return kept, nil
}

// eighths fills a floating-point tensor with multiples of 1/8 from -1 to 1,
// which every type represents exactly.
func eighths(t format.Tensor, random func(i int) uint64) (format.Tensor, error) {
	raw := make([]byte, 4*t.Elements())
	for i := range t.Elements() {
		x := float32(random(i)%17)/8 - 1
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(x))
	}
	out, _, err := format.Tensor{Name: t.Name, DType: format.Float32, Shape: t.Shape, Data: raw}.Convert(t.DType)
	return out, err
}
