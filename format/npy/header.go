package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
)

// The bounds of a header.
const (
	maxHeader = 1 << 16 // bytes; numpy writes about 120
	maxRank   = 64      // numpy's own
)

// magic begins every .npy file.
const magic = "\x93NUMPY"

// header is what a file says of its array.
type header struct {
	dtype   format.DType
	void    bool // elements of numpy's void type: bytes that it has no number type for
	size    int  // bytes an element
	swapped bool // big-endian
	fortran bool // the first dimension varies fastest
	shape   []int
	length  int // bytes before the elements
}

// errCut is the error of a file that ends too early.
var errCut = errors.New("the file is cut short: save the array again")

// readHeader reads what precedes the elements.
func readHeader(r io.Reader) (header, error) {
	var h header
	start := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(r, start); err != nil {
		return h, cut(err)
	}
	if string(start[:len(magic)]) != magic {
		return h, errors.New("it is no .npy file: save the array with numpy.save")
	}
	lengthSize := 2
	switch version := start[len(magic)]; version {
	case 1:
	case 2, 3:
		lengthSize = 4
	default:
		return h, fmt.Errorf("version %d of the format is not known: save the array with numpy.save", version)
	}
	word := make([]byte, 4)
	if _, err := io.ReadFull(r, word[:lengthSize]); err != nil {
		return h, cut(err)
	}
	n := binary.LittleEndian.Uint32(word)
	if n > maxHeader {
		return h, fmt.Errorf("its header has %d bytes, at most %d are read: save the array without named fields", n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, cut(err)
	}
	h.length = len(start) + lengthSize + len(text)
	err := h.parse(string(text))
	return h, err
}

// cut is the error of a read.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// parse reads the Python dictionary of a header: its three keys, in any order.
func (h *header) parse(text string) error {
	p := parser{rest: text}
	seen := map[string]bool{}
	p.expect("{")
	for !p.at("}") {
		key := p.quoted()
		p.expect(":")
		if seen[key] {
			p.fail()
		}
		seen[key] = true
		switch key {
		case "descr":
			if p.at("[") {
				return errors.New("its elements have named fields: save one field alone")
			}
			if descr := p.quoted(); p.err == nil {
				if err := h.describe(descr); err != nil {
					return err
				}
			}
		case "fortran_order":
			h.fortran = p.boolean()
		case "shape":
			h.shape = p.tuple()
		default:
			p.fail()
		}
		if !p.at("}") {
			p.expect(",")
		}
		if p.err != nil {
			return p.err
		}
	}
	p.expect("}")
	if strings.TrimSpace(p.rest) != "" || len(seen) != 3 {
		p.fail()
	}
	return p.err
}

// numbers are numpy's types of numbers by their kind and size.
var numbers = map[string]format.DType{
	"f8": format.Float64, "f4": format.Float32, "f2": format.Float16,
	"i8": format.Int64, "i4": format.Int32, "i2": format.Int16, "i1": format.Int8,
	"u8": format.Uint64, "u4": format.Uint32, "u2": format.Uint16, "u1": format.Uint8, "b1": format.Bool,
}

// describe reads the type of the elements: the order of the bytes, the kind and
// the size.
func (h *header) describe(descr string) error {
	kind := strings.TrimLeft(descr, "<>|=")
	if len(descr)-len(kind) > 1 {
		return fmt.Errorf("elements of type %.80q are not known", descr)
	}
	h.swapped = strings.HasPrefix(descr, ">")
	if d, ok := numbers[kind]; ok {
		h.dtype, h.size = d, d.Size()
		return nil
	}
	switch {
	case strings.HasPrefix(kind, "O"):
		return errors.New("it holds Python objects (a pickle), which are not loaded: save an array of numbers")
	case kind == "V1" || kind == "V2":
		h.void, h.size = true, int(kind[1]-'0')
		return nil
	}
	return fmt.Errorf("elements of type %.80q are not numbers that a tensor holds: convert the array with astype", descr)
}

// parser reads the few literals that a header has.
type parser struct {
	rest string
	err  error
}

func (p *parser) fail() {
	if p.err == nil {
		p.err = errors.New("its header is not what numpy writes: save the array with numpy.save")
	}
	p.rest = "}" // every loop ends
}

// at reports whether a token comes next.
func (p *parser) at(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \n\t")
	return strings.HasPrefix(p.rest, token)
}

func (p *parser) expect(token string) {
	if !p.at(token) {
		p.fail()
		return
	}
	p.rest = p.rest[len(token):]
}

// quoted reads a string without escapes.
func (p *parser) quoted() string {
	quote := "'"
	if p.at(`"`) {
		quote = `"`
	}
	p.expect(quote)
	text, rest, ok := strings.Cut(p.rest, quote)
	if !ok || strings.Contains(text, `\`) {
		p.fail()
		return ""
	}
	p.rest = rest
	return text
}

func (p *parser) boolean() bool {
	if p.at("True") {
		p.expect("True")
		return true
	}
	p.expect("False")
	return false
}

// tuple reads a shape.
func (p *parser) tuple() []int {
	shape := []int{}
	p.expect("(")
	for p.err == nil && !p.at(")") {
		digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil || len(shape) == maxRank {
			p.fail()
			return nil
		}
		p.rest = strings.TrimPrefix(p.rest[len(digits):], "L") // Python 2 wrote long numbers so
		shape = append(shape, n)
		if !p.at(")") {
			p.expect(",")
		}
	}
	p.expect(")")
	return shape
}
