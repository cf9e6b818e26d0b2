package precision

import (
	"math"

	"github.com/attnx/attnx/export/onnx"
)

// activation is the first factor of a product rounded to 8 bits, by
// DynamicQuantizeLinear.
type activation struct{ integers, scale, zero string }

// storeInt8 quantizes a matrix with one scale for each output and zero point
// 0:
//
//	scale[n] = max over k of |w[k,n]| and |w[k,n] + w[k+1,n]|, divided by 127
//	q[k,n]   = round(w[k,n] / scale[n]), ties to even
//
// The sums of neighbors are for processors with AVX2 or AVX-512 but without
// VNNI: their 8-bit instruction (VPMADDUBSW) adds two adjacent products, each
// of up to 255·127, in 16 bits and silently saturates at 32767. Two neighbors
// of together at most 128 stay below: 255·128 = 32640. Intel and ONNX Runtime
// recommend 7-bit weights, which doubles the step. Two large neighbors of the
// same sign are rare, so this rule makes the step only 1.4 times as large.
// Unsigned weights would be exact too, but ONNX Runtime runs them at half the
// speed when it reads a text (measured: 64 tokens of GPT-2 in 55 ms and 28
// ms).
//
// An output whose weights are all 0 gets the scale 1, because 0/0 is NaN.
func storeInt8(q *quantizer, name string, w []float32, rows, columns int, transposed bool) (stored, error) {
	in, out := rows, columns
	step, next := columns, 1 // distance to the next weight of the same output, and of the same input
	if transposed {
		in, out, step, next = columns, rows, 1, columns
	}
	scales := make([]float32, out)
	raw := make([]byte, len(w))
	squares, changed := make([]float64, out), make([]float64, out)
	inParallel((out+line-1)/line, func(from, to int) {
		for l := from; l < to; l++ {
			first, last := l*line, min(out, (l+1)*line)
			var most, before [line]float32
			for k := range in {
				for n := first; n < last; n++ {
					x, i := w[k*step+n*next], n-first
					most[i] = max(most[i], abs(x), abs(x+before[i]))
					before[i] = x
				}
			}
			for n := first; n < last; n++ {
				scales[n] = stepOf(most[n-first], 127)
			}
			for k := range in {
				for n := first; n < last; n++ {
					i := k*step + n*next
					v := math.RoundToEven(float64(w[i]) / float64(scales[n]))
					raw[i] = byte(int8(v))
					d := v*float64(scales[n]) - float64(w[i])
					squares[n] += float64(w[i]) * float64(w[i])
					changed[n] += d * d
				}
			}
		}
	})
	q.count(name, sum(squares), sum(changed))
	s := stored{integers: q.name(name + ".int8"), scales: q.name(name + ".scale"), in: in, out: out, bits: 8, transposed: transposed}
	q.put(&onnx.Tensor{Name: s.integers, DataType: onnx.Int8, Dims: []int64{int64(rows), int64(columns)}, Raw: raw})
	q.put(floatTensor(s.scales, []int64{int64(out)}, scales))
	return s, nil
}

// line is the number of outputs processed together: the float32s of a cache
// line.
const line = 16

// stepOf returns the size of a step such that steps of them reach most. It is
// 1 if most is 0, or if the step would be subnormal.
func stepOf(most float32, steps float32) float32 {
	if s := most / steps; s >= 0x1p-126 { // smaller numbers lose digits, and some processors treat them as 0
		return s
	}
	return 1
}

func abs(x float32) float32 { return float32(math.Abs(float64(x))) }

func sum(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s
}

// productInt8 writes x·w in the form that ONNX Runtime fuses to
// DynamicQuantizeMatMul: an int32 product cast to float, times the product of
// the scales. Several products of one x share its integers.
func productInt8(q *quantizer, x string, w stored, output string) {
	a, ok := q.inputs[x]
	if !ok {
		a = activation{q.name(x + ".uint8"), q.name(x + ".scale"), q.name(x + ".zero")}
		q.nodes = append(q.nodes, &onnx.Node{Op: "DynamicQuantizeLinear", Name: a.integers, Inputs: []string{x}, Outputs: []string{a.integers, a.scale, a.zero}})
		q.inputs[x] = a
	}
	integers := w.integers
	if w.transposed {
		integers = q.name(w.integers + ".transposed")
		q.integers("Transpose", integers, []string{w.integers}, onnx.IntsAttr("perm", 1, 0))
	}
	product := q.integers("MatMulInteger", q.name(output+".int32"), []string{a.integers, integers, a.zero, q.zero()})
	float := q.node("Cast", q.name(output+".float"), []string{product}, onnx.IntAttr("to", int64(onnx.Float)))
	scale := q.node("Mul", q.name(output+".scale"), []string{a.scale, w.scales})
	q.node("Mul", output, []string{float, scale})
}

// zero returns the name of the weights' zero point. ONNX Runtime fuses the
// form above only if it is present.
func (q *quantizer) zero() string {
	const name = "int8.0"
	q.put(&onnx.Tensor{Name: name, DataType: onnx.Int8, Raw: []byte{0}})
	return name
}

// rowsInt8 writes the lookup of rows in the table that the last product
// shares: ids (B,T) to (B,T,C).
func rowsInt8(q *quantizer, w stored, ids, output string) error {
	axis := onnx.IntAttr("axis", 0)
	integers := q.integers("Gather", q.name(output+".int8"), []string{w.integers, ids}, axis)
	float := q.node("Cast", q.name(output+".float"), []string{integers}, onnx.IntAttr("to", int64(onnx.Float)))
	scale := q.node("Gather", q.name(output+".scale"), []string{w.scales, ids}, axis)
	column := q.node("Unsqueeze", q.name(output+".column"), []string{scale, q.constant(-1)})
	q.node("Mul", output, []string{float, column})
	return nil
}
