package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// metadataName is the only member of a header that is not a tensor.
const metadataName = "__metadata__"

// encodeHeader returns the length word and the canonical header, padded.
func encodeHeader(metadata map[string]string, entries []entry) ([]byte, error) {
	b := make([]byte, lengthSize, pageSize)
	b = append(b, '{')
	if len(metadata) > 0 {
		b = append(b, `"`+metadataName+`":{`...)
		for i, name := range slices.Sorted(maps.Keys(metadata)) {
			b = appendComma(b, i)
			b = appendString(b, name)
			b = append(b, ':')
			b = appendString(b, metadata[name])
		}
		b = append(b, "},"...)
	}
	for _, e := range entries {
		b = appendString(b, e.Name)
		b = append(b, `:{"dtype":"`+e.DType.String()+`","shape":`...)
		b = appendShape(b, e.Shape)
		b = fmt.Appendf(b, `,"data_offsets":[%d,%d]},`, e.begin, e.end)
	}
	b = append(bytes.TrimSuffix(b, []byte(",")), '}')

	n := paddedHeader(len(b) - lengthSize)
	if n > MaxHeader {
		return nil, &FormatError{Offset: -1, Reason: fmt.Sprintf("the header would have %d bytes, at most %d: shorten names or metadata", n, MaxHeader)}
	}
	b = append(b, bytes.Repeat([]byte{' '}, lengthSize+n-len(b))...)
	binary.LittleEndian.PutUint64(b, uint64(n))
	return b, nil
}

// appendComma separates element i of a list from the one before.
func appendComma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

// appendShape appends a shape as JSON.
func appendShape(b []byte, shape []int) []byte {
	b = append(b, '[')
	for i, d := range shape {
		b = appendComma(b, i)
		b = strconv.AppendInt(b, int64(d), 10)
	}
	return append(b, ']')
}

// appendString appends s as JSON.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // fails only on invalid UTF-8, which Header.check has rejected
	return b
}
