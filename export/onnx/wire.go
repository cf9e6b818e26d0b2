package onnx

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits of a file. Decode rejects files beyond the first three; Check applies
// the others.
const (
	maxFile    = math.MaxInt32 // protobuf's own: 2 GiB - 1
	maxNested  = 100           // messages within messages, as in protobuf's own readers
	maxDoubts  = 64            // recorded ones
	maxTensor  = 1 << 40       // bytes of one tensor's elements; a larger shape is a mistake or an attack
	maxDepth   = 8             // nesting of graphs
	maxPerNode = 256           // attributes of a node, operator sets of a model
	maxName    = 1024          // bytes
	maxText    = 64 << 20      // bytes of metadata and documentation
	maxRank    = 16
)

// Memory of an object: its structure, its place in a list, and the garbage
// from growing that list.
const (
	costNode      = 400
	costAttribute = 700
	costTensor    = 450
	costValue     = 660
	costDim       = 120
	costType      = 220
	costGraph     = 350
	costEntry     = 200 // of metadata
	costName      = 40
)

// decoder counts the memory of the objects that it creates. An object takes at
// least two bytes of a file and up to 600 in memory; real files have a ratio
// of 5 to 20.
type decoder struct {
	left   int64 // bytes of memory
	nested int
	doubts []error
}

// newDecoder returns a decoder for a file of size bytes. Its objects may take
// 24 times as much plus 16 MiB; above a gigabyte, four times as much.
func newDecoder(size int) *decoder {
	const base, most = 16 << 20, 1 << 30
	return &decoder{left: base + min(20*int64(size), most) + 4*int64(size)}
}

// object counts one more object.
func (d *decoder) object(f field, cost int64) error {
	if d.left -= cost; d.left < 0 {
		return f.broken("too many nodes, names, attributes, tensors and values for a file of this size")
	}
	return nil
}

// doubt records an error after which the rest of the file can be read. Check
// reports it.
func (d *decoder) doubt(err error) {
	if len(d.doubts) < maxDoubts {
		d.doubts = append(d.doubts, err)
	}
}

// errFurther represents doubts that are not recorded.
var errFurther = errors.New("further doubts")

// field is one field of a message.
type field struct {
	decoder *decoder
	number  protowire.Number
	typ     protowire.Type
	value   uint64 // of a varint or fixed field
	bytes   []byte // of a length-delimited field
	offset  int64  // of its content, from the start of the file
	again   bool   // the field number is repeated
	where   string
}

// fields calls f for each field of a message. f must ignore unknown fields. It
// records errors of f as doubts and continues, unless the bytes are not a
// protobuf message.
func (d *decoder) fields(data []byte, offset int64, where string, f func(field) error) error {
	var seen uint64 // by number
	for at := 0; at < len(data); {
		fail := func(n int) error {
			return &FormatError{Offset: offset + int64(at), Where: where, Reason: "broken protobuf: " + protowire.ParseError(n).Error() + ": the file was cut off or changed, or is no ONNX file; take another copy", broken: true}
		}
		number, typ, n := protowire.ConsumeTag(data[at:])
		if n < 0 {
			return fail(n)
		}
		at += n
		x := field{decoder: d, number: number, typ: typ, where: where}
		if number < 64 {
			x.again = seen&(1<<number) != 0
			seen |= 1 << number
		}
		switch typ {
		case protowire.VarintType:
			x.value, n = protowire.ConsumeVarint(data[at:])
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data[at:])
			x.value = uint64(v)
		case protowire.Fixed64Type:
			x.value, n = protowire.ConsumeFixed64(data[at:])
		case protowire.BytesType:
			x.bytes, n = protowire.ConsumeBytes(data[at:])
		default: // a group, which ONNX does not use
			n = protowire.ConsumeFieldValue(number, typ, data[at:])
		}
		if n < 0 {
			return fail(n)
		}
		x.offset = offset + int64(at)
		if typ == protowire.BytesType {
			x.offset += int64(n - len(x.bytes))
		}
		if typ != protowire.StartGroupType {
			if err := f(x); broken(err) {
				return err
			} else if err != nil {
				d.doubt(err)
			}
		}
		at += n
	}
	return nil
}

// each reads one of the messages of a repeated field.
func (d *decoder) each(f field, where string, g func(field) error) error {
	if f.typ != protowire.BytesType {
		return f.bad("field %d is not a message", f.number)
	}
	if d.nested++; d.nested > maxNested {
		return f.broken("messages nested more than %d deep", maxNested)
	}
	defer func() { d.nested-- }()
	return d.fields(f.bytes, f.offset, where, g)
}

// one reads a message field that may occur once. Protobuf merges duplicates.
func (d *decoder) one(f field, where string, g func(field) error) error {
	if err := d.each(f, where, g); err != nil {
		return err
	}
	return f.once()
}

// pair reads a StringStringEntryProto whose value has at most limit bytes.
func (d *decoder) pair(f field, limit int) (key, value string, err error) {
	err = d.each(f, f.where, func(f field) error {
		switch f.number {
		case 1:
			return f.name(&key)
		case 2:
			return f.text(&value, limit)
		}
		return nil
	})
	return key, value, err
}

