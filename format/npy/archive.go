package npy

import (
	"archive/zip"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/attnx/attnx/format"
)

// MaxUnpacked is the most bytes that the arrays of an archive may have together,
// where they are compressed. Without compression they have at most those of the file.
const MaxUnpacked = 1 << 30

// maxArrays bounds the arrays of an archive.
const maxArrays = 4096

// ReadArchive reads the arrays of a .npz file in its order, under their names
// in it. void gives the type of elements of an array without a type: see Read.
func ReadArchive(path string, void func(name string) format.DType) ([]format.Tensor, error) {
	var all []format.Tensor
	err := inArchive(path, func(files []*zip.File) error {
		for _, f := range files {
			t, err := member(path, f, void(arrayName(f)), nil)
			if err != nil {
				return err
			}
			all = append(all, t)
		}
		return nil
	})
	return all, err
}

// ReadNamed reads one array of a .npz file: the one of this name, or the only one. It
// unpacks no other. check sees its shape before memory is taken for its elements.
func ReadNamed(path, name string, void format.DType, check Check) (t format.Tensor, err error) {
	err = inArchive(path, func(files []*zip.File) error {
		for _, f := range files {
			if arrayName(f) == name || len(files) == 1 {
				t, err = member(path, f, void, check)
				return err
			}
		}
		return fmt.Errorf("%s: it has %d arrays and none is called %.80q: save it under that name", path, len(files), name)
	})
	return t, err
}

// arrayName returns the name of an array in an archive.
func arrayName(f *zip.File) string { return strings.TrimSuffix(f.Name, ".npy") }

// inArchive calls do with the entries of an .npz archive. It refuses any other file.
func inArchive(path string, do func([]*zip.File) error) error {
	info, err := os.Stat(path) // before opening: opening a pipe would block
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: it is not a regular file", path)
	}
	z, err := zip.OpenReader(path)
	if errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrAlgorithm) {
		return fmt.Errorf("%s: it is no .npz archive, or cut short: save the arrays with numpy.savez", path)
	}
	if err != nil {
		return err
	}
	defer z.Close()
	if err := bounded(&z.Reader, info.Size()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	seen := map[string]bool{}
	for _, f := range z.File {
		name := arrayName(f)
		if seen[name] {
			return fmt.Errorf("%s: it has two arrays called %.80q: save them with numpy.savez", path, name)
		}
		seen[name] = true
	}
	return do(z.File)
}

// bounded refuses an archive that unpacks to more than a reader expects.
func bounded(z *zip.Reader, size int64) error {
	if len(z.File) > maxArrays {
		return fmt.Errorf("it has %d arrays, at most %d are read: save fewer", len(z.File), maxArrays)
	}
	limit := uint64(max(size, MaxUnpacked))
	total := uint64(0)
	for _, f := range z.File {
		n := f.UncompressedSize64
		if n > math.MaxInt64 || total+n > limit {
			return fmt.Errorf("it unpacks to more than %d bytes: save the arrays as .npy files", limit)
		}
		total += n
	}
	return nil
}

// member reads one array of an archive.
func member(path string, f *zip.File, void format.DType, check Check) (format.Tensor, error) {
	t, err := unpacked(f, void, check)
	if err != nil {
		return t, fmt.Errorf("%s: array %.80q: %w", path, arrayName(f), err)
	}
	return t.WithName(arrayName(f)), nil
}

func unpacked(f *zip.File, void format.DType, check Check) (format.Tensor, error) {
	r, err := f.Open()
	if err != nil {
		return format.Tensor{}, fmt.Errorf("%w: save the arrays with numpy.savez", err)
	}
	defer r.Close()
	t, err := read(r, int64(f.UncompressedSize64), void, check)
	if err != nil {
		return t, err
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || errors.Is(err, zip.ErrChecksum) {
		return t, errors.New("its bytes do not match their checksum: save the arrays again")
	}
	return t, nil
}
