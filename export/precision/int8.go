package precision

import (
	"math"

	"github.com/attnx/attnx/export/onnx"
)

// activation is the first factor of a product, rounded to 8 bits: the results
// of DynamicQuantizeLinear.
type activation struct{ integers, scale, zero string }

// storeInt8 quantizes a matrix with one scale for each of its outputs, and zero
// at 0:
//
//	scale[n] = max over k of |w[k,n]| and |w[k,n] + w[k+1,n]|, divided by 127
//	q[k,n]   = round(w[k,n] / scale[n]), ties to even
//
// The sums of neighbours are there for processors with AVX2 or AVX-512 but
// without VNNI: their instruction for 8 bits (VPMADDUBSW) adds two neighbouring
// products, each of up to 255·127, into 16 bits and stops at 32767 without a
// word. Two neighbours of together at most 128 stay below: 255·128 = 32640.
// Intel's and ONNX Runtime's advice is weights of 7 bits, which doubles the
// step; neighbours that are both large on the same side are so rare that this
// rule makes the step 1.4 times as large. Unsigned weights would be exact as
// well; ONNX Runtime runs them at half the speed where a text is read
// (measured: 64 tokens of GPT-2 in 55 ms and 28 ms).
//
// An output whose weights are all 0 gets the scale 1: 0 divided by 0 is no
// number.
func storeInt8(q *quantizer, name string, w []float32, rows, columns int, turned bool) (stored, error) {
	in, out := rows, columns
	step, next := columns, 1 // from a weight to the next of the same output, and of the same input
	if turned {
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
	s := stored{integers: q.name(name + ".int8"), scales: q.name(name + ".scale"), in: in, out: out, bits: 8, turned: turned}
	q.put(&onnx.Tensor{Name: s.integers, DataType: onnx.Int8, Dims: []int64{int64(rows), int64(columns)}, Raw: raw})
	q.put(floatTensor(s.scales, []int64{int64(out)}, scales))
	return s, nil
}

// line is the number of outputs whose weights are gone through together:
// float32s of a cache line.
const line = 16

// stepOf returns the size of a step of which so many reach most: 1 where most
// is 0 or so small that its step would be.
func stepOf(most float32, steps float32) float32 {
	if s := most / steps; s >= 0x1p-126 { // below, numbers lose digits, and some processors take them for 0
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

// productInt8 writes x·w in the form that ONNX Runtime knows as one operator,
// DynamicQuantizeMatMul: the product in int32, as a float, times the product of
// the scales. Several products of one x share its integers.
func productInt8(q *quantizer, x string, w stored, output string) {
	a, ok := q.inputs[x]
	if !ok {
		a = activation{q.name(x + ".uint8"), q.name(x + ".scale"), q.name(x + ".zero")}
		q.nodes = append(q.nodes, &onnx.Node{Op: "DynamicQuantizeLinear", Name: a.integers, Inputs: []string{x}, Outputs: []string{a.integers, a.scale, a.zero}})
		q.inputs[x] = a
	}
	integers := w.integers
	if w.turned {
		integers = q.name(w.integers + ".transposed")
		q.integers("Transpose", integers, []string{w.integers}, onnx.IntsAttr("perm", 1, 0))
	}
	product := q.integers("MatMulInteger", q.name(output+".int32"), []string{a.integers, integers, a.zero, q.zero()})
	float := q.node("Cast", q.name(output+".float"), []string{product}, onnx.IntAttr("to", int64(onnx.Float)))
	scale := q.node("Mul", q.name(output+".scale"), []string{a.scale, w.scales})
	q.node("Mul", output, []string{float, scale})
}

// zero returns the name of the weights' zero point. ONNX Runtime knows the
// form above only where it is there.
func (q *quantizer) zero() string {
	const name = "int8.0"
	q.put(&onnx.Tensor{Name: name, DataType: onnx.Int8, Raw: []byte{0}})
	return name
}

// rowsInt8 writes the rows of the table that the last product shares: ids
// (B,T) to (B,T,C).
func rowsInt8(q *quantizer, w stored, ids, output string) error {
	axis := onnx.IntAttr("axis", 0)
	integers := q.integers("Gather", q.name(output+".int8"), []string{w.integers, ids}, axis)
	float := q.node("Cast", q.name(output+".float"), []string{integers}, onnx.IntAttr("to", int64(onnx.Float)))
	scale := q.node("Gather", q.name(output+".scale"), []string{w.scales, ids}, axis)
	column := q.node("Unsqueeze", q.name(output+".column"), []string{scale, q.constant(-1)})
	q.node("Mul", output, []string{float, column})
	return nil
}
