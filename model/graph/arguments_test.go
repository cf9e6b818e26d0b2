package graph_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// methods calls f with every method of a Builder that takes values: the
// method's name and, for each of its arguments that is a value or a list of
// them, the arguments with v in that one's place.
func methods(t *testing.T, f func(name string, b *graph.Builder, call func(v *graph.Value) (where string), place int)) {
	t.Helper()
	value, list := reflect.TypeFor[*graph.Value](), reflect.TypeFor[[]*graph.Value]()
	builder := reflect.TypeFor[*graph.Builder]()
	seen := 0
	for m := range builder.NumMethod() {
		method := builder.Method(m)
		for place := 1; place < method.Type.NumIn(); place++ {
			if in := method.Type.In(place); in != value && in != list {
				continue
			}
			seen++
			b := graph.NewBuilder()
			x := b.Input("x", format.Float32, graph.N(2), graph.N(2))
			call := func(v *graph.Value) string {
				args := []reflect.Value{reflect.ValueOf(b)}
				for i := 1; i < method.Type.NumIn(); i++ {
					args = append(args, anything(method.Type.In(i), x))
				}
				args[place] = reflect.ValueOf(v)
				if method.Type.In(place) == list {
					args[place] = reflect.ValueOf([]*graph.Value{x, v})
				}
				do := method.Func.Call
				if method.Type.IsVariadic() {
					do = method.Func.CallSlice
				}
				where := here()
				do(args)
				return strings.Replace(where, "builder_test", "arguments_test", 1)
			}
			f(method.Name, b, call, place)
		}
	}
	if seen < 40 {
		t.Errorf("%d arguments were seen", seen)
	}
}

// anything returns an argument of the given type.
func anything(t reflect.Type, x *graph.Value) reflect.Value {
	switch t {
	case reflect.TypeFor[*graph.Value]():
		return reflect.ValueOf(x)
	case reflect.TypeFor[[]*graph.Value]():
		return reflect.ValueOf([]*graph.Value{x, x})
	case reflect.TypeFor[string]():
		return reflect.ValueOf("name")
	case reflect.TypeFor[[]int]():
		return reflect.ValueOf([]int{1, 1})
	case reflect.TypeFor[graph.Op]():
		return reflect.ValueOf(graph.Concat{})
	case reflect.TypeFor[float64]():
		return reflect.ValueOf(1.0)
	}
	return reflect.Zero(t)
}

func TestEveryMethodRefusesNil(t *testing.T) {
	methods(t, func(name string, b *graph.Builder, call func(*graph.Value) string, place int) {
		if last := map[string]int{"Gemm": 3, "LayerNormalization": 3, "Attention": 5}; last[name] == place { // it may be left out
			return
		}
		where := call(nil)
		if _, err := b.Graph(); err == nil || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), "is nil") {
			t.Errorf("%s, argument %d: %v, want %s", name, place, err, where)
		}
	})
}

func TestEveryMethodRefusesValuesOfOthers(t *testing.T) {
	foreign := graph.NewBuilder().Input("x", format.Float32, graph.N(2), graph.N(2))
	methods(t, func(name string, b *graph.Builder, call func(*graph.Value) string, place int) {
		where := call(foreign)
		if _, err := b.Graph(); err == nil || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), "x, is a value of another builder") {
			t.Errorf("%s, argument %d: %v, want %s", name, place, err, where)
		}
	})
}

func TestNoValues(t *testing.T) {
	for name, record := range map[string]func(b *graph.Builder){
		"Concat": func(b *graph.Builder) { b.Concat(-1) },
	} {
		b := graph.NewBuilder()
		record(b)
		_, err := b.Graph()
		wantError(t, err, "arguments_test.go:", name+": it takes one argument or more")
	}
}

// TestAxesFromTheEnd records every method that takes axes with them counted
// from the end and from the front: the graphs are the same.
func TestAxesFromTheEnd(t *testing.T) {
	for name, record := range map[string]func(b *graph.Builder, x, ids *graph.Value, axis func(int) int) *graph.Value{
		"Softmax": func(b *graph.Builder, x, _ *graph.Value, at func(int) int) *graph.Value { return b.Softmax(x, at(1)) },
		"LogSoftmax": func(b *graph.Builder, x, _ *graph.Value, at func(int) int) *graph.Value {
			return b.LogSoftmax(x, at(2))
		},
		"ReduceSum": func(b *graph.Builder, x, _ *graph.Value, at func(int) int) *graph.Value {
			return b.ReduceSum(x, true, at(2), 0)
		},
		"ReduceMean": func(b *graph.Builder, x, _ *graph.Value, at func(int) int) *graph.Value {
			return b.ReduceMean(x, false, at(1), at(0))
		},
		"Transpose": func(b *graph.Builder, x, _ *graph.Value, at func(int) int) *graph.Value {
			return b.Transpose(x, at(2), 0, at(1))
		},
		"Concat": func(b *graph.Builder, x, _ *graph.Value, at func(int) int) *graph.Value { return b.Concat(at(1), x, x) },
		"Split": func(b *graph.Builder, x, _ *graph.Value, at func(int) int) *graph.Value {
			return b.Split(x, at(2), 1, 3)[1]
		},
		"Slice": func(b *graph.Builder, x, _ *graph.Value, at func(int) int) *graph.Value {
			return b.Slice(x, at(1), graph.N(1), graph.N(2))
		},
		"GatherElements": func(b *graph.Builder, x, ids *graph.Value, at func(int) int) *graph.Value {
			return b.GatherElements(x, ids, at(2))
		},
		"ScatterElements": func(b *graph.Builder, x, ids *graph.Value, at func(int) int) *graph.Value {
			return b.ScatterElements(x, ids, x, at(0))
		},
	} {
		var texts [2]string
		for i, at := range []func(int) int{func(axis int) int { return axis }, func(axis int) int { return axis - 3 }} {
			b := graph.NewBuilder()
			x := b.Input("x", format.Float32, graph.N(2), graph.N(3), graph.N(4))
			ids := b.Input("ids", format.Int64, graph.N(2), graph.N(3), graph.N(4))
			b.Output("y", record(b, x, ids, at))
			texts[i] = printed(t, mustGraph(t, b))
		}
		if texts[0] != texts[1] {
			t.Errorf("%s: from the front\n%s\nfrom the end\n%s", name, texts[0], texts[1])
		}
	}
}

// TestScalarsFirst writes formulas with the number in front.
func TestScalarsFirst(t *testing.T) {
	b := graph.NewBuilder()
	x := b.Input("x", format.Float32, graph.Sym("B"), graph.N(3))
	for _, y := range []*graph.Value{b.Mul(b.Scalar(2), x), b.Add(b.Scalar(2), x), b.Sub(b.Scalar(2), x), b.Div(b.Scalar(2), x)} {
		if text(y) != "F32(B,3)" {
			t.Errorf("%s is %s", y.Name, text(y))
		}
		b.Output(y.Name, y)
	}
	mustGraph(t, b)
}
