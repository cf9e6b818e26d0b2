package mutate

import (
	"math/rand/v2"
	"strings"

	"github.com/attnx/attnx/export/onnx"
)

// inputs returns a fault for each input that a test accepts.
func inputs(test func(in onnx.ValueInfo) bool, f func(s *surgeon, i *int, name string) string) func(w *view, r *rand.Rand) []Fault {
	return func(w *view, r *rand.Rand) (all []Fault) {
		for _, in := range w.Graph.Inputs {
			if w.tensors[in.Name] == nil && len(w.readers[in.Name]) > 0 && test(in) {
				all = append(all, Fault{Place: in.Name, apply: func(s *surgeon) {
					s.input(in.Name, func(i *int) string { return f(s, i, in.Name) })
				}})
			}
		}
		return all
	}
}

func called(part string) func(in onnx.ValueInfo) bool {
	return func(in onnx.ValueInfo) bool { return in.DataType == onnx.Int64 && strings.Contains(in.Name, part) }
}

var maskKinds = []kind{
	{"mask ignored", inputs(called("mask"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Max", []string{name, s.integers(1)})
	})},
	{"mask negated", inputs(called("mask"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Sub", []string{s.integers(1), name})
	})},
	{"positions off by one", inputs(called("position"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Max", []string{s.before(i, "Sub", []string{name, s.integers(1)}), s.integers(0)})
	})},
	{"positions all zero", inputs(called("position"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Sub", []string{name, name})
	})},
	{"ids off by one", inputs(called("ids"), func(s *surgeon, i *int, name string) string {
		return s.before(i, "Max", []string{s.before(i, "Sub", []string{name, s.integers(1)}), s.integers(0)})
	})},
	{"hidden scores too large", func(w *view, r *rand.Rand) (all []Fault) {
		for _, t := range w.Graph.Initializers {
			if t.DataType == onnx.Float && len(t.Raw) == 4 && get(t, 0) < -1e4 {
				all = append(all, Fault{Place: t.Name, Value: w.reader(t.Name), apply: func(s *surgeon) { set(s.tensor(t.Name), 0, -1) }})
			}
		}
		return all
	}},
	{"features scaled", inputs(func(in onnx.ValueInfo) bool { return in.DataType == onnx.Float }, func(s *surgeon, i *int, name string) string {
		return s.before(i, "Mul", []string{name, s.float(1.01, onnx.Float)})
	})},
}
