package check

import (
	"slices"

	"github.com/attnx/attnx/export/onnx"
)

func init() { rules["Scan"] = scan }

// scan is the rule of Scan from opset 9 on. The body gets the state values as they
// are, and one step of each scanned input: without the scan axis.
func scan(c *call) {
	if c.op.Since < 9 {
		scanBatches(c)
		return
	}
	scanned := int(c.int("num_scan_inputs", 0))
	states := len(c.node.Inputs) - scanned
	made := len(c.outs) - states
	if scanned < 1 || states < 0 || made < 0 {
		refuse("num_scan_inputs is %d, the node has %d inputs and %d outputs", scanned, len(c.node.Inputs), len(c.outs))
	}
	from, to := c.axes("scan_input_axes", scanned), c.axes("scan_output_axes", made)
	steps := onnx.Dim{Open: true}
	var inputs []*onnx.Type
	for i := range c.node.Inputs {
		t := c.in(i)
		if t == nil || t.Kind != onnx.TensorType {
			refuse("input %d is no tensor, or its type is not known", i)
		}
		t = copied(t)
		switch {
		case i < states:
			c.same(i, i)
		case !t.NoShape:
			at := axis(from[i-states], len(t.Dims), 0)
			if d := t.Dims[at]; !d.Open && !steps.Open && d.Value != steps.Value {
				refuse("inputs of %d and %d steps", steps.Value, d.Value)
			} else if steps.Open {
				steps = d
			}
			t.Dims = slices.Delete(t.Dims, at, at+1)
		}
		inputs = append(inputs, t)
	}
	outs := c.body("body", inputs)
	if len(outs) != len(c.outs) {
		refuse("the body has %d outputs, the node has %d", len(outs), len(c.outs))
	}
	for i, out := range outs {
		if out.Kind != onnx.TensorType {
			refuse("output %d of the body is %s, expects a tensor", i, out)
		}
		c.carry(out, c.outs[i])
		if i < states || out.NoShape {
			continue
		}
		at := axis(to[i-states], len(out.Dims)+1, 0)
		c.sized(i, slices.Concat(out.Dims[:at], []onnx.Dim{steps}, out.Dims[at:]))
	}
}

// axes returns an attribute with an axis for each of n values, all 0 if it is
// missing.
func (c *call) axes(name string, n int) []int64 {
	a := c.attribute(name)
	switch {
	case a == nil:
		return make([]int64, n)
	case len(a.Ints) != n:
		refuse("%s %v for %d values", name, a.Ints, n)
	}
	return a.Ints
}

// scanBatches is the rule of Scan of opset 8, whose first input has the lengths of the
// sequences. The other values have a batch axis, and after it the scan axis.
func scanBatches(c *call) {
	scanned := int(c.int("num_scan_inputs", 0))
	states := len(c.node.Inputs) - 1 - scanned
	if scanned < 0 || states < 0 || len(c.outs) < states {
		refuse("num_scan_inputs is %d, the node has %d inputs and %d outputs", scanned, len(c.node.Inputs), len(c.outs))
	}
	batch, steps := unknown(), unknown()
	var inputs []*onnx.Type
	for i := 1; i < len(c.node.Inputs); i++ {
		t := c.in(i)
		if t == nil || t.Kind != onnx.TensorType {
			refuse("input %d is no tensor, or its type is not known", i)
		}
		t = copied(t)
		drop := 2
		if i <= states {
			c.same(i, i-1)
			drop = 1
		} else if len(t.Dims) > 2 {
			meet(t.Dims[0], batch, i)
			meet(t.Dims[1], steps, i)
		}
		t.Dims = t.Dims[min(drop, len(t.Dims)):]
		inputs = append(inputs, t)
	}
	outs := c.body("body", inputs)
	if len(outs) == 0 {
		return
	}
	if len(outs) != len(c.outs) {
		refuse("the body has %d outputs, the node has %d", len(outs), len(c.outs))
	}
	for i, out := range outs {
		if out.Kind != onnx.TensorType {
			refuse("output %d of the body is %s, expects a tensor", i, out)
		}
		if i >= states {
			c.is(i, out.DataType)
		}
		if out.NoShape {
			continue
		}
		made := copied(out)
		made.Dims = slices.Concat([]onnx.Dim{*batch}, out.Dims)
		if i >= states {
			made.Dims = slices.Concat([]onnx.Dim{*batch, *steps}, out.Dims)
		}
		made.DataType = c.outs[i].DataType
		agree(made, c.outs[i])
		merge(made, c.outs[i])
	}
}
