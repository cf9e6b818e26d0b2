package sharedlib

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Limits on the unpacked size: about twice the largest library (the CUDA
// provider, 272 MB) and four times the largest archive. The archive is pinned
// by its hash, so the limits only keep a mistake in the table from filling the
// disk.
const (
	maxLibrary = 512 << 20
	maxArchive = 1 << 30
)

// verify reads f from its start and checks that it is the pinned file.
func (b Bundle) verify(f *os.File) error {
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return fmt.Errorf("reading %s: %w", b.File, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != b.SHA256 {
		return &hashError{file: b.File, got: got, want: b.SHA256, gotSize: n, wantSize: b.Size}
	}
	return nil
}

// hashError reports that a package is not the pinned one.
type hashError struct {
	file, got, want   string
	gotSize, wantSize int64
}

func (e *hashError) Error() string {
	return fmt.Sprintf("%s is refused: its SHA-256 is %s (%d bytes), the pinned one is %s (%d bytes)",
		e.file, e.got, e.gotSize, e.want, e.wantSize)
}

// extract writes one library of the archive f to the file target, and refuses a
// library that is not the pinned one. Member names are only compared and never
// used as paths, so an archive cannot choose where bytes are written.
func (b Bundle) extract(f *os.File, library Packed, target string) error {
	name := library.Member
	var member io.ReadCloser
	var err error
	if strings.HasSuffix(b.File, ".tgz") {
		member, err = tarMember(f, name)
	} else {
		member, err = zipMember(f, name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b.File, err)
	}
	defer member.Close()

	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(member, maxLibrary+1))
	if err == nil && n > maxLibrary {
		err = fmt.Errorf("%s: %s is over %d bytes", b.File, name, maxLibrary)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); err == nil && got != library.SHA256 {
		err = &hashError{file: b.File + ": " + name, got: got, want: library.SHA256, gotSize: n, wantSize: library.Size}
	}
	if err == nil {
		err = out.Sync() // the bytes must be on disk before the rename that publishes them
	}
	return errors.Join(err, out.Close())
}

func tarMember(f *os.File, name string) (io.ReadCloser, error) {
	gz, err := gzip.NewReader(io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return nil, err
	}
	r := tar.NewReader(io.LimitReader(gz, maxArchive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("no member %s", name)
		}
		if err != nil {
			return nil, err
		}
		if h.Name != name {
			continue
		}
		if h.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%s is not a regular file", name)
		}
		return io.NopCloser(r), nil
	}
}

func zipMember(f *os.File, name string) (io.ReadCloser, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r, err := zip.NewReader(f, info.Size())
	if err != nil {
		return nil, err
	}
	for _, member := range r.File {
		if member.Name != name {
			continue
		}
		if !member.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file", name)
		}
		return member.Open()
	}
	return nil, fmt.Errorf("no member %s", name)
}
