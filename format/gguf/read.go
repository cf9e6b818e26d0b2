package gguf

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
)

// Limits of what is before the data. Real files stay far below: a vocabulary of
// 262,144 tokens takes about 10 MB.
const (
	MaxHeader = 256 << 20 // bytes of metadata and descriptions of tensors
	MaxName   = 1<<16 - 1 // bytes of a key, from the specification, and of a tensor's name
	maxAxes   = 4         // of a tensor, as in ggml
	maxDepth  = 4         // of arrays within arrays
)

const (
	magic            = "GGUF"
	defaultAlignment = 32
	alignmentKey     = "general.alignment"
)

// Entry is one piece of metadata. Value is a uint8, int8, uint16, int16, uint32,
// int32, uint64, int64, float32, float64, bool or string, a slice of one of
// these, or []any for an array of arrays, whose elements are slices.
type Entry struct {
	Key   string
	Value any
}

// Info describes a tensor.
type Info struct {
	Name   string
	Type   Type
	Shape  []int // the slowest axis first; rows, along the last axis, are whole blocks
	Offset int64 // in the data
	Size   int64 // bytes
}

// Elements returns the number of elements.
func (i Info) Elements() int {
	n, _ := format.Elements(i.Shape)
	return n
}

// File is a GGUF file that is open for reading. It may be used by several
// goroutines.
type File struct {
	Version   int
	Alignment int
	Metadata  []Entry // in the order of the file
	Tensors   []Info  // in the order of the file

	r      io.ReaderAt
	start  int64 // of the data
	name   string
	index  map[string]int // of Metadata
	closer io.Closer
}

// Open opens a file and reads all but the data of its tensors.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var g *File
		if g, err = read(f, info.Size(), path); err == nil {
			g.closer = f
			return g, nil
		}
	}
	return nil, errors.Join(err, f.Close())
}

// Read reads a file of size bytes, except the data of its tensors, which are
// read from r later.
func Read(r io.ReaderAt, size int64) (*File, error) { return read(r, size, "") }

// Close closes the file if Open opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Value returns the value of a key, nil if the file does not have it.
func (f *File) Value(key string) any {
	if i, ok := f.index[key]; ok {
		return f.Metadata[i].Value
	}
	return nil
}

// Raw returns the bytes of a tensor as they are in the file.
func (f *File) Raw(i Info) ([]byte, error) { return f.RawIn(nil, i) }

// RawIn is Raw in the memory of buffer, if that is large enough.
func (f *File) RawIn(buffer []byte, i Info) ([]byte, error) {
	if int64(cap(buffer)) < i.Size {
		buffer = make([]byte, i.Size) // read has found as many in the file
	}
	data := buffer[:i.Size]
	if len(data) == 0 {
		return data, nil // which may lie at the end of the file
	}
	if _, err := f.r.ReadAt(data, f.start+i.Offset); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &FormatError{f.name, i.Name, f.start + i.Offset, "the file has become shorter since it was opened: " + again}
		}
		return nil, fmt.Errorf("%s: %w", cmp.Or(f.name, "gguf"), err)
	}
	return data, nil
}

// Tensor returns a tensor with its elements as float32.
func (f *File) Tensor(i Info) (format.Tensor, error) {
	if !i.Type.Readable() {
		return format.Tensor{}, &UnsupportedError{f.name, i.Name, fmt.Sprintf("its elements are %s, and attnx reads %s: quantize the model to one of these", i.Type, quote.Or(names(decoders)))}
	}
	data, err := f.Raw(i)
	if err != nil {
		return format.Tensor{}, err
	}
	if i.Type == F32 {
		return format.Tensor{Name: i.Name, DType: format.Float32, Shape: i.Shape, Data: data}, nil
	}
	values := make([]float32, i.Elements())
	if err := Dequantize(i.Type, values, data); err != nil {
		return format.Tensor{}, &FormatError{f.name, i.Name, -1, err.Error()}
	}
	return format.FromFloat32s(i.Name, i.Shape, values), nil
}

// reader reads what is before the data. The first error stays, and all that is
// read after it is zero.
type reader struct {
	r    *bufio.Reader
	at   int64 // bytes read
	size int64 // of the file, at most MaxHeader
	file string
	name string // of what is being read
	err  error
	buf  [8]byte
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = &FormatError{r.file, r.name, r.at, fmt.Sprintf(format, args...)}
	}
}

// fill reads the next bytes.
func (r *reader) fill(b []byte) bool {
	if r.err != nil {
		return false
	}
	if int64(len(b)) > r.size-r.at {
		r.short()
		return false
	}
	n, err := io.ReadFull(r.r, b)
	r.at += int64(n)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		r.short()
	case err != nil:
		r.err = fmt.Errorf("%s: %w", cmp.Or(r.file, "gguf"), err)
	}
	return err == nil
}

func (r *reader) short() {
	if r.size == MaxHeader {
		r.fail("the metadata take more than %d MB: %s", MaxHeader>>20, again)
		return
	}
	r.fail("the file ends within its metadata: %s", again)
}

