package ref_test

import (
	"fmt"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ref"
)

// A size that data decide is bound when its node has run, for every run anew,
// and what comes after has it.
func TestSizesThatDataDecide(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.Sym("N"))
	places := b.Apply(graph.NonZero{Count: graph.Sym("found")}, 1, x)[0]
	found := graph.Sym("found")
	flat := b.Reshape(places, found)
	b.Output("picked", b.Gather(x, flat))
	b.Output("twice", b.Concat(0, flat, b.Range(graph.N(0), found)))
	g, err := b.Graph()
	if err != nil {
		t.Fatal(err)
	}
	o, err := ref.New(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in            []float64
		picked, twice string
	}{
		{[]float64{0, 3, 0, -1}, "[3 -1]", "[1 3 0 1]"},
		{[]float64{0, 0}, "[]", "[]"},
		{[]float64{5}, "[5]", "[0 0]"},
	} {
		got, err := o.Run(map[string]format.Tensor{"x": format.FromFloat64s("x", []int{len(c.in)}, c.in)})
		if err != nil {
			t.Fatal(err)
		}
		picked, _ := got["picked"].AsFloat64s()
		twice, _ := got["twice"].Int64s()
		if fmt.Sprint(picked) != c.picked || fmt.Sprint(twice) != c.twice {
			t.Errorf("%v: picked %v, %v, expected %s, %s", c.in, picked, twice, c.picked, c.twice)
		}
	}
}

// Integers wrap to their type, and the upper half of UINT64 is no negative number.
// Expected values are NumPy's.
func TestIntegersOfEveryType(t *testing.T) {
	u64 := func(v ...uint64) format.Tensor {
		x := format.Tensor{DType: format.Uint64, Shape: []int{len(v)}}
		for _, e := range v {
			for i := range 8 {
				x.Data = append(x.Data, byte(e>>(8*i)))
			}
		}
		return x
	}
	const big = 1<<63 + 6
	for name, c := range map[string]struct {
		op   graph.Op
		x, y format.Tensor
		want string
	}{
		"int8 wraps":     {graph.Add, format.Tensor{DType: format.Int8, Shape: []int{2}, Data: []byte{127, 0x80}}, format.Tensor{DType: format.Int8, Shape: []int{2}, Data: []byte{1, 0xff}}, "I8 [128 127]"},
		"uint8 wraps":    {graph.Sub, format.Tensor{DType: format.Uint8, Shape: []int{1}, Data: []byte{3}}, format.Tensor{DType: format.Uint8, Shape: []int{1}, Data: []byte{5}}, "U8 [254]"},
		"uint64 divided": {graph.Div, u64(big), u64(2), "U64 [3 0 0 0 0 0 0 64]"},
		"uint64 largest": {graph.Max, u64(big), u64(7), "U64 [6 0 0 0 0 0 0 128]"},
		"uint64 less":    {graph.Less, u64(7, big), u64(big, 7), "BOOL [1 0]"},
		"uint64 shifted": {graph.ShiftRight, u64(big), u64(60), "U64 [8 0 0 0 0 0 0 0]"},
		"int8 modulo":    {graph.Mod, format.Tensor{DType: format.Int8, Shape: []int{2}, Data: []byte{0xf9, 7}}, format.Tensor{DType: format.Int8, Shape: []int{2}, Data: []byte{3, 0xfd}}, "I8 [2 254]"},
		"int8 remainder": {graph.FMod, format.Tensor{DType: format.Int8, Shape: []int{1}, Data: []byte{0xf9}}, format.Tensor{DType: format.Int8, Shape: []int{1}, Data: []byte{3}}, "I8 [255]"},
	} {
		b := graph.NewBuilder()
		v := b.Apply(c.op, 1, b.Input("x", c.x.DType, graph.N(c.x.Shape[0])), b.Input("y", c.y.DType, graph.N(c.y.Shape[0])))[0]
		b.Output("z", v)
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		o, err := ref.New(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.Run(map[string]format.Tensor{"x": c.x, "y": c.y})
		if z := got["z"]; err != nil || fmt.Sprint(z.DType, " ", z.Data) != c.want {
			t.Errorf("%s: %v %v, %v, expected %s", name, z.DType, z.Data, err, c.want)
		}
	}
}
