package train

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds what a zstd stream may refer back to, and so the memory of
// reading one: 128 MB, what zstd --long=27 writes.
const maxWindow = 128 << 20

// Beginnings of compressed files. No text begins so: they are not UTF-8.
var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// decompress returns the text of a gzip or zstd stream, and of any other stream
// itself. It goes by the bytes and not by a name.
func decompress(r io.Reader) (text io.Reader, closing func(), err error) {
	b := bufio.NewReaderSize(r, 1<<16)
	begin, _ := b.Peek(len(zstdMagic)) // a short stream is a text
	switch {
	case bytes.HasPrefix(begin, gzipMagic):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, nil, broken("gzip", err)
		}
		z.Multistream(false)
		return archive{&members{z, b}, "gzip"}, func() { z.Close() }, nil
	case bytes.HasPrefix(begin, zstdMagic):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, broken("zstd", err)
		}
		return archive{z, "zstd"}, z.Close, nil
	}
	return b, func() {}, nil
}

// members are the members of a gzip stream, one after the other (RFC 1952).
type members struct {
	*gzip.Reader
	of *bufio.Reader
}

func (m *members) Read(p []byte) (int, error) {
	for { // a member may be empty, and readers give up after many reads of nothing
		n, err := m.Reader.Read(p)
		switch {
		case err != io.EOF:
			return n, err
		case n > 0:
			return n, nil // the next call looks for another member
		}
		switch next, err := m.of.Peek(len(gzipMagic)); {
		case len(next) == 0:
			return 0, err
		case len(next) < len(gzipMagic) && bytes.HasPrefix(gzipMagic, next):
			return 0, io.ErrUnexpectedEOF
		case !bytes.Equal(next, gzipMagic):
			return 0, errFollowed
		}
		if err := m.Reset(m.of); err != nil {
			return 0, err
		}
		m.Multistream(false)
	}
}

var errFollowed = errors.New("bytes that are no gzip follow them: the file was joined with another")

// archive is a compressed stream. Its errors say so.
type archive struct {
	io.Reader
	kind string
}

func (a archive) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = broken(a.kind, err)
	}
	return n, err
}

// archiveError is an error of a compressed stream.
type archiveError struct {
	kind string
	err  error
}

func (e *archiveError) Error() string {
	if errors.Is(e.err, io.ErrUnexpectedEOF) || errors.Is(e.err, io.EOF) {
		return "its " + e.kind + " data end early: the file is cut off, fetch it again"
	}
	return "its " + e.kind + " data are damaged: " + e.err.Error()
}

func (e *archiveError) Unwrap() error { return e.err }

func broken(kind string, err error) error { return &archiveError{kind, err} }
