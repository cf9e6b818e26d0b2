package ref

import (
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
)

// pick returns the elements of x that v walks over.
func pick(x array, v view) array {
	out := newArray(x.kind, v.shape)
	switch x.kind {
	case floats:
		pickLines(out.f, x.f, v)
	case ints:
		pickLines(out.i, x.i, v)
	case bools:
		pickLines(out.b, x.b, v)
	}
	return out
}

// cut returns the part of x of the given shape that begins at start along the axis.
func cut(x array, axis, start int, shape []int) (array, error) {
	if n := x.shape[axis]; start < 0 || shape[axis] > n-start {
		return array{}, fmt.Errorf("positions %d to %d of axis %d, which has %d", start, start+shape[axis]-1, axis, n)
	}
	v := whole(x.shape)
	v.shape, v.start = shape, start*v.stride[axis]
	return pick(x, v), nil
}

// concat returns the arrays one after the other along the axis.
func concat(xs []array, axis int, shape []int) (array, error) {
	out := newArray(xs[0].kind, shape)
	to := whole(shape)
	for _, x := range xs {
		to.shape = x.shape
		switch x.kind {
		case floats:
			putLines(out.f, x.f, to)
		case ints:
			putLines(out.i, x.i, to)
		case bools:
			putLines(out.b, x.b, to)
		}
		to.start += x.shape[axis] * to.stride[axis]
	}
	return out, nil
}

// where returns x where cond holds, else y; all broadcast into the shape.
func where(cond, x, y array, shape []int) array {
	out := newArray(x.kind, shape)
	for _, side := range []struct {
		from array
		when bool
	}{{x, true}, {y, false}} {
		chosen := places(cond.shape, shape)
		out.place(side.from, func(yield func(i, at int) bool) {
			for i, at := range spread(side.from.shape, shape).all() {
				if cond.b[chosen(i)] == side.when && !yield(i, at) {
					return
				}
			}
		})
	}
	return out
}

// triangle returns x with zeros beyond diagonal k of its last two axes.
func triangle(x array, upper bool, k int) array {
	out := newArray(x.kind, x.shape)
	rows, columns := x.shape[len(x.shape)-2], x.shape[len(x.shape)-1]
	out.place(x, func(yield func(i, at int) bool) {
		for i := range x.len() {
			row, column := i/columns%rows, i%columns
			inside := column-row >= k
			if !upper {
				inside = column-row <= k
			}
			if inside && !yield(i, i) {
				return
			}
		}
	})
	return out
}

// fromFront converts ids for an axis of length n to ids counted from the front: negative
// ones may count from its end. An id outside the axis is a *format.RangeError.
func fromFront(ids array, negative bool, n int) (array, error) {
	if !negative {
		return ids, checkIDs(ids, n)
	}
	if err := checkRange(ids, -n, n-1); err != nil {
		return ids, err
	}
	if !slices.ContainsFunc(ids.i, func(id int64) bool { return id < 0 }) {
		return ids, nil
	}
	ids.i = slices.Clone(ids.i)
	for i, id := range ids.i {
		if id < 0 {
			ids.i[i] += int64(n)
		}
	}
	return ids, nil
}

// checkIDs refuses ids outside 0 to n-1 with a *format.RangeError.
func checkIDs(ids array, n int) error { return checkRange(ids, 0, n-1) }

// checkRange refuses ids outside a range with a *format.RangeError.
func checkRange(ids array, first, last int) error {
	bad := slices.IndexFunc(ids.i, func(id int64) bool { return id < int64(first) || id > int64(last) })
	if bad < 0 {
		return nil
	}
	return &format.RangeError{Name: "the id", Index: position(bad, ids.shape), Got: ids.i[bad], First: int64(first), Last: int64(last)}
}

// gather returns slices of a table along the axis by ids.
func gather(table, ids array, axis int, shape []int) (array, error) {
	n := table.shape[axis]
	if err := checkIDs(ids, n); err != nil {
		return array{}, err
	}
	out := newArray(table.kind, shape)
	row, _ := format.Elements(table.shape[axis+1:])
	lead, _ := format.Elements(table.shape[:axis])
	if table.s != nil && axis == 0 && !table.turned {
		for i, id := range ids.i {
			for j, v := range table.s[int(id)*row:][:row] {
				out.f[i*row+j] = float64(v)
			}
		}
		return out, nil
	}
	table = table.wide()
	out.place(table, func(yield func(i, at int) bool) {
		for l := range lead {
			for i, id := range ids.i {
				to, from := (l*len(ids.i)+i)*row, (l*n+int(id))*row
				for j := range row {
					if !yield(to+j, from+j) {
						return
					}
				}
			}
		}
	})
	return out, nil
}

// gatherElements returns, for the last axis, x[i,j,ids[i,j,k]].
func gatherElements(x, ids array, axis int) (array, error) {
	if err := checkIDs(ids, x.shape[axis]); err != nil {
		return array{}, err
	}
	out := newArray(x.kind, ids.shape)
	v := whole(x.shape)
	step := v.stride[axis]
	v.shape, v.stride[axis] = ids.shape, 0
	out.place(x, func(yield func(i, at int) bool) {
		for i, at := range v.all() {
			if !yield(i, at+int(ids.i[i])*step) {
				return
			}
		}
	})
	return out, nil
}