// uint reads an integer of up to 8 bytes.
func (r *reader) uint(bytes int) uint64 {
	r.buf = [8]byte{}
	if !r.fill(r.buf[:bytes]) {
		return 0
	}
	return binary.LittleEndian.Uint64(r.buf[:])
}

// count reads a number of things that take at least least bytes each.
func (r *reader) count(what string, least int) int {
	n := r.uint(8)
	if left := r.size - r.at; r.err == nil && n > uint64(max(left, 0))/uint64(least) {
		r.fail("%d %s do not fit in the %d bytes that follow: %s", n, what, max(left, 0), again)
		return 0
	}
	return int(n)
}

func (r *reader) string(what string, most int64) string {
	n := r.uint(8)
	if left := min(r.size-r.at, most); r.err == nil && n > uint64(max(left, 0)) {
		r.fail("%s of %d bytes, at most %d are possible here: %s", what, n, max(left, 0), again)
		return ""
	}
	b := make([]byte, n)
	r.fill(b)
	return string(b)
}

// label reads a key or a tensor's name.
func (r *reader) label(what string) string {
	s := r.string(what, MaxName)
	if s == "" {
		r.fail("%s is empty: %s", what, again)
	}
	for _, c := range []byte(s) {
		if c < ' ' || c == 0x7f {
			r.fail("%s %s has a control character: %s", what, quote.String(s), again)
			break
		}
	}
	return s
}

// The numbers of the types of values.
const (
	typeString = 8
	typeArray  = 9
)

// kinds are the types of values but arrays: the bytes that one takes at least,
// and how one, or an array of them, is read.
var kinds = map[uint64]struct {
	least int
	one   func(*reader) any
	many  func(*reader, int) any
}{
	0:          {1, one(func(r *reader) uint8 { return uint8(r.uint(1)) }), many(func(r *reader) uint8 { return uint8(r.uint(1)) })},
	1:          {1, one(func(r *reader) int8 { return int8(r.uint(1)) }), many(func(r *reader) int8 { return int8(r.uint(1)) })},
	2:          {2, one(func(r *reader) uint16 { return uint16(r.uint(2)) }), many(func(r *reader) uint16 { return uint16(r.uint(2)) })},
	3:          {2, one(func(r *reader) int16 { return int16(r.uint(2)) }), many(func(r *reader) int16 { return int16(r.uint(2)) })},
	4:          {4, one(func(r *reader) uint32 { return uint32(r.uint(4)) }), many(func(r *reader) uint32 { return uint32(r.uint(4)) })},
	5:          {4, one(func(r *reader) int32 { return int32(r.uint(4)) }), many(func(r *reader) int32 { return int32(r.uint(4)) })},
	6:          {4, one((*reader).float32), many((*reader).float32)},
	7:          {1, one((*reader).bool), many((*reader).bool)},
	typeString: {8, one((*reader).text), many((*reader).text)},
	10:         {8, one(func(r *reader) uint64 { return r.uint(8) }), many(func(r *reader) uint64 { return r.uint(8) })},
	11:         {8, one(func(r *reader) int64 { return int64(r.uint(8)) }), many(func(r *reader) int64 { return int64(r.uint(8)) })},
	12:         {8, one((*reader).float64), many((*reader).float64)},
}

func (r *reader) float32() float32 { return math.Float32frombits(uint32(r.uint(4))) }
func (r *reader) float64() float64 { return math.Float64frombits(r.uint(8)) }
func (r *reader) text() string     { return r.string("a string", MaxHeader) }

func (r *reader) bool() bool {
	b := r.uint(1)
	if b > 1 {
		r.fail("a bool is %d, expected 0 or 1: %s", b, again)
	}
	return b == 1
}

func one[T any](get func(*reader) T) func(*reader) any { return func(r *reader) any { return get(r) } }

func many[T any](get func(*reader) T) func(*reader, int) any {
	return func(r *reader, n int) any {
		list := make([]T, n)
		for i := 0; i < n && r.err == nil; i++ {
			list[i] = get(r)
		}
		return list
	}
}

// value reads a value of a type.
func (r *reader) value(kind uint64, depth int) any {
	if k, ok := kinds[kind]; ok {
		return k.one(r)
	}
	if kind != typeArray {
		r.fail("the value has type %d, of which GGUF knows none: %s", kind, again)
		return nil
	}
	if depth == maxDepth {
		r.fail("arrays within arrays are %d deep, at most %d are read: write the model again without them", depth+1, maxDepth)
		return nil
	}
	kind = r.uint(4)
	if k, ok := kinds[kind]; ok {
		return k.many(r, r.count("elements of an array", k.least))
	}
	if kind != typeArray {
		r.fail("the elements of an array have type %d, of which GGUF knows none: %s", kind, again)
		return nil
	}
	list := make([]any, r.count("elements of an array", 12))
	for i := 0; i < len(list) && r.err == nil; i++ {
		list[i] = r.value(typeArray, depth+1)
	}
	return list
}

