package attnx

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
)

// ResealReport describes what Reseal wrote.
type ResealReport struct {
	File      string   `json:"file"`
	Root      string   `json:"root"` // hexadecimal
	Tensors   int      `json:"tensors"`
	WasSealed bool     `json:"was_sealed"` // the file had a seal to compare the tensors with
	Changed   []string `json:"changed"`    // tensors that differ from the old seal
}

// Reseal writes a safetensors file in canonical order and with a seal. It writes
// to another file or, if to is empty, replaces the file once the new one is
// complete. It does not change tensors. It refuses a damaged file.
func Reseal(from, to string) (*ResealReport, error) {
	kind := output.Checkpoint
	if to == "" {
		to, kind = from, output.Resealed
	}
	if _, err := find.Expect(from, "a safetensors file", find.Safetensors); err != nil {
		return nil, err
	}
	place, err := output.Claim(kind, to, from)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var done format.Resealed
	err = store.Save(to, func(w io.Writer) error {
		done, err = format.Reseal(w, f, info.Size())
		return err
	})
	if err != nil {
		return nil, err
	}
	return newResealReport(to, done), nil
}

func newResealReport(file string, done format.Resealed) *ResealReport {
	same := map[string]bool{}
	for _, name := range done.Same {
		same[name] = true
	}
	r := &ResealReport{File: file, Root: done.Seal.Root.String(), Tensors: len(done.Tensors), WasSealed: done.Same != nil, Changed: []string{}}
	for _, name := range done.Tensors {
		if r.WasSealed && !same[name] {
			r.Changed = append(r.Changed, name)
		}
	}
	return r
}

// WriteText writes the comparison with the old seal as text.
func (r *ResealReport) WriteText(w io.Writer) error {
	var text string
	switch {
	case !r.WasSealed:
		text = fmt.Sprintf("%d tensors, and no old seal to compare them with\n", r.Tensors)
	case len(r.Changed) > 0:
		text = fmt.Sprintf("%d of %d tensors are as the old seal has them\nchanged: %s\n", r.Tensors-len(r.Changed), r.Tensors, strings.Join(r.Changed, ", "))
	default:
		text = fmt.Sprintf("%[1]d of %[1]d tensors are as the old seal has them\n", r.Tensors)
	}
	_, err := io.WriteString(w, text)
	return err
}

// VerifySeal reads every byte of a checkpoint and compares it with the seal. file
// is the checkpoint file at the path, and root its root hash in hexadecimal,
// which covers all of its bytes.
func VerifySeal(path string, tell Tell) (file, root string, err error) {
	if path, err = find.Resolve(path, tell); err != nil {
		return path, "", err
	}
	if _, err := find.Expect(path, "a safetensors file", find.Safetensors); err != nil {
		return path, "", err
	}
	f, err := format.Open(path)
	if err != nil {
		return path, "", err
	}
	defer f.Close()
	if err := f.Verify(); err != nil {
		return path, "", err
	}
	return path, f.Seal().Root.String(), nil
}
