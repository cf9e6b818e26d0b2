package attnx

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ref"
)

// The default sizes of dimensions, and the bound on a drawn input.
const (
	drawnLength  = 8
	drawnPixels  = 224
	drawnColours = 3
	drawnIDs     = 2       // exclusive bound of ids if the graph does not show the table
	maxDrawn     = 1 << 26 // elements of an input
)

// Draw completes the given inputs. It draws the others from their declared types and
// shapes, as a function of the seed, the file and the given inputs. how describes
// each drawn input.
//
// Ids are below the size of the table that the graph looks them up in, masks are
// ones, positions count from 0, images of floating-point numbers are from 0 to 1,
// and other floating-point numbers from -2 to 2. A named dimension has one size in
// all inputs. The first dimension is 1 if the file does not fix it.
func (x *ONNX) Draw(given map[string]format.Tensor, seed uint64) (inputs map[string]format.Tensor, how map[string]string, err error) {
	if err := x.known(given); err != nil {
		return nil, nil, err
	}
	return x.draw(given, seed, openSizes{1, drawnLength})
}

// openSizes are the sizes of the dimensions that a file leaves open: of the first
// one, and of the others.
type openSizes struct{ batch, length int }

// draw is Draw with other sizes.
func (x *ONNX) draw(given map[string]format.Tensor, seed uint64, open openSizes) (inputs map[string]format.Tensor, how map[string]string, err error) {
	shapes, err := x.sizes(given, open)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", x.Path, err)
	}
	inputs, how = map[string]format.Tensor{}, map[string]string{}
	below := x.below(shapes, given)
	for i, v := range x.inputs {
		if t, ok := given[v.Name]; ok {
			inputs[v.Name] = t
			continue
		}
		d := drawing{v: v, shape: shapes[v.Name], below: below[v.Name], random: rand.New(rand.NewPCG(seed, uint64(i)))}
		d.role, _ = role.FromName(v.Name)
		if inputs[v.Name], how[v.Name], err = d.draw(); err != nil {
			return nil, nil, fmt.Errorf("%s: input %.80q: %w", x.Path, v.Name, err)
		}
	}
	return inputs, how, nil
}

// sizes returns a shape for every input.
func (x *ONNX) sizes(given map[string]format.Tensor, open openSizes) (map[string][]int, error) {
	named := map[string]int{}
	for _, v := range x.inputs {
		if r, _ := role.FromName(v.Name); r == role.Layered(role.PastKey, 0) {
			open.length = (open.length + 1) / 2 // a past and new tokens share the context
		}
	}
	for _, v := range x.inputs {
		if t, ok := given[v.Name]; ok && len(t.Shape) == len(v.Shape) {
			for i, d := range v.Shape {
				named[d.Name] = t.Shape[i]
			}
		}
	}
	delete(named, "?")
	for _, v := range x.inputs { // plain names first, then sums of them
		for i, d := range v.Shape {
			if _, known := named[d.Name]; !known && d.Name != "" && d.Name != "?" && !strings.ContainsAny(d.Name, "+-* ") {
				named[d.Name] = open.of(v, i)
			}
		}
	}
	x.total(named, given)
	shapes := map[string][]int{}
	for _, v := range x.inputs {
		if t, ok := given[v.Name]; ok {
			shapes[v.Name] = t.Shape
			continue
		}
		if !v.Ranked {
			return nil, fmt.Errorf("input %.80q: the file does not say how many dimensions it has: give it", v.Name)
		}
		shape := make([]int, len(v.Shape))
		for i, d := range v.Shape {
			if shape[i] = d.Size; d.Name != "" {
				shape[i] = sizeOf(d.Name, named, open.of(v, i))
			}
		}
		if n, ok := format.Elements(shape); !ok || n > maxDrawn {
			return nil, fmt.Errorf("input %.80q: shape %v is too large to be drawn: give it", v.Name, shape)
		}
		shapes[v.Name] = shape
	}
	return shapes, nil
}

// total sets the length of a mask over a past and new tokens to the sum of
// their lengths, if the dimension's name is not such a sum.
func (x *ONNX) total(named map[string]int, given map[string]format.Tensor) {
	length := map[role.Kind]string{} // the name of the length dimension, by role
	for _, v := range x.inputs {
		r, _ := role.FromName(v.Name)
		axis := map[role.Kind]int{role.Tokens: 1, role.AttentionMask: 1, role.PastKey: 2}[r.Kind]
		if _, there := given[v.Name]; axis > 0 && axis < len(v.Shape) && (r.Kind != role.AttentionMask || !there) {
			length[r.Kind] = v.Shape[axis].Name
		}
	}
	mask, past, tokens := length[role.AttentionMask], length[role.PastKey], length[role.Tokens]
	if _, single := named[mask]; single && past != "" && mask != past && mask != tokens {
		named[mask] = named[past] + named[tokens]
	}
}

