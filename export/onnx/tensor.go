package onnx

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// bytes returns the size of the tensor's elements; ok is false when a
// dimension is negative, the product is beyond maxTensor, or the type has no
// fixed size.
func (t *Tensor) bytes() (n int64, ok bool) {
	n = t.DataType.Size()
	if n == 0 {
		return 0, false
	}
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
		if hi != 0 || lo > maxTensor {
			return 0, false
		}
		n = int64(lo)
	}
	if empty {
		return 0, true
	}
	return n, true
}

// Elements returns the number of elements of a tensor that Check accepts.
func (t *Tensor) Elements() int64 {
	n, ok := t.bytes()
	if !ok {
		return 0
	}
	return n / t.DataType.Size()
}

// tensor reads a TensorProto. Whichever field holds the elements, they end up
// in Raw. What a shape declares is compared with what is there before anything
// is allocated.
func (d *decoder) tensor(f field, t *Tensor, where string) error {
	if err := d.object(f); err != nil {
		return err
	}
	p := tensorParts{Tensor: t}
	if err := d.each(f, where, func(f field) error { return d.tensorField(f, &p) }); err != nil {
		return err
	}
	if t.Name != "" {
		where = fmt.Sprintf("tensor %q", t.Name)
	}
	f.where = where
	want, ok := t.bytes()
	switch {
	case t.DataType == 0:
		return f.bad("it has no element type")
	case t.DataType.Size() == 0:
		return f.unsupported("elements of type %s are not supported", t.DataType)
	case !ok:
		return f.bad("shape %v is no size", t.Dims)
	case p.location == 1 && (p.raw || p.typed != 0):
		return f.bad("external data and data in the file")
	case p.location == 1:
		return t.externalData(f, p.external, want)
	case p.location != 0 || len(p.external) > 0:
		return f.bad("data location %d with %d external entries", p.location, len(p.external))
	case p.raw && p.typed != 0:
		return f.bad("its elements are there twice")
	case p.typed != 0:
		return d.elements(f, t, p, want)
	case int64(len(t.Raw)) != want:
		return f.bad("%s%v wants %d bytes, has %d", t.DataType, t.Dims, want, len(t.Raw))
	}
	return nil
}

// tensorParts is what a TensorProto holds beside the tensor.
type tensorParts struct {
	*Tensor
	raw      bool
	typed    protowire.Number // the field of typed elements, 0 if there is none
	elements int64            // in it
	location int32
	external []string // keys and values in turn
}

// typedLists says for each field of typed elements how many bytes one has in
// the file, 0 for a varint, and what types it may hold.
var typedLists = map[protowire.Number]struct {
	width int
	types []DataType
}{
	4:  {4, []DataType{Float}},
	5:  {0, []DataType{Int32, Int16, Int8, Uint16, Uint8, Bool, Float16, BFloat16}},
	7:  {0, []DataType{Int64}},
	10: {8, []DataType{Double}},
	11: {0, []DataType{Uint64, Uint32}},
}

func (d *decoder) tensorField(f field, p *tensorParts) error {
	switch f.number {
	case 1:
		return f.ints(&p.Dims, maxRank)
	case 2:
		return f.enum((*int32)(&p.DataType))
	case 3:
		return f.unsupported("tensors in segments are not supported")
	case 4, 5, 7, 10, 11:
		n, err := f.count(typedLists[f.number].width)
		if p.typed != 0 && p.typed != f.number {
			return f.bad("its elements are there twice")
		}
		p.typed = f.number
		p.elements += n
		return err
	case 6:
		return f.unsupported("tensors of strings are not supported")
	case 8:
		return f.name(&p.Name)
	case 9:
		p.raw = true
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
	}
	return nil
}

// elements goes through the message a second time, now that the type is known
// and the size is right, and writes the typed lists as raw bytes.
func (d *decoder) elements(f field, t *Tensor, p tensorParts, want int64) error {
	list := typedLists[p.typed]
	size := t.DataType.Size()
	switch {
	case !slices.Contains(list.types, t.DataType):
		return f.bad("elements of %s in field %d", t.DataType, p.typed)
	case p.elements != want/size:
		return f.bad("%s%v wants %d elements, has %d", t.DataType, t.Dims, want/size, p.elements)
	}
	t.Raw = make([]byte, 0, want)
	return d.each(f, f.where, func(f field) error {
		switch {
		case f.number != p.typed:
			return nil
		case list.width > 0:
			t.Raw = append(t.Raw, f.fixed(list.width)...)
			return nil
		}
		return f.integers(func(v uint64) {
			for i := range size {
				t.Raw = append(t.Raw, byte(v>>(8*i)))
			}
		})
	})
}

// externalKeys is the number of keys that an external-data entry may have.
const externalKeys = 4

// externalData reads the entries that say where a tensor's elements lie.
func (t *Tensor) externalData(f field, entries []string, want int64) error {
	x := &External{Length: -1}
	seen := map[string]bool{}
	for i := 0; i < len(entries); i += 2 {
		k, v := entries[i], entries[i+1]
		if seen[k] {
			return f.bad("external data: %q is there twice", k)
		}
		seen[k] = true
		switch k {
		case "location":
			x.Location = v
		case "offset", "length":
			n, err := strconv.ParseUint(v, 10, 63)
			if err != nil {
				return f.bad("external data: %s is %q", k, v)
			}
			if k == "offset" {
				x.Offset = int64(n)
			} else {
				x.Length = int64(n)
			}
		case "checksum":
			x.Checksum = v
		default:
			return f.bad("external data: unknown key %q", k)
		}
	}
	switch {
	case !seen["location"]:
		return f.bad("external data without a location")
	case x.Length >= 0 && x.Length != want:
		return f.bad("external data: %d bytes for %s%v of %d", x.Length, t.DataType, t.Dims, want)
	}
	t.External = x
	return nil
}
