package precision

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/attnx/attnx/export/onnx"
)

// blockSize is the number of inputs that share a scale. Rounding changes
// GPT-2's (normal) weights by a root mean square of 7.6 % at 16, 8.6 % at 32
// and 9.5 % at 64; with a float32 scale these take 6, 5 and 4.5 bits for each
// weight. Every kernel of ONNX Runtime supports 32, including CUDA and WebGPU.
const blockSize = 32

// accuracyLevel lets MatMulNBits round activations to 8 bits, also in blocks
// of 32. On a CPU with VNNI a token of GPT-2 takes 29 ms instead of 58 at
// level 0, whose product is float32. The error of the logits was the same to
// four digits, 25 % root mean square with random weights, because the 4-bit
// weights dominate it.
const accuracyLevel = 4

// storeBlocks quantizes a matrix in blocks of 32 inputs of one output, in the
// layout of ONNX Runtime's MatMulNBits: (out, blocks, bytes of a block), the
// lower half of a byte first, with 8 (in 8 bits: 128) representing 0:
//
//	scale[n,b] = the weight of the block with the largest size / -8, sign and all
//	q[n,k]     = 8 + round(w[k,n] / scale[n,b]), at most 15
//
// The range has one more negative step than positive ones, and the largest
// weight gets it. Separate zero points would change 8.1 % instead of 8.6 %,
// but not the error of the logits, and cost half a bit for each weight.
//
// A block whose weights are whole multiples of another scale keeps that: it held
// integers before, as a block of a GGUF file does, and is not rounded again.
//
// A table shared with an embedding takes 8 bits, unless 4 hold it exactly: their
// error would count twice, at the input and at the output.
func storeBlocks(q *quantizer, name string, w []float32, rows, columns int, transposed bool) (stored, error) {
	in, out := rows, columns
	step, next := columns, 1
	if transposed {
		in, out, step, next = columns, rows, 1, columns
	}
	s := stored{integers: q.name(name + ".blocks"), scales: q.name(name + ".scale"), in: in, out: out, bits: 4, transposed: transposed}
	half, scales := 8.0, []float32(nil)
	if q.keep[name] != 8 {
		scales = blockScales(w, in, out, step, next, half, q.tied[name])
	}
	if scales == nil {
		s.bits, half = 8, 128
		scales = blockScales(w, in, out, step, next, half, false)
	}
	blocks := (in + blockSize - 1) / blockSize
	width := blockSize * s.bits / 8 // bytes of a block
	raw := make([]byte, out*blocks*width)
	squares, changed := make([]float64, blocks), make([]float64, blocks)
	inParallel(blocks, func(from, to int) {
		for b := from; b < to; b++ {
			first, last := b*blockSize, min(in, (b+1)*blockSize)
			for n := range out {
				scale := scales[n*blocks+b]
				block := raw[(n*blocks+b)*width:][:width]
				for i := range blockSize {
					v := half // 0, also beyond the last input
					if k := first + i; k < last {
						x := float64(w[k*step+n*next])
						v = min(half+math.RoundToEven(x/float64(scale)), 2*half-1)
						d := (v-half)*float64(scale) - x
						squares[b] += x * x
						changed[b] += d * d
					}
					block[i*s.bits/8] |= byte(v) << (i * s.bits % 8)
				}
			}
		}
	})
	q.count(name, sum(squares), sum(changed))
	q.put(&onnx.Tensor{Name: s.integers, DataType: onnx.Uint8, Dims: []int64{int64(out), int64(blocks), int64(width)}, Raw: raw})
	q.put(floatTensor(s.scales, []int64{int64(out), int64(blocks)}, scales))
	return s, nil
}

