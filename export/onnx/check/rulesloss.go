package check

import (
	"github.com/attnx/attnx/export/onnx"
)

func quantize(c *call) {
	if c.has(2) {
		c.elem(2, 0)
	} else {
		c.is(0, onnx.Uint8)
		if t := c.int("output_dtype", 0); t != 0 {
			c.named("output_dtype", 0, 0)
		}
	}
	c.keep(0, 0)
}

func dequantize(c *call) {
	switch {
	case c.int("output_dtype", 0) != 0:
		c.named("output_dtype", 0, 0)
	case c.op.Since >= 19:
		c.elem(1, 0)
	default:
		c.is(0, onnx.Float)
	}
	c.keep(0, 0)
}

func dynamicQuantize(c *call) {
	c.is(0, onnx.Uint8)
	c.is(1, onnx.Float)
	c.is(2, onnx.Uint8)
	c.sized(1, nil)
	c.sized(2, nil)
	c.keep(0, 0)
}

func nll(c *call) {
	c.elem(0, 0)
	if !c.shapes(2) {
		return
	}
	in, _ := c.shape(0)
	target, _ := c.shape(1)
	if len(in) < 2 || len(target) != len(in)-1 {
		refuse("an input with %d axes and a target with %d", len(in), len(target))
	}
	agreeOn := func(a, b onnx.Dim) {
		if !a.Open && !b.Open && a.Value != b.Value {
			refuse("an input of size %d for a target of %d", a.Value, b.Value)
		}
	}
	agreeOn(in[0], target[0])
	for i := 2; i < len(in); i++ {
		agreeOn(in[i], target[i-1])
	}
	if dims, ok := c.shape(2); ok && len(dims) != 1 {
		refuse("a weight with %d axes, expects 1", len(dims))
	}
	c.lossShape(target)
}

func (c *call) lossShape(target []onnx.Dim) {
	if a := c.attribute("reduction"); a != nil && string(a.String) == "none" {
		c.sized(0, target)
	} else {
		c.sized(0, nil)
	}
}

func crossEntropy(c *call) {
	c.elem(0, 0)
	if a := c.attribute("reduction"); a != nil && string(a.String) == "none" {
		c.keep(1, 0)
	} else {
		c.sized(0, nil)
	}
	if len(c.outs) == 2 {
		c.elem(0, 1)
		c.keep(0, 1)
	}
}

// recurrent is the rule of RNN, GRU and LSTM.
func recurrent(c *call) {
	directions := onnx.Dim{Value: 1}
	if a := c.attribute("direction"); a != nil {
		switch string(a.String) {
		case "forward", "reverse":
		case "bidirectional":
			directions.Value = 2
		default:
			directions = onnx.Dim{Open: true}
		}
	}
	hidden, steps, batch := onnx.Dim{Open: true}, onnx.Dim{Open: true}, onnx.Dim{Open: true}
	if n := c.int("hidden_size", -1); n > 0 {
		hidden = onnx.Dim{Value: n}
	}
	later := c.int("layout", 0) != 0
	if dims, ok := c.shape(0); ok {
		if len(dims) != 3 {
			refuse("input 0 has %d axes, expects 3", len(dims))
		}
		if steps, batch = dims[0], dims[1]; later {
			steps, batch = batch, steps
		}
	}
	for i := range c.outs {
		c.elem(0, i)
		switch {
		case i > 0 && later:
			c.sized(i, []onnx.Dim{batch, directions, hidden})
		case i > 0:
			c.sized(i, []onnx.Dim{directions, batch, hidden})
		case later:
			c.sized(i, []onnx.Dim{batch, steps, directions, hidden})
		default:
			c.sized(i, []onnx.Dim{steps, directions, batch, hidden})
		}
	}
}

// meanVariance is the rule of MeanVarianceNormalization. ONNX infers it from the
// operator's function, which has no axes if the node has none.
func meanVariance(c *call) {
	if c.op.Since >= 9 && c.attribute("axes") == nil {
		refuse("attribute %.80q is missing", "axes")
	}
	c.same(0, 0)
}
