package attnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/npy"
	"github.com/attnx/attnx/runtime"
)

// maxJSON bounds the bytes of a JSON input.
const maxJSON = 256 << 20

// maxProto bounds the bytes of a TensorProto, as protobuf does.
const maxProto = 1<<31 - 1

// maxDepth bounds the nesting depth of a JSON input.
const maxDepth = 64

// ReadInput reads an input from a file: NumPy's .npy, .npz with an array of the
// input's name or with a single array, .json with nested lists of numbers, or
// .pb with ONNX's TensorProto. An array of another type is converted if the input's type
// has all its numbers; numbers do not become integers. Errors name the file.
func (x *ONNX) ReadInput(name, file string) (format.Tensor, error) {
	t, _, err := x.readInput(name, file)
	return t, err
}

// readInput is ReadInput, and returns the type of the array in the file.
func (x *ONNX) readInput(name, file string) (t format.Tensor, was format.DType, err error) {
	if err := x.known(map[string]format.Tensor{name: {}}); err != nil {
		return t, was, err
	}
	var v runtime.Value
	for _, in := range x.inputs {
		if in.Name == name {
			v = in
		}
	}
	if t, err = readTensor(file, v); err != nil {
		return t, was, err
	}
	was = t.DType
	if t, err = converted(file, t, v.DType); err != nil {
		return t, was, err
	}
	t.Name = name
	if err := fits(t, v); err != nil {
		return t, was, fmt.Errorf("%s: %w", file, err)
	}
	return t, was, nil
}

// readTensor reads a tensor for an input, in the format of the file's
// extension.
func readTensor(file string, v runtime.Value) (format.Tensor, error) {
	if info, err := os.Stat(file); err != nil {
		return format.Tensor{}, err
	} else if !info.Mode().IsRegular() {
		return format.Tensor{}, fmt.Errorf("%s: it is not a file: name a .npy, .npz, .json or .pb file", file)
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".npy":
		return npy.ReadFile(file, v.DType, taking(v))
	case ".npz":
		return npy.ReadNamed(file, v.Name, v.DType, taking(v))
	case ".json":
		return fromJSON(file, v.DType)
	case ".pb":
		return protoTensor(file)
	}
	return format.Tensor{}, fmt.Errorf("%s: the ending of its name does not say what it holds: name a .npy, .npz, .json, .pb or .txt file", file)
}

// taking returns the check of the shape of an array for an input.
func taking(v runtime.Value) npy.Check {
	return func(shape []int) error { return fitsShape(shape, v) }
}

// protoTensor reads a file with ONNX's TensorProto.
func protoTensor(file string) (format.Tensor, error) {
	if info, err := os.Stat(file); err != nil {
		return format.Tensor{}, err
	} else if info.Size() > maxProto {
		return format.Tensor{}, fmt.Errorf("%s: it has more than %d bytes: save it as a .npy file", file, maxProto)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return format.Tensor{}, err
	}
	t, err := onnx.DecodeTensor(data)
	if err != nil {
		return format.Tensor{}, fmt.Errorf("%s: %w: save the tensor again", file, err)
	}
	if t.External != nil {
		return format.Tensor{}, fmt.Errorf("%s: its elements are in another file: save them in it", file)
	}
	out, err := read.Tensor(t, "")
	if err != nil {
		return out, fmt.Errorf("%s: %w", file, err)
	}
	return out, nil
}

// fromJSON reads nested lists of numbers as a tensor of a type.
func fromJSON(file string, d format.DType) (format.Tensor, error) {
	f, err := os.Open(file)
	if err != nil {
		return format.Tensor{}, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return format.Tensor{}, err
	} else if info.Size() > maxJSON {
		return format.Tensor{}, fmt.Errorf("%s: it has more than %d bytes: save it as a .npy file", file, maxJSON)
	}
	l := lists{text: json.NewDecoder(f), dtype: d}
	l.text.UseNumber()
	if err := l.read(0); err != nil {
		return format.Tensor{}, fmt.Errorf("%s: %w", file, err)
	}
	if _, err := l.text.Token(); !errors.Is(err, io.EOF) {
		return format.Tensor{}, fmt.Errorf("%s: more follows the list: leave one list of numbers", file)
	}
	t := format.Tensor{DType: d, Shape: l.shape, Data: l.data}
	if t.Shape == nil {
		t.Shape = []int{}
	}
	return t, t.Check()
}

// lists reads nested lists of numbers. All lists of a depth must have the same
// length.
type lists struct {
	text  *json.Decoder
	dtype format.DType
	shape []int // by depth; -1 until the first list of that depth has ended
	data  []byte
	leaf  bool // a number was read: deeper lists are refused
}

func (l *lists) read(depth int) error {
	token, err := l.text.Token()
	if err != nil {
		return fmt.Errorf("it is no JSON list of numbers (%w): write one, such as [[1, 2], [3, 4]]", err)
	}
	if token != json.Delim('[') {
		if depth != len(l.shape) {
			return errors.New("a number is where a list is expected: give all lists one depth")
		}
		l.leaf = true
		return l.number(token)
	}
	if depth == len(l.shape) {
		if l.leaf || depth == maxDepth {
			return errors.New("a list is where a number is expected: give all lists one depth")
		}
		l.shape = append(l.shape, -1)
	}
	n := 0
	for ; l.text.More(); n++ {
		if err := l.read(depth + 1); err != nil {
			return err
		}
	}
	if _, err := l.text.Token(); err != nil {
		return fmt.Errorf("it is cut short (%w): write the whole list", err)
	}
	if n == 0 {
		l.leaf = true
	}
	if l.shape[depth] >= 0 && l.shape[depth] != n {
		return fmt.Errorf("one list has %d elements and another %d: give them one length", l.shape[depth], n)
	}
	l.shape[depth] = n
	return nil
}

// number appends a number of the type.
func (l *lists) number(token json.Token) error {
	text := fmt.Sprint(token)
	if b, is := token.(bool); is {
		text = "0"
		if b {
			text = "1"
		}
	} else if _, is := token.(json.Number); !is {
		return fmt.Errorf("%.80q is not a number: give lists of numbers", text)
	}
	bad := fmt.Errorf("%.80s is not of type %s: give numbers of that type", text, l.dtype)
	if l.dtype.Float() {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return bad
		}
		t, _, err := format.FromFloat64s("", []int{1}, []float64{v}).Convert(l.dtype)
		l.data = append(l.data, t.Data...)
		return err
	}
	bits, signed := l.dtype.Integer()
	if l.dtype == format.Bool {
		bits = 1
	}
	var v uint64
	if signed {
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return bad
		}
		v = uint64(n)
	} else if n, err := strconv.ParseUint(text, 10, bits); err != nil {
		return bad
	} else {
		v = n
	}
	l.data = appendInteger(l.data, l.dtype, v)
	return nil
}

// appendInteger appends the low bits of v as an element.
func appendInteger(data []byte, d format.DType, v uint64) []byte {
	if bits, _ := d.Integer(); bits > 0 && bits < 8 {
		v &= 1<<bits - 1
	}
	for i := range d.Size() {
		data = append(data, byte(v>>(8*i)))
	}
	return data
}
