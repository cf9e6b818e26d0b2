package format

import (
	"bytes"
	"math"
	"slices"
)

// Kinds of Difference.
const (
	Equal    = "equal"
	Changed  = "changed"  // the same type and shape, other values
	Reshaped = "reshaped" // another type or shape
	OnlyA    = "only in A"
	OnlyB    = "only in B"
)

// Difference is how one tensor of two files differs. The numbers are set for a
// Changed tensor if the caller asked for values.
type Difference struct {
	Name    string
	State   string
	A, B    TensorInfo
	Changed int     // elements that differ
	MaxAbs  float64 // largest |b - a|; infinite if exactly one of the two is NaN
	Norm    float64 // Euclidean length of b - a
	NormA   float64 // of a
}

// Diff compares the tensors of two files, in canonical order. If both files
// are sealed it compares the digests in their seals, and reads a tensor only
// if it differs and values is set. It needs memory for one tensor of each
// file.
func Diff(a, b *Reader, values bool) ([]Difference, error) {
	infos := func(r *Reader) map[string]TensorInfo {
		m := map[string]TensorInfo{}
		for _, e := range r.entries {
			m[e.Name] = e.TensorInfo
		}
		return m
	}
	as, bs := infos(a), infos(b)
	var names []string
	for _, e := range slices.Concat(a.entries, b.entries) {
		names = append(names, e.Name)
	}
	slices.SortFunc(names, CompareNames)
	var out []Difference
	for _, name := range slices.Compact(names) {
		x, inA := as[name]
		y, inB := bs[name]
		d := Difference{Name: name, A: x, B: y}
		switch {
		case !inB:
			d.State = OnlyA
		case !inA:
			d.State = OnlyB
		case x.DType != y.DType || !slices.Equal(x.Shape, y.Shape):
			d.State = Reshaped
		default:
			if err := d.compare(a, b, values); err != nil {
				return nil, err
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// compare fills d for a tensor that both files have.
func (d *Difference) compare(a, b *Reader, values bool) error {
	sumA, sealedA := a.SHA256(d.Name)
	sumB, sealedB := b.SHA256(d.Name)
	if sealedA && sealedB {
		if d.State = Changed; sumA == sumB {
			d.State = Equal
		}
		if sumA == sumB || !values {
			return nil
		}
	}
	x, err := a.Tensor(d.Name)
	if err != nil {
		return err
	}
	y, err := b.Tensor(d.Name)
	if err != nil {
		return err
	}
	if d.State = Changed; bytes.Equal(x.Data, y.Data) {
		d.State = Equal
		return nil
	}
	if !values {
		return nil
	}
	size, widen := d.A.DType.Size(), wideners[d.A.DType]
	var change, length float64
	for i := range x.Elements() {
		p, q := x.Data[i*size:(i+1)*size], y.Data[i*size:(i+1)*size]
		v := widen(p)
		length += v * v
		if bytes.Equal(p, q) {
			continue
		}
		d.Changed++
		delta := math.Abs(widen(q) - v)
		if math.IsNaN(delta) {
			delta = math.Inf(1)
		}
		change += delta * delta
		d.MaxAbs = max(d.MaxAbs, delta)
	}
	d.Norm, d.NormA = math.Sqrt(change), math.Sqrt(length)
	return nil
}
