package output

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"slices"
)

// The mark of our pictures, which allows a later one to replace them: PNG's
// software text, and a comment in SVG, each near the start.
const (
	pngMark = "tEXtSoftware\x00attnx"
	svgMark = "<!-- Drawn by attnx -->"
)

// Marked adds the mark to a picture that gonum encoded, so that a later
// picture may replace it. The format is png or svg.
func Marked(format string, b []byte) []byte {
	if format == "svg" { // after the XML declaration
		at := bytes.IndexByte(b, '\n') + 1
		return slices.Insert(b, at, []byte(svgMark+"\n")...)
	}
	const at = 8 + 25 // after PNG's signature and header, which must come first
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(pngMark)-4))
	chunk = append(chunk, pngMark...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE([]byte(pngMark)))
	return slices.Insert(b, at, chunk...)
}

// PageMark is what a page of HTML of ours has near its start.
const PageMark = `<meta name="generator" content="attnx">`

// isOurPicture reports whether a file has the mark.
func isOurPicture(path string) bool { return begins(path, pngMark) || begins(path, svgMark) }

// begins reports whether a file has a mark near its start.
func begins(path, mark string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 256))
	return err == nil && bytes.Contains(head, []byte(mark))
}
