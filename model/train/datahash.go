package train

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"maps"
	"slices"

	"github.com/attnx/attnx/model/role"
)

// SHA256 returns a hash of all examples, for Options.DataSHA256. A resumed run
// uses it to detect other data.
func (d *Data) SHA256() string {
	h := sha256.New()
	for _, part := range []source{d.train, d.val} {
		part.hash(h)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func hashIDs(h hash.Hash, ids idStore, from, to int) {
	block := make([]int64, 1<<12)
	for from < to {
		block = block[:min(len(block), to-from)]
		ids.read(from, block)
		_ = binary.Write(h, binary.LittleEndian, block) // Write of a hash never fails
		from += len(block)
	}
}

func (w window) hash(h hash.Hash) {
	fmt.Fprintln(h, "window", w.context, w.to-w.from)
	hashIDs(h, w.ids, w.from, w.to)
}

func (l lines) hash(h hash.Hash) {
	for i := range l.len() {
		s := l.at.at(i)
		fmt.Fprintln(h, "line", s.len())
		if prompt := l.prompt(i); prompt > 0 {
			fmt.Fprintln(h, "prompt", prompt)
		}
		if turns := l.turns[i]; len(turns) > 0 {
			fmt.Fprintln(h, "turns", turns)
		}
		hashIDs(h, l.ids, s.from(), s.from()+s.len())
	}
}

func (p packedLines) hash(h hash.Hash) {
	fmt.Fprintln(h, "packed", p.length)
	p.lines.hash(h)
}

func (e examples) hash(h hash.Hash) {
	name := func(k role.Kind) string { return cmp.Or(role.Of(k).Name(), e.all[k].Name) }
	kinds := slices.SortedFunc(maps.Keys(e.all), func(a, b role.Kind) int { return cmp.Compare(name(a), name(b)) })
	for _, k := range kinds {
		t := e.all[k]
		row := len(t.Data) / t.Shape[0]
		fmt.Fprintln(h, "examples", name(k), t.DType, t.Shape[1:], e.len())
		h.Write(t.Data[e.from*row : e.to*row])
	}
}