// bad returns a doubt about a field; broken ends reading.
func (f field) bad(reason string, args ...any) error {
	if len(f.decoder.doubts) >= maxDoubts {
		return errFurther
	}
	return &FormatError{Offset: f.offset, Where: f.where, Reason: fmt.Sprintf(reason, args...)}
}

func (f field) broken(reason string, args ...any) error {
	return &FormatError{Offset: f.offset, Where: f.where, Reason: fmt.Sprintf(reason, args...), broken: true}
}

// once rejects a repeated field. Protobuf uses the last one, or merges them;
// two readers that disagree would see different models.
func (f field) once() error {
	if f.again {
		return f.bad("field %d is there twice", f.number)
	}
	return nil
}

func (f field) int(into *int64) error {
	if f.typ != protowire.VarintType {
		return f.bad("field %d is not an integer", f.number)
	}
	*into = int64(f.value)
	return f.once()
}

// enum reads a 32-bit integer.
func (f field) enum(into *int32) error {
	var v int64
	if err := f.int(&v); err != nil {
		return err
	}
	*into = int32(v)
	if v < 0 || v > math.MaxInt32 {
		return f.bad("field %d is %d", f.number, v)
	}
	return nil
}

func (f field) name(into *string) error { return f.text(into, maxName) }

func (f field) text(into *string, limit int) error {
	s, err := f.string(limit)
	*into = s
	if err != nil {
		return err
	}
	return f.once()
}

// string reads a string of a repeated field. It returns a doubtful string as
// well.
func (f field) string(limit int) (string, error) {
	if f.typ != protowire.BytesType {
		return "", f.bad("field %d is not a string", f.number)
	}
	if reason := noText(f.bytes, limit); reason != "" {
		return string(f.bytes), f.bad("%s", reason)
	}
	return string(f.bytes), nil
}

// noText returns the reason why b is not a text of at most limit bytes, or "".
func noText(b []byte, limit int) string {
	switch {
	case len(b) > limit:
		return fmt.Sprintf("a string of %d bytes, more than %d", len(b), limit)
	case !utf8.Valid(b):
		return "a string that is not UTF-8"
	case bytes.IndexByte(b, 0) >= 0:
		return "a string with a NUL"
	}
	return ""
}

// raw reads bytes.
func (f field) raw(into *[]byte) error {
	if f.typ != protowire.BytesType {
		return f.bad("field %d is not bytes", f.number)
	}
	*into = f.bytes
	return f.once()
}

func (f field) float(into *float32) error {
	if f.typ != protowire.Fixed32Type {
		return f.bad("field %d is not a float", f.number)
	}
	*into = math.Float32frombits(uint32(f.value))
	return f.once()
}

// count returns the number of elements that f adds to a list: integers if
// width is 0, otherwise fixed-size numbers of width bytes. A list is packed in
// one field, or has one field for each element.
func (f field) count(width int) (int64, error) {
	single := map[int]protowire.Type{0: protowire.VarintType, 4: protowire.Fixed32Type, 8: protowire.Fixed64Type}[width]
	switch {
	case f.typ == single:
		return 1, nil
	case f.typ != protowire.BytesType || width > 0 && len(f.bytes)%width != 0:
		return 0, f.bad("field %d is not a list of numbers of the right type", f.number)
	case width > 0:
		return int64(len(f.bytes) / width), nil
	}
	n := int64(0)
	for _, b := range f.bytes {
		if b < 0x80 { // the last byte of an integer
			n++
		}
	}
	return n, nil
}

// integers calls add for each element of a list of integers.
func (f field) integers(add func(v uint64)) error {
	if f.typ == protowire.VarintType {
		add(f.value)
		return nil
	}
	for b := f.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return f.broken("broken protobuf: %v", protowire.ParseError(n))
		}
		add(v)
		b = b[n:]
	}
	return nil
}

// fixed returns the bytes of a list of fixed-size numbers. They are
// little-endian in both file and tensor.
func (f field) fixed(width int) []byte {
	switch {
	case f.typ == protowire.BytesType:
		return f.bytes
	case width == 4:
		return protowire.AppendFixed32(nil, uint32(f.value))
	}
	return protowire.AppendFixed64(nil, f.value)
}

// ints appends a list of integers.
func (f field) ints(into *[]int64) error {
	n, err := f.count(0)
	if err != nil {
		return err
	}
	*into = slices.Grow(*into, int(n))
	return f.integers(func(v uint64) { *into = append(*into, int64(v)) })
}

// floats appends a list of floats.
func (f field) floats(into *[]float32) error {
	n, err := f.count(4)
	if err != nil {
		return err
	}
	*into = slices.Grow(*into, int(n))
	for b := f.fixed(4); len(b) > 0; b = b[4:] {
		v, _ := protowire.ConsumeFixed32(b)
		*into = append(*into, math.Float32frombits(v))
	}
	return nil
}
