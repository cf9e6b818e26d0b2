package output

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"slices"
)

// The mark of our pictures, by which a later one may take their place: PNG's
// text for the software, and a comment for SVG, each near the beginning.
const (
	pngMark = "tEXtSoftware\x00attnx"
	svgMark = "<!-- Drawn by attnx -->"
)

// Marked returns a picture, as gonum encodes it, with the mark by which a later
// one may take its place. The format is png or svg.
func Marked(format string, b []byte) []byte {
	if format == "svg" { // behind the XML declaration
		at := bytes.IndexByte(b, '\n') + 1
		return slices.Insert(b, at, []byte(svgMark+"\n")...)
	}
	const at = 8 + 25 // behind PNG's signature and its header, which come first
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(pngMark)-4))
	chunk = append(chunk, pngMark...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE([]byte(pngMark)))
	return slices.Insert(b, at, chunk...)
}

// isOurPicture reports whether a file has the mark.
func isOurPicture(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 256))
	return err == nil && (bytes.Contains(head, []byte(pngMark)) || bytes.Contains(head, []byte(svgMark)))
}
