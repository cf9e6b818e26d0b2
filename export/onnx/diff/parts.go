package diff

import (
	"bytes"
	"slices"

	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
)

// The largest number of parts of a value that are recognized, and the number of
// values that are looked at for them.
const (
	maxParts  = 64
	maxPieces = 4096
)

// partsOf returns the values whose concatenation along the first or the last axis is
// the given one, two at least; nil if there are none.
func partsOf(whole *stored, pieces []*stored, dir, pieceDir string) []*stored {
	if len(whole.tensor.Dims) == 0 || len(pieces) < 2 || len(pieces) > maxPieces {
		return nil
	}
	last := len(whole.tensor.Dims) - 1
	for _, axis := range []int{0, last} {
		var fit []*stored
		for _, p := range pieces {
			if fits(whole, p, axis) {
				fit = append(fit, p)
			}
		}
		if len(fit) < 2 {
			continue
		}
		t, err := read.Tensor(whole.tensor, dir)
		if err != nil {
			return nil
		}
		if parts := tiled(t, axis, fit, pieceDir); parts != nil {
			return parts
		}
		if last == 0 {
			break
		}
	}
	return nil
}

// fits reports whether a value can be a part of another along an axis.
func fits(whole, part *stored, axis int) bool {
	x, y := whole.tensor, part.tensor
	if x.DataType != y.DataType || len(x.Dims) != len(y.Dims) || y.Dims[axis] >= x.Dims[axis] || y.Dims[axis] == 0 {
		return false
	}
	for i := range x.Dims {
		if i != axis && x.Dims[i] != y.Dims[i] {
			return false
		}
	}
	return true
}

// tiled covers an axis from its start with values that are there bit by bit.
func tiled(t format.Tensor, axis int, pieces []*stored, dir string) (parts []*stored) {
	loaded := map[*stored]format.Tensor{}
	for at := 0; at < t.Shape[axis]; {
		k := slices.IndexFunc(pieces, func(p *stored) bool {
			x, ok := loaded[p]
			if !ok {
				var err error
				if x, err = read.Tensor(p.tensor, dir); err != nil {
					return false
				}
				loaded[p] = x
			}
			return at+x.Shape[axis] <= t.Shape[axis] && lies(x, t, axis, at)
		})
		if k < 0 || len(parts) == maxParts {
			return nil
		}
		parts = append(parts, pieces[k])
		at += loaded[pieces[k]].Shape[axis]
	}
	return parts
}

// lies reports whether t has the elements of x from a place on an axis on.
func lies(x, t format.Tensor, axis, at int) bool {
	outer, _ := format.Elements(t.Shape[:axis])
	if outer == 0 {
		return false
	}
	row, part := len(t.Data)/outer, len(x.Data)/outer
	start := at * (row / t.Shape[axis])
	for i := range outer {
		if !bytes.Equal(t.Data[i*row+start:i*row+start+part], x.Data[i*part:(i+1)*part]) {
			return false
		}
	}
	return true
}
