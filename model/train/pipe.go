package train

import (
	"context"
	"io"
	"runtime/debug"
	"strings"
)

// readInto appends a file to a text. A pipe has no known size, so it is read
// into pieces first: growing the text would copy it repeatedly and leave the
// old copies in memory.
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
		debug.FreeOSMemory() // the text exists twice
	}
	return nil
}

// longText is the size from which memory is returned to the system at once.
const longText = 64 << 20

// pieces keeps the data written to it.
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
