package onnx

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// inlined is the size up to which bytes are copied into a message instead of
// referenced.
const inlined = 1 << 12

// message is an encoded protobuf message: parts written one after the other.
// The last part can grow if the message owns it.
type message struct {
	parts [][]byte
	size  int64
	open  bool // the last part can grow
}

// grow appends small bytes.
func (e *message) grow(f func(b []byte) []byte) {
	if !e.open {
		e.parts = append(e.parts, nil)
		e.open = true
	}
	last := &e.parts[len(e.parts)-1]
	before := len(*last)
	*last = f(*last)
	e.size += int64(len(*last) - before)
}

func (e *message) varint(n protowire.Number, v uint64) {
	e.grow(func(b []byte) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
	})
}

// int writes a field unless it is 0, proto3's default.
func (e *message) int(n protowire.Number, v int64) {
	if v != 0 {
		e.varint(n, uint64(v))
	}
}

func (e *message) text(n protowire.Number, s string) {
	if s != "" {
		e.string(n, s)
	}
}

// string writes a field even if it is empty, as required for elements of a
// list.
func (e *message) string(n protowire.Number, s string) {
	e.grow(func(b []byte) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
	})
}

func (e *message) bytes(n protowire.Number, v []byte) {
	e.grow(func(b []byte) []byte {
		b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.BytesType), uint64(len(v)))
		if len(v) <= inlined {
			b = append(b, v...)
		}
		return b
	})
	if len(v) > inlined {
		e.parts = append(e.parts, v)
		e.size += int64(len(v))
		e.open = false
	}
}

func (e *message) message(n protowire.Number, sub *message) {
	e.grow(func(b []byte) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.BytesType), uint64(sub.size))
	})
	if sub.size <= inlined {
		e.grow(func(b []byte) []byte {
			for _, p := range sub.parts {
				b = append(b, p...)
			}
			return b
		})
		return
	}
	e.parts = append(e.parts, sub.parts...)
	e.size += sub.size
	e.open = false
}

// packed writes a list of integers as one field.
func (e *message) packed(n protowire.Number, v []int64) {
	if len(v) == 0 {
		return
	}
	var list []byte
	for _, x := range v {
		list = protowire.AppendVarint(list, uint64(x))
	}
	e.bytes(n, list)
}
