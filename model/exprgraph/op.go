package exprgraph

import (
	"fmt"
	"reflect"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/attnx/attnx/model/graph"
)

// node is a node with an operator, while it is read.
type node struct {
	*reading
	node *gorgonia.Node
	op   reflect.Value // the struct of its operator
	args gorgonia.Nodes
}

func (r *reading) node(x *gorgonia.Node) *node {
	return &node{reading: r, node: x, op: structOf(x.Op()), args: r.children(x)}
}

// structOf returns the struct of an operator.
func structOf(op gorgonia.Op) reflect.Value {
	v := reflect.ValueOf(op)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return v
}

// gorgoniaPath is the import path of Gorgonia's own operators.
var gorgoniaPath = reflect.TypeFor[gorgonia.ExprGraph]().PkgPath()

// typeName returns the name of an operator's type, or its whole path if it is not
// Gorgonia's own.
func typeName(op reflect.Value) string {
	t := op.Type()
	if t.PkgPath() != gorgoniaPath {
		return t.String()
	}
	return t.Name()
}

func (n *node) is(name string) bool { return typeName(n.op) == name }

// row returns the row of the operator.
func (n *node) row() row {
	name := typeName(n.op)
	w, ok := table[name]
	if !ok {
		do := "end the network before it, or write it with other operators of Gorgonia"
		if special, known := remedies[name]; known {
			do = special
		}
		n.refuse(do, "attnx does not read the operator %s", name)
	}
	if have := fields(n.op.Type()); have != w.fields {
		n.refuse("take the version of Gorgonia in attnx's go.mod", "the operator %s has the fields %.200q, expected %.200q", name, have, w.fields)
	}
	return w
}

// fields returns the names of the fields of an operator.
func fields(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return t.Kind().String()
	}
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Name
	}
	return strings.Join(names, " ")
}

// refuse ends Read with an error about the node.
func (n *node) refuse(do, format string, args ...any) {
	panic(errorAt(n.node, fmt.Sprintf(format, args...), do))
}

// The fields of an operator. row has checked that they are there.

func (n *node) int(field string) int { return int(n.op.FieldByName(field).Int()) }

func (n *node) float(field string) float64 { return n.op.FieldByName(field).Float() }

func (n *node) bool(field string) bool { return n.op.FieldByName(field).Bool() }

func (n *node) ints(field string) []int {
	list := n.op.FieldByName(field)
	out := make([]int, list.Len())
	for i := range out {
		out[i] = int(list.Index(i).Int())
	}
	return out
}

// text returns what the operator prints.
func (n *node) text() string { return printed(n.node.Op()) }

// arg returns argument i.
func (n *node) arg(i int) *graph.Value {
	if i >= len(n.args) {
		n.refuse("check how the node was made", "it has %d arguments", len(n.args))
	}
	return n.value(n.args[i])
}

// apply records an operator.
func (n *node) apply(op graph.Op, args ...*graph.Value) *graph.Value {
	return n.b.Apply(op, 1, args...)[0]
}

// concrete returns a shape with the sizes that it has in Gorgonia.
func (n *node) concrete(s graph.Shape) []int {
	out, err := s.Eval(n.sizes)
	if err != nil {
		n.refuse("", "%v", err)
	}
	return out
}

// shape returns the shape that Gorgonia gives the node.
func (n *node) shape() []int { return append([]int{}, n.node.Shape()...) }