// sizeOf returns the size of a dimension, which is a name or a sum of names and
// numbers.
func sizeOf(name string, named map[string]int, otherwise int) int {
	if n, ok := named[name]; ok {
		return n
	}
	sum := 0
	for term := range strings.SplitSeq(name, "+") {
		term = strings.TrimSpace(term)
		n, known := named[term]
		if number, err := strconv.Atoi(term); err == nil && number >= 0 {
			n, known = number, true
		}
		if !known {
			return otherwise
		}
		sum += n
	}
	return sum
}

// of returns the default size of a dimension.
func (s openSizes) of(v runtime.Value, axis int) int {
	switch {
	case axis == 0:
		return s.batch
	case isImage(v) && axis == channelAxis(v):
		return drawnColours
	case isImage(v):
		return drawnPixels
	}
	return s.length
}

// isImage reports whether an input is a batch of images: four dimensions, one of
// them the color channels.
func isImage(v runtime.Value) bool {
	if len(v.Shape) != 4 || !v.DType.Float() && v.DType != format.Uint8 {
		return false
	}
	if r, known := role.FromName(v.Name); known && r.Kind != role.Features {
		return false // keys and values of a past
	}
	return channelAxis(v) > 0
}

// channelAxis returns the axis of the color channels, which has size 1, 3 or 4;
// 0 if there is none.
func channelAxis(v runtime.Value) int {
	for _, axis := range []int{1, 3} {
		if n := v.Shape[axis]; n.Name == "" && (n.Size == 1 || n.Size == 3 || n.Size == 4) {
			return axis
		}
	}
	return 0
}

// below returns the bounds of the integers of each input, as far as the graph
// shows them.
func (x *ONNX) below(shapes map[string][]int, given map[string]format.Tensor) map[string]int {
	bounds := map[string]int{}
	o := read.Options{Dir: filepath.Dir(x.Path), Shapes: shapes}
	r, err := read.Model(x.File, o)
	var open *read.OpenError
	if errors.As(err, &open) {
		o.Values = given
		r, err = read.Model(x.File, o)
	}
	if err != nil {
		return bounds // a runtime may accept a file that read refuses
	}
	for _, in := range ref.Inputs(r.Graph) {
		bounds[in.Name] = in.Below
	}
	return bounds
}

// drawing is one input that is drawn.
type drawing struct {
	v      runtime.Value
	role   role.Role
	shape  []int
	below  int
	random *rand.Rand
}

// draw returns the input and its description.
func (d drawing) draw() (format.Tensor, string, error) {
	n, _ := format.Elements(d.shape)
	if d.v.DType.Float() {
		return d.numbers(n)
	}
	value, how := d.integers()
	data := make([]byte, 0, n*d.v.DType.Size())
	for i := range n {
		data = appendInteger(data, d.v.DType, value(i))
	}
	t := format.Tensor{Name: d.v.Name, DType: d.v.DType, Shape: d.shape, Data: data}
	return t, how, t.Check()
}

// numbers draws floating-point numbers: multiples of 1/256 in images, of 1/64
// elsewhere.
func (d drawing) numbers(n int) (format.Tensor, string, error) {
	values := make([]float64, n)
	how := "drawn from -2 to 2"
	switch {
	case d.isMask():
		how = "ones"
	case isImage(d.v):
		how = "drawn from 0 to 1, as an image"
	}
	for i := range values {
		switch {
		case d.isMask():
			values[i] = 1
		case isImage(d.v):
			values[i] = float64(d.random.IntN(257)) / 256
		default:
			values[i] = float64(d.random.IntN(257))/64 - 2
		}
	}
	t, _, err := format.FromFloat64s(d.v.Name, d.shape, values).Convert(d.v.DType)
	return t, how, err
}

// integers returns a function that gives each element of an integer type.
func (d drawing) integers() (value func(i int) uint64, how string) {
	width := 1
	if len(d.shape) > 0 {
		width = max(1, d.shape[len(d.shape)-1])
	}
	switch {
	case d.isMask():
		return func(int) uint64 { return 1 }, "ones"
	case d.role.Kind == role.Positions && (d.below == 0 || width <= d.below):
		return func(i int) uint64 { return uint64(i % width) }, "counted from 0"
	case d.v.DType == format.Bool:
		return func(int) uint64 { return d.random.Uint64N(2) }, "drawn"
	case isImage(d.v):
		return func(int) uint64 { return d.random.Uint64N(256) }, "drawn below 256, as an image"
	}
	limit := uint64(drawnIDs)
	if d.below > 0 {
		limit = uint64(d.below)
	}
	if bits, signed := d.v.DType.Integer(); bits < 64 {
		if signed {
			bits--
		}
		limit = min(limit, 1<<bits)
	}
	return func(int) uint64 { return d.random.Uint64N(limit) }, fmt.Sprintf("drawn below %d", limit)
}

// isMask reports whether an input is a mask.
func (d drawing) isMask() bool {
	return d.role.Kind == role.AttentionMask || d.role.Kind == role.SourceMask || strings.Contains(strings.ToLower(d.v.Name), "mask")
}
