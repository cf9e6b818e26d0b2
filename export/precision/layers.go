package precision

import (
	"encoding/binary"
	"math"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Layer is a weight that quantization rounds, and the forms that a file can hold it
// in, the smallest first. The last one is the weight as it is.
type Layer struct {
	Name    string
	Choices []Choice
}

// Choice is one form of a weight.
type Choice struct {
	Bits   int       // of an element, without its scales
	Bytes  int       // in the file
	Values []float32 // what the integers and scales stand for, in the weight's order; nil: the weight itself
}

// Layers returns the weights that the form quantizes in a graph, in the graph's
// order. The weights have the names of the graph's.
func (f Form) Layers(g *graph.Graph, weights []format.Tensor) ([]Layer, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	form, ok := forms[f.Quantize]
	if !ok {
		return nil, nil
	}
	byName := map[string]format.Tensor{}
	for _, t := range weights {
		byName[t.Name] = t
	}
	find := &quantizer{tied: map[string]bool{}}
	find.find(g)
	var layers []Layer
	seen := map[string]bool{}
	for _, n := range g.Nodes {
		m, ok := find.products[n.Name()]
		t, param := byName[m.name]
		if !ok || seen[m.name] || !param {
			continue
		}
		seen[m.name] = true
		w, err := finiteFloats(&onnx.Tensor{Name: m.name, Raw: t.Data})
		if err != nil {
			return nil, err
		}
		layer := Layer{Name: m.name}
		kept := []int{0} // bits of Keep
		if f.Quantize == Int4 && !find.tied[m.name] {
			kept = append(kept, 8)
		}
		for _, bits := range kept {
			q := &quantizer{rewrite: newRewrite(&onnx.Model{Graph: &onnx.Graph{}}, map[string]onnx.DataType{}), form: form, tied: find.tied, keep: map[string]int{m.name: bits}}
			s, err := form.store(q, m.name, w, t.Shape[0], t.Shape[1], m.transposed)
			if err != nil {
				return nil, err
			}
			values := q.dequantized(s)
			layer.Choices = append(layer.Choices, Choice{s.bits, len(q.tensors[s.integers].Raw) + len(q.tensors[s.scales].Raw), values})
		}
		layer.Choices = append(layer.Choices, Choice{keptWholeBits, len(t.Data), nil})
		layers = append(layers, layer)
	}
	return layers, nil
}

// dequantized returns the elements that integers and scales stand for, in the order of
// the weight.
func (q *quantizer) dequantized(s stored) []float32 {
	raw, scales := q.tensors[s.integers].Raw, q.tensors[s.scales].Raw
	scale := func(i int) float64 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(scales[4*i:])))
	}
	values := make([]float32, s.in*s.out)
	blocks := len(scales) / 4 / s.out // of an output; 1: one scale for all its weights
	blocked := len(q.tensors[s.integers].Dims) == 3
	half := float64(int(1) << (s.bits - 1))
	width := blockSize * s.bits / 8
	for k := range s.in {
		for n := range s.out {
			at := k*s.out + n
			if s.transposed {
				at = n*s.in + k
			}
			if !blocked {
				values[at] = float32(float64(int8(raw[at])) * scale(n))
				continue
			}
			b, i := k/blockSize, k%blockSize
			v := raw[(n*blocks+b)*width+i*s.bits/8] >> (i * s.bits % 8)
			if s.bits == 4 {
				v &= 15
			}
			values[at] = float32((float64(v) - half) * scale(n*blocks+b))
		}
	}
	return values
}
