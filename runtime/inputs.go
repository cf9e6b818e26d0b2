package runtime

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// Input describes an input of a network for which cases are made.
type Input struct {
	Name  string
	Role  role.Role
	DType format.DType
	// Sizes are the named dimensions of its shape, each listed once, in order of
	// appearance.
	Sizes []string
	// Shape returns the input's shape for given sizes of the named dimensions of
	// all inputs.
	Shape func(sizes map[string]int) ([]int, error)
	// Below is the exclusive upper bound of integers, which are at least 0: table
	// rows, classes, positions. 0 means unbounded.
	Below int
}

// The default bounds.
const (
	anyLength   = 24 // length of a text
	otherLength = 64 // size of a dimension that is neither batch nor length
	anyID       = 8  // exclusive bound of integers
)

// pasts are the kinds of inputs that hold tokens of the past.
var pasts = []role.Kind{role.PastKey, role.PastTargetKey, role.PastState}

// CasesOf returns the standard inputs of a network with the given inputs and
// context; a context of 0 is unlimited. For a text alone they are those of
// Cases, within the budget. For other inputs the batch sizes and lengths are the same:
// the first named dimension is the batch, the next one the length, and every other one
// varies independently. Masks are whole, hide the end or the beginning of a text, or
// have holes. The cases are a function of the arguments.
//
// CasesOf returns an error for an input whose shape cannot be computed from
// sizes, or whose type has no numbers.
func CasesOf(inputs []Input, context, budget int, seed uint64) ([]Case, error) {
	if context < 1 {
		context = anyLength
	}
	if slices.ContainsFunc(inputs, func(in Input) bool { return slices.Contains(pasts, in.Role.Kind) }) {
		context = max(1, context/2) // the other half is the past
	}
	names := namedSizes(inputs)
	vocab := vocabulary(inputs)
	var cases []Case
	switch {
	case vocab > 0:
		cases = textCases(vocab, context, budget, seed)
	case len(names) > 1:
		for _, s := range caseSizes(context, budget) {
			cases = append(cases, Case{Batch: s.batch, Length: s.length})
		}
	case len(names) == 1:
		for batch := 1; batch <= 12; batch++ {
			cases = append(cases, Case{Batch: batch})
		}
	default: // all shapes are fixed
		for range 4 {
			cases = append(cases, Case{Batch: 1})
		}
	}
	for i := range cases {
		sizes := map[string]int{}
		for j, name := range names {
			switch j {
			case 0:
				sizes[name] = cases[i].Batch
			case 1:
				sizes[name] = cases[i].Length
			default: // alternately shorter and longer than the length
				sizes[name] = 1 + (cases[i].Length+(i+1)*(2*j-1))%min(context, otherLength)
			}
		}
		if err := cases[i].fill(inputs, sizes, splitMix(seed^uint64(i+1)<<20)); err != nil {
			return nil, err
		}
	}
	return cases, nil
}

// vocabulary returns the number of token ids, 0 if there are no tokens of shape
// (batch,length).
func vocabulary(inputs []Input) int {
	for _, in := range inputs {
		if in.Role.Kind != role.Tokens || in.DType != format.Int64 || len(in.Sizes) != 2 {
			continue
		}
		if shape, err := in.Shape(map[string]int{in.Sizes[0]: 2, in.Sizes[1]: 3}); err == nil && slices.Equal(shape, []int{2, 3}) {
			return in.Below
		}
	}
	return 0
}

// namedSizes returns the named dimensions of all inputs, each listed once. Those
// of the tokens come first, because a case is described by them.
func namedSizes(inputs []Input) (names []string) {
	add := func(in Input) {
		for _, name := range in.Sizes {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, in := range inputs {
		if in.Role.Kind == role.Tokens {
			add(in)
		}
	}
	for _, in := range inputs {
		add(in)
	}
	return names
}

// fill adds the inputs that the case lacks.
func (c *Case) fill(inputs []Input, sizes map[string]int, seed uint64) error {
	for i, in := range inputs {
		if in.Role.Kind == role.Tokens && c.IDs != nil {
			continue
		}
		shape, err := in.Shape(sizes)
		if err != nil {
			return fmt.Errorf("cases: input %.80q with %v: %w", in.Name, sizes, err)
		}
		n, ok := format.Elements(shape)
		if !ok || n > caseElements {
			return fmt.Errorf("cases: input %.80q with shape %v is too large for a case", in.Name, shape)
		}
		t, err := in.numbers(shape, n, splitMix(seed+uint64(i)))
		if err != nil {
			return fmt.Errorf("cases: input %.80q: %w", in.Name, err)
		}
		c.Given = append(c.Given, t)
	}
	return nil
}

// caseElements bounds the elements of one input.
const caseElements = 1 << 24

// shown reports whether a mask shows a column of a row, by the kind of the row: all, the
// first ones, the last ones, or all but some between the first and the last.
func shown(kind, column, width int, seed uint64) bool {
	some := 1 + int(seed%uint64(width))
	switch kind % 4 {
	case 1:
		return column < some
	case 2:
		return column >= width-some
	case 3:
		return column == 0 || column == width-1 || splitMix(seed+uint64(column))%3 > 0 && column != 1+int(seed%uint64(width))%max(1, width-2)
	}
	return true
}

// numbers returns n numbers for the input. The rows of a mask are of several kinds.
// Integers are below the bound and include the edges.
// Floating-point numbers are multiples of 1/64 from -2 to 2, which every
// floating-point type represents exactly.
func (in Input) numbers(shape []int, n int, seed uint64) (format.Tensor, error) {
	random := func(i int) uint64 { return splitMix(seed + uint64(i)) }
	if in.DType.Float() {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(random(i)%257)/64 - 2
		}
		t, _, err := format.FromFloat64s(in.Name, shape, values).Convert(in.DType)
		return t, err
	}
	width := 1
	if len(shape) > 0 {
		width = max(1, shape[len(shape)-1])
	}
	below := uint64(anyID)
	if in.Below > 0 {
		below = uint64(in.Below)
	}
	values := make([]int64, n)
	for i := range values {
		switch {
		case in.Role.Kind == role.AttentionMask || in.Role.Kind == role.SourceMask:
			if row := i / width; shown(int(seed%4)+row, i%width, width, random(row)) {
				values[i] = 1
			}
		case in.DType == format.Bool:
			values[i] = int64(random(i) % 2)
		case i < 2: // the edges
			values[i] = int64((1 - i)) * int64(below-1)
		default:
			values[i] = int64(random(i) % below)
		}
	}
	return integers(in.Name, in.DType, shape, values)
}

// integers returns integers as a tensor of the given type.
func integers(name string, d format.DType, shape []int, values []int64) (format.Tensor, error) {
	t := format.Tensor{Name: name, DType: d, Shape: shape}
	switch d {
	case format.Int64:
		return format.FromInt64s(name, shape, values), nil
	case format.Int32:
		for _, v := range values {
			t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(v))
		}
		return t, nil
	case format.Bool:
		for _, v := range values {
			t.Data = append(t.Data, byte(v))
		}
		return t, nil
	}
	return t, fmt.Errorf("cases of %s are not supported", d)
}
