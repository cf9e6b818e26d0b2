package onnx

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// elements returns the number of the tensor's elements; ok is false if a
// dimension is negative or the size exceeds maxTensor bytes.
func (t *Tensor) elements() (n int64, ok bool) {
	n = 1
	limit := uint64(8 * maxTensor / max(1, dataTypes[t.DataType].bits))
	empty := false
	for _, d := range t.Dims {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if hi != 0 || lo > limit {
			return 0, false
		}
		n = int64(lo)
	}
	if empty {
		return 0, true
	}
	return n, true
}

// bytes returns the size of the tensor's elements; ok is false if the shape is
// invalid or the type has no fixed size.
func (t *Tensor) bytes() (n int64, ok bool) {
	bits := dataTypes[t.DataType].bits
	if n, ok = t.elements(); !ok || bits == 0 {
		return 0, false
	}
	return (n*bits + 7) / 8, true
}

// Elements returns the number of elements of a tensor; 0 for an invalid shape.
func (t *Tensor) Elements() int64 {
	n, _ := t.elements()
	return n
}

// Bytes returns the size of the elements; for strings the sum of their
// lengths.
func (t *Tensor) Bytes() (n int64) {
	if t.DataType == String {
		for _, s := range t.Strings {
			n += int64(len(s))
		}
		return n
	}
	n, _ = t.bytes()
	return n
}

// tensor reads a TensorProto. Elements of any field end up in Raw, or in
// Strings. It compares the declared shape with the data before it allocates
// memory; if they differ it drops the elements.
func (d *decoder) tensor(f field, t *Tensor, where string) error {
	if err := d.object(f, costTensor); err != nil {
		return err
	}
	p := tensorParts{Tensor: t}
	if err := d.each(f, where, func(f field) error { return d.tensorField(f, &p) }); err != nil {
		return err
	}
	if t.Name != "" {
		where = fmt.Sprintf("tensor %.80q", t.Name)
	}
	f.where = where
	n, ok := t.elements()
	want, _ := t.bytes()
	_, known := dataTypes[t.DataType]
	switch {
	case t.DataType == 0:
		return f.bad("it has no element type")
	case !known:
		return f.bad("elements of type %s", t.DataType)
	case !ok:
		return f.bad("shape %v is not a size", t.Dims)
	case p.location == 1 && (p.raw || p.typed != 0):
		t.Misplaced = true
		doubt := f.bad("external data and data in the file")
		if err := t.externalData(f, p.external, want); err != nil {
			d.doubt(err)
		}
		return doubt
	case p.location == 1:
		return t.externalData(f, p.external, want)
	case p.location != 0 || len(p.external) > 0:
		return f.bad("data location %d with %d external entries", p.location, len(p.external))
	case p.raw && p.typed != 0:
		t.Misplaced = true
		return f.bad("its elements are there twice")
	case t.DataType == String && p.raw:
		return f.bad("strings as raw bytes")
	case t.DataType == String && p.typed != 0 && p.typed != 6:
		t.Misplaced = true
		return f.bad("elements of %s in field %d", t.DataType, p.typed)
	case t.DataType == String && int64(len(t.Strings)) != n:
		return f.bad("%s%v expects %d elements, has %d", t.DataType, t.Dims, n, len(t.Strings))
	case t.DataType == String:
		return nil
	case p.typed != 0:
		return d.typedElements(f, t, p, n, want)
	case int64(len(t.Raw)) != want:
		return f.bad("%s%v expects %d bytes, has %d", t.DataType, t.Dims, want, len(t.Raw))
	}
	return nil
}

// tensorParts is the rest of a TensorProto.
type tensorParts struct {
	*Tensor
	raw      bool
	typed    protowire.Number // the field of typed elements; 0: none
	numbers  int64            // numbers in it
	location int32
	external []string // alternating keys and values
}

// typedLists gives for each field of typed elements the bytes of a number in
// the file, 0 for a varint, and the types that it may hold.
var typedLists = map[protowire.Number]struct {
	width int
	types []DataType
}{
	4: {4, []DataType{Float, Complex64}},
	5: {0, []DataType{
		Int32, Int16, Int8, Uint16, Uint8, Bool, Float16, BFloat16, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ,
		Float8E8M0, Uint4, Int4, Float4E2M1, Uint2, Int2, Float6E2M3, Float6E3M2,
	}},
	7:  {0, []DataType{Int64}},
	10: {8, []DataType{Double, Complex128}},
	11: {0, []DataType{Uint64, Uint32}},
}

