package read

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/model/graph"
)

// bindShapes sets the named dimensions of inputs whose whole shape is known,
// before any input is declared.
func (r *reading) bindShapes(g *onnx.Graph) {
	for name, n := range r.o.Sizes {
		r.symbols[name] = graph.N(n)
	}
	for _, in := range g.Inputs {
		shape, ok := r.shapeOf(in.Name)
		if !ok || in.NoShape || len(shape) != len(in.Dims) {
			continue
		}
		for i, d := range in.Dims {
			if _, given := r.symbols[d.Param]; d.Open && d.Param != "" && !given {
				r.symbols[d.Param] = graph.N(shape[i])
			}
		}
	}
}

// shapeOf returns the shape that the caller gives for an input.
func (r *reading) shapeOf(input string) ([]int, bool) {
	if s, ok := r.o.Shapes[input]; ok {
		return s, true
	}
	t, ok := r.o.Values[input]
	return t.Shape, ok
}

// declared returns the shape of an input.
func (r *reading) declared(in onnx.ValueInfo) (graph.Shape, error) {
	given, known := r.shapeOf(in.Name)
	if in.NoShape {
		if !known {
			return nil, &OpenError{Reason: fmt.Sprintf("input %.80q: the file does not say how many dimensions it has", in.Name), Inputs: []string{in.Name}}
		}
		return graph.Numbers(given...), nil
	}
	if known && len(given) != len(in.Dims) {
		return nil, &InvalidError{Reason: fmt.Sprintf("input %.80q has %d dimensions, the case gives it the shape %v", in.Name, len(in.Dims), given)}
	}
	shape := make(graph.Shape, len(in.Dims))
	for i, d := range in.Dims {
		switch {
		case known:
			shape[i] = graph.N(given[i])
		case !d.Open:
			shape[i] = graph.N(int(d.Value))
		default:
			shape[i] = r.symbol(d.Param, fmt.Sprintf("%s.%d", in.Name, i))
		}
	}
	return shape, nil
}

// symbol returns the dimension for a name in the file. Without a name it is a new
// dimension, named after its place.
func (r *reading) symbol(name, place string) graph.Dim {
	if name == "" {
		name = place
	}
	if d, ok := r.symbols[name]; ok {
		return d
	}
	if d, ok := r.expression(name); ok {
		return d
	}
	if n, ok := r.o.Sizes[name]; ok {
		return graph.N(n)
	}
	d := r.freshDim(name)
	r.symbols[name] = d
	return d
}

// freshDim returns a new dimension, named after name if possible.
func (r *reading) freshDim(name string) graph.Dim {
	base := identifier(name)
	d := graph.Sym(base)
	for r.dims[d] {
		r.fresh++
		d = graph.Sym(fmt.Sprintf("%s_%d", base, r.fresh))
	}
	r.dims[d] = true
	return d
}

// identifier replaces the characters of a name that are not allowed in a
// dimension's name by underscores.
func identifier(name string) string {
	clean := strings.Map(func(c rune) rune {
		if c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
	if clean == "" || clean[0] == '.' || clean[0] >= '0' && clean[0] <= '9' {
		clean = "_" + clean
	}
	return clean[:min(len(clean), 200)]
}

// expression parses a name that is a sum of products of names and numbers, as
// PyTorch's exporter writes them: "past + seq", "2*n - 1".
func (r *reading) expression(text string) (graph.Dim, bool) {
	if !strings.ContainsAny(text, "+-*") || strings.ContainsAny(text, "()/%^") || strings.Contains(text, "**") {
		return graph.Dim{}, false
	}
	sum := graph.N(0)
	spaced := strings.NewReplacer("+", " + ", "-", " - ", "*", " * ").Replace(text)
	sign, product, expectFactor := graph.N(1), graph.N(1), true
	for _, word := range append(strings.Fields(spaced), "+") {
		switch word {
		case "+", "-":
			if expectFactor {
				return graph.Dim{}, false
			}
			sum = sum.Add(sign.Mul(product))
			sign, product, expectFactor = graph.N(1), graph.N(1), true
			if word == "-" {
				sign = graph.N(-1)
			}
		case "*":
			if expectFactor {
				return graph.Dim{}, false
			}
			expectFactor = true
		default:
			if !expectFactor {
				return graph.Dim{}, false
			}
			if n, err := strconv.Atoi(word); err == nil {
				product = product.Mul(graph.N(n))
			} else if identifier(word) == word {
				product = product.Mul(r.symbol(word, word))
			} else {
				return graph.Dim{}, false
			}
			expectFactor = false
		}
	}
	return sum, sum.Valid()
}
