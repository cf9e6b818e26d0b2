package graph

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/role"
)

// leaf records a leaf value.
func (b *Builder) leaf(op Op, name string, t Type) *Value {
	v := &Value{Name: name, Type: t}
	b.record(&Node{Op: op, Results: []*Value{v}})
	return v
}

// Input declares an input without a role.
func (b *Builder) Input(name string, t format.DType, s ...Dim) *Value {
	return b.input(name, role.Role{}, t, s)
}

// InputFor declares an input under the name of its role.
func (b *Builder) InputFor(r role.Role, t format.DType, s ...Dim) *Value {
	return b.root().input(r.Name(), r, t, s)
}

func (b *Builder) input(name string, r role.Role, t format.DType, s Shape) *Value {
	v := b.leaf(Input{Role: r}, name, Type{t, s})
	b.graph.Inputs = append(b.graph.Inputs, v)
	return v
}

// Param declares a float32 weight and the distribution of its initial values.
func (b *Builder) Param(name string, init Init, s ...int) *Value {
	v := b.leaf(Param{init}, name, Type{format.Float32, Numbers(s...)})
	b.graph.Params = append(b.graph.Params, v)
	return v
}

// Weight declares a weight of any element type. It has no initial distribution:
// its elements are given.
func (b *Builder) Weight(name string, t format.DType, s ...int) *Value {
	v := b.leaf(Param{}, name, Type{t, Numbers(s...)})
	b.graph.Params = append(b.graph.Params, v)
	return v
}

// Const records a constant tensor under its own name, or a derived one.
func (b *Builder) Const(t format.Tensor) *Value {
	if err := t.Check(); err != nil {
		b.fail("graph: %v", err)
	}
	return b.leaf(Const{t.WithName("")}, t.Name, Type{t.DType, Numbers(t.Shape...)})
}

// Scalar returns the float32 constant x, shared by all its uses.
func (b *Builder) Scalar(x float64) *Value {
	return b.shared(format.FromFloat32s("const."+strconv.FormatFloat(x, 'g', -1, 32), []int{}, []float32{float32(x)}))
}

// integer returns the int64 constant x, shared by all its uses.
func (b *Builder) integer(x int64) *Value {
	return b.shared(format.FromInt64s("integer."+strconv.FormatInt(x, 10), []int{}, []int64{x}))
}

// like returns the constant x in the floating-point type of v, shared by all
// its uses.
func (b *Builder) like(v *Value, x float64) *Value {
	if v.DType == format.Float32 || b.err != nil {
		return b.Scalar(x)
	}
	data := binary.LittleEndian.AppendUint64(nil, math.Float64bits(x))
	t, _, err := format.Tensor{DType: format.Float64, Shape: []int{}, Data: data}.Convert(v.DType)
	if err != nil {
		b.fail("graph: the number %g as %s: %v", x, v.DType, err)
		return b.Scalar(x)
	}
	return b.shared(t.WithName("const." + v.DType.String() + "." + float(x)))
}

// shared returns the constant with t's elements, recorded once, under t's name
// or a similar one if the network uses that name for something else.
func (b *Builder) shared(t format.Tensor) *Value {
	key := t.DType.String() + string(t.Data)
	if v := b.scalars[key]; v != nil {
		return v
	}
	root := b.kept()
	v := root.known(t) // including one that Rewrite has copied
	if v == nil {
		if root.names[t.Name] != nil {
			t.Name = root.free(t.Name)
		}
		v = root.Const(t)
		b.yield[v] = true
	}
	b.scalars[key] = v
	return v
}

// known returns the recorded constant with the name and elements of t, or nil.
func (b *Builder) known(t format.Tensor) *Value {
	v := b.names[b.prefix+t.Name]
	if v == nil {
		return nil
	}
	c, ok := v.Constant()
	if !ok || v.DType != t.DType || !v.Shape.Equal(Numbers(t.Shape...)) || !bytes.Equal(c.Data, t.Data) {
		return nil
	}
	return v
}
