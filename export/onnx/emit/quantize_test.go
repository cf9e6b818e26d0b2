package emit_test

import (
	"errors"
	"testing"

	"github.com/attnx/attnx/export/onnx/emit"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// A QuantizeLinear is written for the versions of the standard that have its types alone
// (onnx.defs: opset 10 and 13 have int8 and uint8 of float32, 19 float8 and float16, 21
// integers of 16 and 4 bits).
func TestQuantizeLinearSince(t *testing.T) {
	for _, c := range []struct {
		from, to format.DType
		since    int
	}{
		{format.Float32, format.Int8, 17}, {format.Float32, format.Uint8, 17}, {format.Float16, format.Uint8, 19},
		{format.Float32, format.Uint16, 21}, {format.Float32, format.Int16, 21},
	} {
		b := graph.NewBuilder()
		x := b.Input("x", c.from, graph.N(4))
		scale := b.Weight("scale", c.from, 1)
		zero := b.Weight("zero", c.to, 1)
		b.Output("y", b.Apply(graph.QuantizeLinear{To: c.to, Precision: c.from}, 1, x, scale, zero)[0])
		g, err := b.Graph()
		if err != nil {
			t.Fatal(err)
		}
		lowered, err := emit.Lower(g)
		if err != nil {
			t.Fatal(err)
		}
		weights := []format.Tensor{
			{Name: "scale", DType: c.from, Shape: []int{1}, Data: make([]byte, c.from.Size())},
			{Name: "zero", DType: c.to, Shape: []int{1}, Data: make([]byte, c.to.Size())},
		}
		for opset := 17; opset <= 21; opset++ {
			_, err := lowered.Model(weights, emit.Form{Opset: opset})
			later := (*emit.OpsetError)(nil)
			if refused := errors.As(err, &later); refused != (opset < c.since) || refused && later.Since != c.since || err != nil && !refused {
				t.Errorf("%s as %s, opset %d: %v", c.from, c.to, opset, err)
			}
		}
	}
}
