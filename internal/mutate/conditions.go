package mutate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// conditional is a fault of the first floating-point output, where a condition holds
// that f records: a tenth more.
func conditional(places func(w *view, r *rand.Rand) []When, condition func(s *surgeon, i *int, w When) string) func(w *view, r *rand.Rand) []Fault {
	return func(w *view, r *rand.Rand) (all []Fault) {
		at := slices.IndexFunc(w.Graph.Outputs, func(o onnx.ValueInfo) bool { return o.DataType == onnx.Float && len(o.Dims) > 0 })
		if at < 0 || makerOf(w, w.Graph.Outputs[at].Name) == nil {
			return nil
		}
		out := w.Graph.Outputs[at].Name
		for _, when := range places(w, r) {
			all = append(all, Fault{Place: fmt.Sprintf("%s where %s is %d", out, when.Input, when.Is), Value: out, When: &when, apply: func(s *surgeon) {
				s.after(out, func(i *int, was string) (string, []string, []onnx.Attribute) {
					more := s.before(i, "Mul", []string{was, s.float(1.1, onnx.Float)})
					return "Where", []string{condition(s, i, when), more, was}, nil
				})
			}})
		}
		return all
	}
}

// sizes lists the open axes of inputs, with a size that samples may not have.
func sizes(beyond bool, axis func(in onnx.ValueInfo, axis int) bool) func(w *view, r *rand.Rand) []When {
	return func(w *view, r *rand.Rand) (all []When) {
		for _, in := range w.Graph.Inputs {
			for a, d := range in.Dims {
				if d.Open && w.tensors[in.Name] == nil && axis(in, a) {
					all = append(all, When{Input: in.Name, Axis: a, Is: 9 + r.IntN(4), Beyond: beyond})
				}
			}
		}
		return all
	}
}

func sizeIs(op string) func(s *surgeon, i *int, w When) string {
	return func(s *surgeon, i *int, w When) string {
		shape := s.before(i, "Shape", []string{w.Input})
		size := s.before(i, "Gather", []string{shape, s.integers(int64(w.Axis))})
		return s.before(i, op, []string{size, s.integers(int64(w.Is))})
	}
}

var conditionKinds = []kind{
	{"at one batch", conditional(sizes(false, func(_ onnx.ValueInfo, axis int) bool { return axis == 0 }), sizeIs("Equal"))},
	{"beyond a batch", conditional(sizes(true, func(_ onnx.ValueInfo, axis int) bool { return axis == 0 }), sizeIs("Greater"))},
	{"at one length", conditional(sizes(false, func(_ onnx.ValueInfo, axis int) bool { return axis > 0 }), sizeIs("Equal"))},
	{"beyond a length", conditional(sizes(true, func(_ onnx.ValueInfo, axis int) bool { return axis > 0 }), sizeIs("Greater"))},
	{"at one id", conditional(func(w *view, r *rand.Rand) (all []When) {
		for _, in := range w.Graph.Inputs {
			if in.DataType == onnx.Int64 && len(in.Dims) > 0 && strings.Contains(in.Name, "id") && w.tensors[in.Name] == nil {
				all = append(all, When{Input: in.Name, Axis: -1, Is: 11 + r.IntN(8)})
			}
		}
		return all
	}, func(s *surgeon, i *int, w When) string {
		one := s.before(i, "Cast", []string{s.before(i, "Equal", []string{w.Input, s.integers(int64(w.Is))})}, onnx.IntAttr("to", int64(onnx.Int64)))
		flat := s.before(i, "Reshape", []string{one, s.integers(-1)})
		most := s.before(i, "ReduceMax", []string{flat}, onnx.IntAttr("keepdims", 1))
		return s.before(i, "Greater", []string{most, s.integers(0)})
	})},
	{"an axis that ends at a number", func(w *view, r *rand.Rand) (all []Fault) {
		at := slices.IndexFunc(w.Graph.Inputs, func(in onnx.ValueInfo) bool { return len(in.Dims) > 1 && in.Dims[1].Open && w.tensors[in.Name] == nil })
		if at < 0 {
			return nil
		}
		all = nodes(w, []string{"Slice"}, func(n *onnx.Node) func(s *surgeon) {
			if w.tensors[n.Inputs[2]] != nil {
				return nil
			}
			return on(n, func(s *surgeon, n *onnx.Node) { n.Inputs[2] = s.integers(9) })
		})
		for i := range all {
			all[i].When = &When{Input: w.Graph.Inputs[at].Name, Axis: 1, Is: 9, Beyond: true}
		}
		return all
	}},
	{"in an If at one batch", func(w *view, r *rand.Rand) (all []Fault) {
		at := slices.IndexFunc(w.Graph.Outputs, func(o onnx.ValueInfo) bool { return o.DataType == onnx.Float && len(o.Dims) > 0 })
		if at < 0 || makerOf(w, w.Graph.Outputs[at].Name) == nil {
			return nil
		}
		out := w.Graph.Outputs[at]
		for _, when := range sizes(false, func(_ onnx.ValueInfo, axis int) bool { return axis == 0 })(w, r) {
			all = append(all, Fault{Place: fmt.Sprintf("%s where %s is %d", out.Name, when.Input, when.Is), Value: out.Name, When: &when, apply: func(s *surgeon) {
				s.after(out.Name, func(i *int, was string) (string, []string, []onnx.Attribute) {
					branch := func(name, op string) onnx.Attribute {
						result := onnx.ValueInfo{Name: s.name(name), DataType: onnx.Float, NoShape: true}
						g := &onnx.Graph{Name: name, Outputs: []onnx.ValueInfo{result}}
						g.Nodes = []*onnx.Node{{Op: op, Inputs: []string{was}, Outputs: []string{result.Name}}}
						return onnx.Attribute{Name: name, Type: onnx.AttrGraph, Graph: g}
					}
					size := s.before(i, "Reshape", []string{sizeIs("Equal")(s, i, when), s.integers()})
					return "If", []string{size}, []onnx.Attribute{branch("then_branch", "Neg"), branch("else_branch", "Identity")}
				})
			}})
		}
		return all
	}},
}