func read(from io.ReaderAt, size int64, path string) (*File, error) {
	r := &reader{r: bufio.NewReaderSize(io.NewSectionReader(from, 0, size), 1<<16), size: min(size, MaxHeader), file: path}
	f := &File{Alignment: defaultAlignment, r: from, name: path, index: map[string]int{}}
	f.version(r)
	tensors := r.count("tensors", 24)
	entries := r.count("pieces of metadata", 13)
	for i := 0; i < entries && r.err == nil; i++ {
		e := Entry{Key: r.label("a key")}
		r.name = e.Key
		if _, twice := f.index[e.Key]; twice {
			r.fail("the key is there twice: %s", again)
		}
		e.Value = r.value(r.uint(4), 0)
		f.index[e.Key] = len(f.Metadata)
		f.Metadata = append(f.Metadata, e)
		r.name = ""
	}
	if v := f.Value(alignmentKey); v != nil && r.err == nil {
		n, ok := v.(uint32)
		if r.name = alignmentKey; !ok || bits.OnesCount32(n) != 1 || n > 1<<30 {
			r.fail("it is %d of type %T, expected a power of 2 of type uint32: %s", n, v, again)
		}
		f.Alignment = int(n)
	}
	seen := map[string]bool{}
	for i := 0; i < tensors && r.err == nil; i++ {
		r.name = ""
		info := r.tensor(f.Alignment)
		if seen[info.Name] {
			r.fail("a tensor of this name is there twice: %s", again)
		}
		seen[info.Name] = true
		f.Tensors = append(f.Tensors, info)
	}
	if r.err != nil {
		return nil, r.err
	}
	f.start = aligned(r.at, int64(f.Alignment))
	return f, f.place(size)
}

// version reads what a file starts with.
func (f *File) version(r *reader) {
	var head [4]byte
	if r.fill(head[:]); r.err == nil && string(head[:]) != magic {
		r.at = 0
		r.fail("a GGUF file starts with GGUF, this one with %.16q: check the path", head[:])
	}
	v := uint32(r.uint(4))
	switch {
	case r.err != nil:
	case v == 2 || v == 3:
	case v == 1:
		r.err = &UnsupportedError{r.file, "", "it is of version 1 of GGUF, and attnx reads versions 2 and 3: make the file again with today's converter"}
	case v&0xffff == 0 && v != 0:
		r.err = &UnsupportedError{r.file, "", "it is big-endian: convert it with gguf_convert_endian.py"}
	default:
		r.err = &UnsupportedError{r.file, "", fmt.Sprintf("it is of version %d of GGUF, and attnx reads versions 2 and 3: convert the model again", v)}
	}
	f.Version = int(v)
}

// tensor reads the description of a tensor.
func (r *reader) tensor(alignment int) Info {
	i := Info{Name: r.label("a tensor's name")}
	r.name = i.Name
	axes := r.uint(4)
	if axes > maxAxes {
		r.fail("it has %d axes, at most %d are possible: %s", axes, maxAxes, again)
		return i
	}
	i.Shape = make([]int, axes)
	for a := range i.Shape {
		n := r.uint(8)
		if n > math.MaxInt {
			r.fail("an axis has length %d: %s", n, again)
		}
		i.Shape[len(i.Shape)-1-a] = int(n)
	}
	i.Type = Type(r.uint(4))
	offset := r.uint(8)
	if r.err != nil {
		return i
	}
	n, ok := format.Elements(i.Shape)
	block, size := i.Type.Block()
	switch {
	case block == 0:
		r.fail("its elements have type %d, of which ggml knows none: %s", uint32(i.Type), again)
	case !ok || n > math.MaxInt/size:
		r.fail("its shape %v is too large: %s", i.Shape, again)
	case block > 1 && (len(i.Shape) == 0 || i.Shape[len(i.Shape)-1]%block != 0):
		r.fail("its shape is %v, and rows of %s are a multiple of %d elements: %s", i.Shape, i.Type, block, again)
	case offset > math.MaxInt64 || offset%uint64(alignment) != 0:
		r.fail("its offset %d is not a multiple of the alignment %d: %s", offset, alignment, again)
	default:
		i.Offset, i.Size = int64(offset), int64(n/block*size)
	}
	return i
}

// place checks that the tensors lie in a file of size bytes, one after the other.
func (f *File) place(size int64) error {
	left := max(size-f.start, 0)
	order := slices.Clone(f.Tensors)
	slices.SortStableFunc(order, func(a, b Info) int {
		if a.Offset != b.Offset {
			return int(max(min(a.Offset-b.Offset, 1), -1))
		}
		return int(max(min(a.Size-b.Size, 1), -1)) // empty ones come first
	})
	end := int64(0)
	for k, i := range order {
		switch {
		case i.Size > left || i.Offset > left-i.Size:
			return &FormatError{f.name, i.Name, f.start, fmt.Sprintf("its %d bytes from %d on lie beyond the %d bytes of data: %s", i.Size, i.Offset, left, again)}
		case i.Size > 0 && i.Offset < end:
			return &FormatError{f.name, i.Name, f.start + i.Offset, fmt.Sprintf("it overlaps the tensor %s: %s", quote.String(order[k-1].Name), again)}
		}
		end = max(end, i.Offset+i.Size)
	}
	return nil
}
