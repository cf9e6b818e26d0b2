package gorgonia

import (
	"encoding/binary"
	"fmt"
	"hash"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// element is the type in which a program computes floating-point values.
type element interface{ float32 | float64 }

// operand is the memory of one value, row-major. Only the field of its element
// type is set.
type operand[E element] struct {
	f []E
	i []int64
	b []bool
}

func (o operand[E]) len() int { return len(o.f) + len(o.i) + len(o.b) }

// slice returns the n elements from offset on, sharing memory.
func (o operand[E]) slice(offset, n int) operand[E] {
	switch {
	case o.i != nil:
		return operand[E]{i: o.i[offset : offset+n : offset+n]}
	case o.b != nil:
		return operand[E]{b: o.b[offset : offset+n : offset+n]}
	}
	return operand[E]{f: o.f[offset : offset+n : offset+n]}
}

// newOperand returns zeroed memory for n elements.
func newOperand[E element](t tensor.Dtype, n int) operand[E] {
	switch t {
	case tensor.Int64:
		return operand[E]{i: make([]int64, n)}
	case tensor.Bool:
		return operand[E]{b: make([]bool, n)}
	}
	return operand[E]{f: make([]E, n)}
}

// kernel computes one operator. It must write every element of out, which
// holds old data and overlaps no argument.
type kernel[E element] func(out operand[E], in []operand[E]) error

// rule returns the gradients of an operator's arguments, given that of its
// result. An argument that is not floating-point has a nil gradient.
type rule func(in G.Nodes, out, grad *G.Node) G.Nodes

// operator is a Gorgonia operator with our kernel and differentiation rule.
// Gorgonia's built-in operators drop axes of length 1, do not support
// integers, copy to broadcast, and are mixed up when their hashes agree. An
// operator equals only itself, so no two nodes merge.
type operator[E element] struct {
	name   string
	serial uint32    // unique in its graph
	in     []hm.Type // of the arguments
	dtype  tensor.Dtype
	shape  tensor.Shape
	kernel kernel[E]
	rule   rule // nil if the result has no derivative
	offset int  // of a view: kernel is nil and the result starts here in the argument's memory
}

var (
	_ G.SDOp            = (*operator[float32])(nil)
	_ G.UsePreallocDoer = (*operator[float32])(nil)
)

func (o *operator[E]) Arity() int           { return len(o.in) }
func (o *operator[E]) ReturnsPtr() bool     { return false }
func (o *operator[E]) CallsExtern() bool    { return false }
func (o *operator[E]) OverwritesInput() int { return -1 }
func (o *operator[E]) Hashcode() uint32     { return o.serial }
func (o *operator[E]) String() string       { return o.name }

// Type returns a new type each time, because Gorgonia recycles it.
func (o *operator[E]) Type() hm.Type {
	return hm.NewFnType(append(slices.Clone(o.in), G.TensorType{Dims: o.shape.Dims(), Of: o.dtype})...)
}

func (o *operator[E]) InferShape(...G.DimSizer) (tensor.Shape, error) { return o.shape.Clone(), nil }

func (o *operator[E]) WriteHash(h hash.Hash) {
	h.Write(binary.LittleEndian.AppendUint32([]byte(o.name), o.serial))
}

func (o *operator[E]) DiffWRT(n int) []bool {
	wrt := make([]bool, n)
	for i, t := range o.in {
		tt, ok := t.(G.TensorType)
		wrt[i] = ok && o.rule != nil && (tt.Of == tensor.Float32 || tt.Of == tensor.Float64)
	}
	return wrt
}

func (o *operator[E]) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	return o.rule(in, out, grad), nil
}

// Do computes the operator on Gorgonia's values, for its machines.
func (o *operator[E]) Do(in ...G.Value) (G.Value, error) {
	return o.UsePreallocDo(tensor.New(tensor.Of(o.dtype), tensor.WithShape(o.shape...)), in...)
}

func (o *operator[E]) UsePreallocDo(out G.Value, in ...G.Value) (G.Value, error) {
	to, err := operandOf[E](out)
	if err != nil {
		return nil, err
	}
	if !o.shape.Eq(out.Shape()) {
		return nil, fmt.Errorf("train: %s gives %v, not %v", o.name, o.shape, out.Shape())
	}
	args := make([]operand[E], len(in))
	for i, v := range in {
		if args[i], err = operandOf[E](v); err != nil {
			return nil, err
		}
	}
	return out, o.run(to, args)
}

// run computes the operator into out.
func (o *operator[E]) run(out operand[E], in []operand[E]) error {
	if o.kernel == nil {
		from := in[0].slice(o.offset, out.len())
		copy(out.f, from.f)
		copy(out.i, from.i)
		copy(out.b, from.b)
		return nil
	}
	return o.kernel(out, in)
}

// operandOf returns the memory of a Gorgonia value.
func operandOf[E element](v G.Value) (operand[E], error) {
	switch s := v.Data().(type) {
	case []E:
		return operand[E]{f: s}, nil
	case []int64:
		return operand[E]{i: s}, nil
	case []bool:
		return operand[E]{b: s}, nil
	}
	return operand[E]{}, fmt.Errorf("train: a value of type %v cannot be computed with", v.Dtype())
}
