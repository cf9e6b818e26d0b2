package train

import (
	"context"
	"io"
	"runtime/debug"
	"strings"
)

// readInto appends a file to a text. A pipe, whose size is not known, is read into
// pieces first: a text that grew would be copied again and again, and what it
// was before would stay in memory.
func readInto(ctx context.Context, text *strings.Builder, hash io.Writer, f textFile, r Reading) error {
	if !f.stream {
		return readFile(ctx, f, r, io.MultiWriter(text, hash), text.Len())
	}
	var read pieces
	if err := readFile(ctx, f, r, io.MultiWriter(&read, hash), text.Len()); err != nil {
		return err
	}
	text.Grow(read.size)
	for _, p := range read.list {
		text.Write(p)
	}
	if read.size >= longText {
		read.list = nil
		debug.FreeOSMemory() // the text is there twice
	}
	return nil
}

// longText is a text worth giving its memory back at once.
const longText = 64 << 20

// pieces keeps what is written to it.
type pieces struct {
	list [][]byte
	size int
}

func (p *pieces) Write(b []byte) (int, error) {
	const each = 1 << 20
	written := len(b)
	p.size += written
	for n := written; n > 0; n = len(b) {
		last := len(p.list) - 1
		if last < 0 || len(p.list[last]) == each {
			p.list = append(p.list, make([]byte, 0, each))
			last++
		}
		n = min(n, each-len(p.list[last]))
		p.list[last] = append(p.list[last], b[:n]...)
		b = b[n:]
	}
	return written, nil
}
