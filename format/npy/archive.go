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
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	z, err := zip.OpenReader(path)
	if errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrAlgorithm) {
		return nil, fmt.Errorf("%s: it is no .npz archive, or cut short: save the arrays with numpy.savez", path)
	}
	if err != nil {
		return nil, err
	}
	defer z.Close()
	if err := bounded(&z.Reader, info.Size()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []format.Tensor
	seen := map[string]bool{}
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		if seen[name] {
			return nil, fmt.Errorf("%s: it has two arrays called %.80q: save them with numpy.savez", path, name)
		}
		seen[name] = true
		t, err := member(f, void(name))
		if err != nil {
			return nil, fmt.Errorf("%s: array %.80q: %w", path, name, err)
		}
		all = append(all, t.WithName(name))
	}
	return all, nil
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
func member(f *zip.File, void format.DType) (format.Tensor, error) {
	r, err := f.Open()
	if err != nil {
		return format.Tensor{}, fmt.Errorf("%w: save the arrays with numpy.savez", err)
	}
	defer r.Close()
	t, err := Read(r, int64(f.UncompressedSize64), void)
	if err != nil {
		return t, err
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || errors.Is(err, zip.ErrChecksum) {
		return t, errors.New("its bytes do not match their checksum: save the arrays again")
	}
	return t, nil
}
