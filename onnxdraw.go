package attnx

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
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
	return x.draw(given, seed, openSizes{batch: 1, length: drawnLength})
}

// draw is Draw with other sizes.
func (x *ONNX) draw(given map[string]format.Tensor, seed uint64, open openSizes) (inputs map[string]format.Tensor, how map[string]string, err error) {
	shapes, err := x.sizes(given, open)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", x.Path, err)
	}
	return x.drawn(shapes, x.below(shapes, given), given, seed)
}

// drawn draws the inputs that are not given, in the given shapes. below are the bounds of
// integers.
func (x *ONNX) drawn(shapes map[string][]int, below map[string]int, given map[string]format.Tensor, seed uint64) (inputs map[string]format.Tensor, how map[string]string, err error) {
	inputs, how = map[string]format.Tensor{}, map[string]string{}
	divisors, held := x.divisors(), x.buffers()
	for i, v := range x.inputs {
		if t, ok := given[v.Name]; ok {
			inputs[v.Name] = t
			continue
		}
		d := drawing{v: v, shape: shapes[v.Name], below: below[v.Name], random: rand.New(rand.NewPCG(seed, uint64(i)))}
		d.role, _ = role.FromName(v.Name)
		d.divisor, d.every = divisors[v.Name], held.ones[v.Name]
		if inputs[v.Name], how[v.Name], err = d.draw(); err != nil {
			return nil, nil, fmt.Errorf("%s: input %.80q: %w", x.Path, v.Name, err)
		}
	}
	held.clear(inputs, how)
	return inputs, how, nil
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
	r, err := x.reading()
	if err != nil || x.isOpen() {
		o := read.Options{Dir: filepath.Dir(x.Path), Shapes: shapes}
		r, err = read.Model(x.File, o)
		var open *read.OpenError
		if errors.As(err, &open) {
			o.Values = given
			r, err = read.Model(x.File, o)
		}
	}
	if err != nil {
		return bounds // a runtime may accept a file that read refuses
	}
	for _, in := range ref.Inputs(r.Graph) {
		bounds[in.Name] = in.Below
	}
	return bounds
}

// divisors returns the inputs by which nodes of the file's graph divide.
func (x *ONNX) divisors() map[string]bool {
	from, all := map[string]string{}, map[string]bool{}
	for _, n := range x.File.Graph.Nodes {
		switch n.Op {
		case "Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Transpose":
			if len(n.Inputs) > 0 && len(n.Outputs) > 0 {
				from[n.Outputs[0]] = cmp.Or(from[n.Inputs[0]], n.Inputs[0])
			}
		case "Div", "Mod":
			if len(n.Inputs) > 1 {
				all[cmp.Or(from[n.Inputs[1]], n.Inputs[1])] = true
			}
		}
	}
	return all
}

// isOpen reports whether the file leaves the size of an input open.
func (x *ONNX) isOpen() bool {
	return slices.ContainsFunc(x.inputs, func(v runtime.Value) bool {
		return !v.Ranked || slices.ContainsFunc(v.Shape, func(d runtime.Dim) bool { return d.Name != "" })
	})
}

// drawing is one input that is drawn.
type drawing struct {
	v     runtime.Value
	role  role.Role
	shape []int
	below int
	// divisor: the file divides by its elements, and by an integer zero it cannot.
	divisor bool
	every   int // what each element must be; 0: anything
	random  *rand.Rand
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
	case d.every == 1 || d.isMask():
		how = "ones"
	case isImage(d.v):
		how = "drawn from 0 to 1, as an image"
	}
	for i := range values {
		switch {
		case d.every == 1 || d.isMask():
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
	case d.every > 1:
		return func(int) uint64 { return uint64(d.every) }, fmt.Sprint(d.every)
	case d.every == 1 || d.isMask():
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
	if d.divisor && limit > 1 {
		top := limit
		if d.below > 0 {
			top--
		}
		return func(int) uint64 { return 1 + d.random.Uint64N(top) }, fmt.Sprintf("drawn from 1 to %d, as a divisor", top)
	}
	return func(int) uint64 { return d.random.Uint64N(limit) }, fmt.Sprintf("drawn below %d", limit)
}

// isMask reports whether an input is a mask.
func (d drawing) isMask() bool {
	return d.role.Kind == role.AttentionMask || d.role.Kind == role.SourceMask || strings.Contains(strings.ToLower(d.v.Name), "mask")
}
