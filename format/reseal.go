package format

import (
	"io"
	"slices"
)

// Resealed describes a file with a new seal.
type Resealed struct {
	Seal    Seal
	Tensors []string // in file order
	// Same lists the tensors whose bytes match an old seal in the file. It is
	// nil if the file has no old seal for these tensors.
	Same []string
}

// Reseal writes the file in r to w in canonical order and with a new seal. The
// new seal covers the bytes as they are now; only an old seal, if another tool
// kept it, can show whether they changed. Reseal drops old padding and seal.
// It needs memory for a few tensors.
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
