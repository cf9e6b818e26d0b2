package placement

import (
	"fmt"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/check"
	"github.com/attnx/attnx/export/onnx/schema"
)

// refused returns the reason why a node is invalid, by its operator's
// signature and the declared shapes; "" if valid or unknown. ONNX Runtime
// rejects most such nodes when it reads the model.
func (p *planner) refused(i int) string {
	n, s := p.source[i], p.schemas[i]
	if s == nil {
		return fmt.Sprintf("the model's opset has no %s", n.Op)
	}
	for _, why := range []string{unfit(n, s), p.mistyped(n, s), p.misplaced(n), p.misshaped(n, s), refusedByKernel(n, s)} {
		if why != "" {
			return why
		}
	}
	for _, in := range n.Inputs {
		if in != "" && p.types[in] == "" {
			return "" // which is said of the kernel
		}
	}
	return p.refuses[p.place[i]]
}

// unfit compares a node's inputs, outputs and attributes with its operator's.
func unfit(n *onnx.Node, o *schema.Operator) string {
	if why := check.Signature(n, o); why != "" {
		return why
	}
	if constant(n) && len(n.Attributes) != 1 {
		return fmt.Sprintf("a Constant has one value, this one has %d", len(n.Attributes))
	}
	return ""
}

// mistyped compares the types that are known of a node's values with those that
// its operator may have, and with one another where they are one variable.
func (p *planner) mistyped(n *onnx.Node, o *schema.Operator) string {
	first := map[string]string{} // the value that a variable got its type from
	for _, side := range []struct {
		values    []string
		parameter func(int) *schema.Parameter
	}{{n.Inputs, o.Input}, {n.Outputs, o.Output}} {
		for i, value := range side.values {
			t, known := p.types[value]
			if value == "" || !known {
				continue
			}
			q := side.parameter(i)
			switch {
			case q == nil:
			case !q.Takes(t) && len(q.Types) == 1:
				return fmt.Sprintf("%.80q is %s, %s-%d takes %s there", value, t, n.Op, o.Since, q.Types[0])
			case !q.Takes(t):
				return fmt.Sprintf("%.80q is %s, which %s-%d does not take", value, t, n.Op, o.Since)
			case !q.Mixed:
				if other, ok := first[q.Variable]; ok && p.types[other] != t {
					return fmt.Sprintf("%.80q is %s and %.80q is %s, %s-%d takes one type", other, p.types[other], value, t, n.Op, o.Since)
				}
				first[q.Variable] = value
			}
		}
	}
	for _, out := range n.Outputs {
		if other := p.other[out]; other != "" {
			return fmt.Sprintf("its output %.80q is %s, the file declares %s", out, p.types[out], other)
		}
	}
	return ""
}
