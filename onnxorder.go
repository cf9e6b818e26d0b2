package attnx

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// ordering is a TopK that leaves the order of its results open (sorted=0), and the values
// that it gives: the elements and their places; "" if there are none.
type ordering struct {
	values, places string
	axis           int
	largest        bool
}

// orderings returns what a file leaves open.
func orderings(m *onnx.Model) (all []ordering) {
	for _, n := range m.Graph.Nodes {
		if !unsorted(n) {
			continue
		}
		o := ordering{axis: -1, largest: true}
		for _, a := range n.Attributes {
			switch a.Name {
			case "axis":
				o.axis = int(a.Int)
			case "largest":
				o.largest = a.Int != 0
			}
		}
		if o.values = n.Outputs[0]; len(n.Outputs) > 1 {
			o.places = n.Outputs[1]
		}
		all = append(all, o)
	}
	return all
}

// unsorted reports whether a node is a TopK that leaves the order of its results open.
func unsorted(n *onnx.Node) bool {
	return n.Op == "TopK" && n.Domain == "" && len(n.Outputs) > 0 && slices.ContainsFunc(n.Attributes, func(a onnx.Attribute) bool { return a.Name == "sorted" && a.Int == 0 })
}

// ordered is a session whose results of a TopK without an order are sorted, as the oracle's
// are: they are compared as sets.
type ordered struct {
	runtime.Session
	open []ordering
}

// inOrder returns a session of a file with its open orders sorted.
func inOrder(s runtime.Session, m *onnx.Model) runtime.Session {
	if open := orderings(m); len(open) > 0 {
		return ordered{s, open}
	}
	return s
}

func (s ordered) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	out, err := s.Session.Run(inputs)
	if err != nil {
		return out, err
	}
	return out, sortOpen(out, s.open)
}

// sortOpen sorts the outputs of a file whose order it leaves open.
func sortOpen(out map[string]format.Tensor, open []ordering) error {
	for _, o := range open {
		if values, ok := out[o.values]; ok {
			if err := o.sort(out, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// sort puts the elements of each line along the axis, and their places, in the order that
// sorted=1 has.
func (o ordering) sort(out map[string]format.Tensor, values format.Tensor) error {
	axis := o.axis
	if axis < 0 {
		axis += len(values.Shape)
	}
	if axis < 0 || axis >= len(values.Shape) {
		return fmt.Errorf("output %.80q: it has no axis %d", o.values, o.axis)
	}
	x, err := values.AsFloat64s()
	if err != nil {
		return err
	}
	n, step := values.Shape[axis], 1
	for _, d := range values.Shape[axis+1:] {
		step *= d
	}
	moved := []format.Tensor{values}
	if places, ok := out[o.places]; ok {
		if !slices.Equal(places.Shape, values.Shape) {
			return errors.New("the elements of a TopK and their places have other shapes")
		}
		moved = append(moved, places)
	}
	ties := make([]float64, len(x)) // equal elements are in the order of their places
	if len(moved) > 1 {
		if ties, err = moved[1].AsFloat64s(); err != nil {
			return err
		}
	}
	from := make([]int, len(x))
	for line := range len(x) / max(1, n) {
		first := line/step*step*n + line%step
		order := make([]int, n)
		for i := range order {
			order[i] = first + i*step
		}
		slices.SortStableFunc(order, func(i, j int) int {
			a, b := x[i], x[j]
			if o.largest {
				a, b = b, a
			}
			return cmp.Or(cmp.Compare(a, b), cmp.Compare(ties[i], ties[j]))
		})
		for i, at := range order {
			from[first+i*step] = at
		}
	}
	for _, t := range moved {
		size := t.DType.Size()
		data := make([]byte, len(t.Data))
		for to, at := range from {
			copy(data[to*size:(to+1)*size], t.Data[at*size:])
		}
		t.Data = data
		out[t.Name] = t
	}
	return nil
}

// reordered returns a model whose results of a TopK without an order come in another order
// than the oracle's: the reverse, or with the first at the end, because a reverse leaves the
// middle where it is.
func reordered(m *onnx.Model, rotate bool) *onnx.Model {
	turned, g := *m, *m.Graph
	g.Nodes = nil
	constant := func(name string, v int64) string {
		t := &onnx.Tensor{Name: name, DataType: onnx.Int64, Dims: []int64{1}}
		t.Raw = appendInteger(nil, format.Int64, uint64(v))
		g.Initializers = append(slices.Clone(g.Initializers), t)
		return name
	}
	for _, n := range m.Graph.Nodes {
		if !unsorted(n) {
			g.Nodes = append(g.Nodes, n)
			continue
		}
		c := *n
		c.Outputs = slices.Clone(n.Outputs)
		axis := int64(-1)
		for _, a := range n.Attributes {
			if a.Name == "axis" {
				axis = a.Int
			}
		}
		g.Nodes = append(g.Nodes, &c)
		for i, out := range n.Outputs {
			if out == "" {
				continue
			}
			c.Outputs[i] = out + "/in order"
			cut := func(name string, from, to, step int64) *onnx.Node {
				return &onnx.Node{Op: "Slice", Inputs: []string{c.Outputs[i], constant(name+"/from", from), constant(name+"/to", to), constant(name+"/axis", axis), constant(name+"/step", step)}, Outputs: []string{name}}
			}
			if !rotate {
				g.Nodes = append(g.Nodes, cut(out, -1, math.MinInt64, -1))
				continue
			}
			g.Nodes = append(g.Nodes, cut(out+"/later", 1, math.MaxInt64, 1), cut(out+"/first", 0, 1, 1),
				&onnx.Node{Op: "Concat", Inputs: []string{out + "/later", out + "/first"}, Outputs: []string{out}, Attributes: []onnx.Attribute{onnx.IntAttr("axis", axis)}})
		}
	}
	turned.Graph = &g
	return &turned
}

// withoutOrder makes the bounds of outputs unknown that depend on an order that the file
// leaves open: those that differ in another order.
func (x *ONNX) withoutOrder(inputs map[string]format.Tensor, b runtime.Bounded) (runtime.Bounded, error) {
	if !slices.ContainsFunc(x.File.Graph.Nodes, unsorted) {
		return b, nil
	}
	for _, rotate := range []bool{false, true} {
		other, err := evaluated(reordered(x.File, rotate), x.Path, inputs)
		if err != nil {
			return b, err
		}
		x.compareOrders(b, other)
	}
	return b, nil
}

// compareOrders makes the bounds of outputs unknown that are others in another order.
func (x *ONNX) compareOrders(b runtime.Bounded, other map[string]format.Tensor) {
	for name, want := range b.Outputs {
		if slices.ContainsFunc(orderings(x.File), func(o ordering) bool {
			_, given := b.Outputs[o.values] // places alone have no order to compare them in
			return given && (o.values == name || o.places == name)
		}) {
			continue
		}
		for i := range b.Bounds {
			if d := runtime.Compare(want, other[name], b.Bounds[i].Of[name]); d.FirstBad == nil && d.Reason == "" {
				continue
			}
			unknown := make([]float64, want.Elements())
			for j := range unknown {
				unknown[j] = math.Inf(1)
			}
			b.Bounds[i].Of[name] = format.FromFloat64s(name, want.Shape, unknown)
			b.Bounds[i].Unknown = fmt.Sprintf("%.80q depends on the order of a TopK with sorted=0, which ONNX leaves open", name)
		}
	}
}
