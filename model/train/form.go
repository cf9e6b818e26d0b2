package train

import (
	"fmt"

	"github.com/attnx/attnx/model/role"
)

// Form says how a text becomes examples.
type Form struct {
	Length int    // most tokens of an example
	End    *int64 // the id that ends a document; nil: nothing does
	Whole  bool   // nothing is kept for validation: Validated gives other examples
	Pack   bool   // short documents with prompts, and lines, share an example
}

// packedLines are sequences that share rows. A sequence sees those before it in its
// row, and the first id of the next one is not learned.
type packedLines struct {
	lines
	rows   blocks[[2]uint32] // the first sequence of a row, and their number
	length int
}

// Packed reports whether examples share rows.
func (d *Data) Packed() bool {
	_, packed := d.train.(packedLines)
	return packed
}

// pack puts sequences into rows of a length, one after the other, as long as they
// fit.
func (l lines) pack(length int) packedLines {
	p := packedLines{lines: l, length: length}
	first, used := 0, 0
	for i := range l.at.len() {
		n := l.at.at(i).len()
		if used+n > length+1 { // the last id of a row is a label only
			p.rows.append([2]uint32{uint32(first), uint32(i - first)})
			first, used = i, 0
		}
		used += n
	}
	p.rows.append([2]uint32{uint32(first), uint32(l.at.len() - first)})
	return p
}

func (p packedLines) len() int { return p.rows.len() }

func (p packedLines) fill(i int, b Batch, at int) {
	ids, labels := emptyRow(b, at, 0)
	row, used := p.rows.at(i), 0
	for j := int(row[0]); j < int(row[0]+row[1]); j++ {
		p.write(j, ids[used:], labels[used:])
		s := p.lines.at.at(j)
		if used += s.len(); used <= len(ids) {
			p.ids.read(s.from()+s.len()-1, ids[used-1:used])
		}
	}
}

// Validated has other data validate, all of them, and learns from all of d. Both
// must have the same inputs.
func (d *Data) Validated(by *Data) error {
	if _, ok := d.train.(*pairSource); ok {
		return fmt.Errorf("train: pairs have their own validation")
	}
	mine, theirs := d.room(1), by.room(1)
	for k, t := range theirs {
		m, ok := mine[k]
		text := d.context > 0 && by.context > 0 && (k == role.Tokens || k == role.Labels) // a shorter one is padded
		if !ok || len(mine) != len(theirs) || m.DType != t.DType || !text && fmt.Sprint(m.Shape) != fmt.Sprint(t.Shape) {
			return fmt.Errorf("train: the examples for validation have %s %s%v, those to learn from %s%v", k.Name(), t.DType, t.Shape, m.DType, m.Shape)
		}
	}
	d.train, d.val = d.whole(), by.whole()
	d.context = max(d.context, by.context)
	if mine := d.failed; mine == nil {
		d.failed = by.failed
	} else if by.failed != nil {
		d.failed = func() error {
			if err := mine(); err != nil {
				return err
			}
			return by.failed()
		}
	}
	return nil
}

// ValidatedFrom has the examples from number n on validate, and learns from those
// before it. It is for data that NewExamples made.
func (d *Data) ValidatedFrom(n int) {
	e := d.whole().(examples)
	d.train, d.val = examples{e.all, 0, n}, examples{e.all, n, e.to}
}

// whole returns all examples of both parts.
func (d *Data) whole() source {
	switch s := d.train.(type) {
	case window:
		s.from, s.to = 0, s.ids.len()
		return s
	case examples:
		s.from, s.to = 0, s.all.size()
		return s
	case lines:
		v := d.val.(lines)
		if s.at.len() == v.at.len() && s.at.at(0) == v.at.at(0) {
			return s // few: all are in both parts
		}
		out := lines{ids: s.ids}
		for _, part := range []lines{s, v} {
			for i := range part.at.len() {
				out.append(part.at.at(i), part.prompt(i), part.turns[i])
			}
		}
		return out
	}
	return d.train // made without another part
}