func (d *decoder) tensorField(f field, p *tensorParts) error {
	switch f.number {
	case 1:
		return f.ints(&p.Dims)
	case 2:
		return f.enum((*int32)(&p.DataType))
	case 3:
		if p.Segment == nil {
			p.Segment = &Segment{}
		}
		return d.one(f, f.where, func(f field) error {
			switch f.number {
			case 1:
				return f.int(&p.Segment.Begin)
			case 2:
				return f.int(&p.Segment.End)
			}
			return nil
		})
	case 4, 5, 7, 10, 11:
		n, err := f.count(typedLists[f.number].width)
		if err != nil || n == 0 {
			return err
		}
		if p.typed != 0 && p.typed != f.number {
			p.Misplaced = true
			return f.bad("its elements are there twice")
		}
		p.typed = f.number
		p.numbers += n
		return nil
	case 6:
		if p.typed != 0 && p.typed != f.number {
			p.Misplaced = true
			return f.bad("its elements are there twice")
		}
		p.typed = f.number
		return d.strings(f, &p.Strings)
	case 8:
		return f.name(&p.Name)
	case 9:
		p.raw = p.raw || len(f.bytes) > 0
		return f.raw(&p.Raw)
	case 12:
		return f.text(&p.DocString, maxText)
	case 13:
		if len(p.external) >= 2*externalKeys {
			return f.bad("external data: more than %d entries", externalKeys)
		}
		k, v, err := d.pair(f, maxName)
		p.external = append(p.external, k, v)
		return err
	case 14:
		return f.enum(&p.location)
	case 16:
		return d.entry(f, &p.Metadata)
	}
	return nil
}

// typedElements reads the message again, now that type and size are checked,
// and writes the typed list as raw bytes. n is the number of elements, want
// that of bytes.
func (d *decoder) typedElements(f field, t *Tensor, p tensorParts, n, want int64) error {
	list := typedLists[p.typed]
	bits := dataTypes[t.DataType].bits
	numbers := n // required numbers in the list
	switch {
	case t.DataType == Complex64, t.DataType == Complex128:
		numbers *= 2
		bits /= 2
	case bits == 2, bits == 4: // each holds a byte of several elements
		numbers = want
		bits = 8
	}
	if !slices.Contains(list.types, t.DataType) {
		t.Misplaced = true
		return f.bad("elements of %s in field %d", t.DataType, p.typed)
	}
	if p.numbers != numbers {
		wrong := f.bad("%s%v expects %d elements, has %d", t.DataType, t.Dims, numbers, p.numbers)
		if p.numbers < numbers {
			t.Short = true
			return wrong
		}
		d.doubt(wrong) // more than the shape has are kept: ONNX's own checker takes them
	}
	t.Raw = make([]byte, 0, want)
	var held uint64 // bits of 6-bit elements
	var filled int64
	err := d.each(f, f.where, func(f field) error {
		switch {
		case f.number != p.typed:
			return nil
		case list.width > 0:
			t.Raw = append(t.Raw, f.fixed(list.width)...)
			return nil
		}
		return f.integers(func(v uint64) {
			if bits < 64 {
				v &= 1<<bits - 1
			}
			if bits%8 != 0 {
				held |= v << filled
				for filled += bits; filled >= 8; filled -= 8 {
					t.Raw = append(t.Raw, byte(held))
					held >>= 8
				}
				return
			}
			for i := range bits / 8 {
				t.Raw = append(t.Raw, byte(v>>(8*i)))
			}
		})
	})
	if filled > 0 {
		t.Raw = append(t.Raw, byte(held))
	}
	return err
}

// externalKeys is the number of keys that external data may have.
const externalKeys = 4

// externalData reads the entries that give the place of a tensor's elements.
func (t *Tensor) externalData(f field, entries []string, want int64) error {
	x := &External{Length: -1}
	t.External = x
	seen := map[string]bool{}
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], entries[i+1]
		if seen[k] {
			if k == "location" {
				x.More = append(x.More, v)
			}
			return f.bad("external data: %.80q is there twice"+saveAgain, k)
		}
		seen[k] = true
		switch k {
		case "location":
			x.Location = v
		case "offset", "length":
			n, err := strconv.ParseUint(v, 10, 63)
			if err != nil {
				return f.bad("external data: %s is %.80q"+saveAgain, k, v)
			}
			if k == "offset" {
				x.Offset = int64(n)
			} else {
				x.Length = int64(n)
			}
		case "checksum":
			x.Checksum = v
		default:
			return f.bad("external data: unknown key %.80q"+saveAgain, k)
		}
	}
	switch {
	case !seen["location"]:
		return f.bad("external data without a location" + saveAgain)
	case x.Length >= 0 && x.Length != want && t.DataType != String:
		return f.bad("external data: %d bytes for %s%v of %d"+saveAgain, x.Length, t.DataType, t.Dims, want)
	}
	return nil
}

// sparse reads a SparseTensorProto.
func (d *decoder) sparse(f field, t *SparseTensor, where string) error {
	if err := d.object(f, costType); err != nil {
		return err
	}
	part := func(f field, into **Tensor) error {
		if *into == nil {
			*into = &Tensor{}
		}
		if err := d.tensor(f, *into, where); err != nil {
			return err
		}
		return f.once()
	}
	return d.each(f, where, func(f field) error {
		switch f.number {
		case 1:
			return part(f, &t.Values)
		case 2:
			return part(f, &t.Indices)
		case 3:
			return f.ints(&t.Dims)
		}
		return nil
	})
}

// Name returns the name of a sparse initializer.
func (t *SparseTensor) Name() string {
	if t.Values == nil {
		return ""
	}
	return t.Values.Name
}