func productBlocks(q *quantizer, x string, w stored, output string) {
	q.nodes = append(q.nodes, &onnx.Node{
		Domain: onnx.Microsoft, Op: "MatMulNBits", Name: output, Inputs: []string{x, w.integers, w.scales}, Outputs: []string{output},
		Attributes: []onnx.Attribute{
			onnx.IntAttr("K", int64(w.in)), onnx.IntAttr("N", int64(w.out)), onnx.IntAttr("bits", int64(w.bits)),
			onnx.IntAttr("block_size", blockSize), onnx.IntAttr("accuracy_level", accuracyLevel),
		},
	})
}

// rowsBlocks writes the lookup of rows in the table that the last product
// shares: ids (B,T) to (B,T,C).
func rowsBlocks(q *quantizer, w stored, ids, output string) error {
	i := slices.IndexFunc(q.from.Graph.Inputs, func(v onnx.ValueInfo) bool { return v.Name == ids && !v.NoShape })
	if i < 0 {
		return fmt.Errorf("export: Gather %.80q: its ids are not an input of the model, so the shape of its rows is unknown", output)
	}
	shape := func(more ...int64) string {
		return q.constant(append(make([]int64, len(q.from.Graph.Inputs[i].Dims)), more...)...)
	}
	blocks := (w.in + blockSize - 1) / blockSize
	axis := onnx.IntAttr("axis", 0)
	whole := q.integers("Gather", q.name(output+".blocks"), []string{w.integers, ids}, axis) // (B,T,blocks,bytes)
	if w.bits == 4 {
		whole = q.node("Reshape", q.name(output+".whole"), []string{q.halves(output, whole), shape(int64(blocks), blockSize)})
	} else {
		whole = q.node("Cast", q.name(output+".float"), []string{whole}, onnx.IntAttr("to", int64(onnx.Float)))
	}
	around := q.node("Sub", q.name(output+".around_0"), []string{whole, q.number(float32(int(1) << (w.bits - 1)))}) // (B,T,blocks,32)
	scale := q.node("Gather", q.name(output+".scale"), []string{w.scales, ids}, axis)                               // (B,T,blocks)
	column := q.node("Unsqueeze", q.name(output+".column"), []string{scale, q.constant(-1)})                        // (B,T,blocks,1)
	scaled := q.node("Mul", q.name(output+".scaled"), []string{around, column})
	padded := blocks * blockSize
	if padded == w.in {
		q.node("Reshape", output, []string{scaled, shape(int64(padded))})
		return nil
	}
	rows := q.node("Reshape", q.name(output+".padded"), []string{scaled, shape(int64(padded))})
	q.node("Slice", output, []string{rows, q.constant(0), q.constant(int64(w.in)), q.constant(-1)})
	return nil
}

// halves writes the two numbers of 4 bits in each byte, the lower one first, along a
// new last axis. Their names begin with y.
func (q *quantizer) halves(y, bytes string) string {
	last := q.constant(-1)
	float := q.node("Cast", q.name(y+".bytes"), []string{bytes}, onnx.IntAttr("to", int64(onnx.Float)))
	high := q.node("Floor", q.name(y+".high"), []string{q.node("Mul", q.name(y+".sixteenths"), []string{float, q.number(0.0625)})})
	low := q.node("Sub", q.name(y+".low"), []string{float, q.node("Mul", q.name(y+".upper"), []string{high, q.number(16)})})
	low = q.node("Unsqueeze", q.name(y+".low_last"), []string{low, last})
	high = q.node("Unsqueeze", q.name(y+".high_last"), []string{high, last})
	return q.node("Concat", q.name(y+".pairs"), []string{low, high}, onnx.IntAttr("axis", -1))
}

// number returns the name of a constant.
func (q *quantizer) number(v float32) string {
	name := fmt.Sprintf("float.%g", v)
	q.put(floatTensor(name, nil, []float32{v}))
	return name
}

// inParallel divides 0 to n among the processors.
func inParallel(n int, do func(from, to int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { do(i*n/workers, (i+1)*n/workers) })
	}
	wg.Wait()
}
