package declared

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// Bind checks the given tensors against the declared inputs and returns the
// sizes of the named dimensions. In ONNX a name has one size within a graph (IR
// specification, "Static tensor shapes"). Bind refuses two sizes for one name,
// because later errors would no longer know the name.
func (s Signature) Bind(inputs map[string]format.Tensor) (map[string]int, error) {
	names := make(map[string]int)
	for _, want := range s.Inputs {
		t, ok := inputs[want.Name]
		if !ok {
			return nil, fmt.Errorf("input %.80q is missing; the model takes %s", want.Name, List(s.Inputs))
		}
		if err := t.WithName(want.Name).Check(); err != nil {
			return nil, err
		}
		if t.DType != want.DType {
			return nil, fmt.Errorf("input %.80q is %s, the model takes %s", want.Name, t.DType, want)
		}
		if !want.Ranked {
			continue
		}
		if len(t.Shape) != len(want.Shape) {
			return nil, fmt.Errorf("input %.80q has shape %v, the model takes %s", want.Name, t.Shape, want)
		}
		for i, d := range want.Shape {
			size, known := names[d.Name]
			switch {
			case d.Name == "" && t.Shape[i] != d.Size:
				return nil, fmt.Errorf("input %.80q has shape %v, the model takes %s", want.Name, t.Shape, want)
			case d.Name == "" || d.Name == "?":
			case known && size != t.Shape[i]:
				return nil, fmt.Errorf("input %.80q has shape %v: %s is %d in another input", want.Name, t.Shape, d.Name, size)
			default:
				names[d.Name] = t.Shape[i]
			}
		}
	}
	if len(inputs) > len(s.Inputs) {
		for name := range inputs {
			if !slices.ContainsFunc(s.Inputs, func(v runtime.Value) bool { return v.Name == name }) {
				return nil, fmt.Errorf("there is no input %.80q; the model takes %s", name, List(s.Inputs))
			}
		}
	}
	return names, nil
}

// ShapeOf returns the shape of v for given sizes of the names; ok is false if
// the file does not determine it. A name may be a sum, as in
// "past_sequence_length + sequence_length".
func ShapeOf(v runtime.Value, names map[string]int) (shape []int, ok bool) {
	if !v.Ranked {
		return nil, false
	}
	shape = make([]int, len(v.Shape))
	for i, d := range v.Shape {
		if d.Name == "" {
			shape[i] = d.Size
			continue
		}
		for term := range strings.SplitSeq(d.Name, "+") {
			term = strings.TrimSpace(term)
			n, known := names[term]
			if !known {
				var err error
				if n, err = strconv.Atoi(term); err != nil || n < 0 {
					return nil, false
				}
			}
			shape[i] += n
		}
	}
	n, ok := format.Elements(shape)
	return shape, ok && n <= MaxPrepared/max(v.DType.Size(), 1)
}

// MaxPrepared bounds the bytes of an output whose shape ShapeOf returns: more is
// not allocated on the word of the file alone.
const MaxPrepared = 1 << 30
