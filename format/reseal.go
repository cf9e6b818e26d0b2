package format

import (
	"io"
	"slices"
)

// Resealed tells of a file that got a new seal.
type Resealed struct {
	Seal    Seal
	Tensors []string // in the order of the file
	// Same are those whose bytes are what an old seal in the file says. It is nil
	// when the file has no old seal that belongs to its tensors.
	Same []string
}

// Reseal writes the file that r holds to w in canonical order and with a new
// seal, as its bytes are now: whether they are what was once saved, only an old
// seal can tell, if another tool kept it. What was padding and seal is left
// out. It takes the memory of a few of the tensors.
func Reseal(w io.Writer, r io.ReaderAt, size int64) (Resealed, error) {
	f, _, err := openPlain(r, size)
	if err != nil {
		return Resealed{}, err
	}
	if err := checkFeatures(f.metadata); err != nil {
		return Resealed{}, err
	}
	for name := range f.metadata {
		if formKey(name) {
			delete(f.metadata, name)
		}
	}
	old := slices.DeleteFunc(slices.Clone(f.entries), func(e entry) bool { return reserved(e.Name) })
	slices.SortFunc(old, func(a, b entry) int { return CompareNames(a.Name, b.Name) })
	h := Header{Metadata: f.metadata}
	out := Resealed{}
	for _, e := range old {
		h.Tensors = append(h.Tensors, e.TensorInfo)
		out.Tensors = append(out.Tensors, e.Name)
	}
	if _, has := f.index[SealName]; has {
		seal, err := f.Tensor(SealName)
		if err != nil {
			return Resealed{}, err
		}
		if len(seal.Data) == sealSize(h.Tensors) && string(seal.Data[:len(sealMagic)]) == sealMagic {
			readSums(seal.Data, old)
			out.Same = []string{}
		}
	}
	fw := NewSealedWriter(w, h)
	for _, e := range old {
		t, err := f.Tensor(e.Name)
		if err != nil {
			return Resealed{}, err
		}
		fw.Add(t)
	}
	entries := fw.summed()
	if err := fw.Close(); err != nil {
		return Resealed{}, err
	}
	out.Seal = *fw.Seal()
	for i, e := range old { // in the order of Tensors
		if e.sums != nil && e.sums.sha256 == entries[i].sums.sha256 {
			out.Same = append(out.Same, e.Name)
		}
	}
	return out, nil
}
