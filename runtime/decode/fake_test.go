package decode

import (
	"math"

	"github.com/attnx/attnx/format"
)

const vocab = 11

func oracle() *fake { return &fake{vocab: vocab, double: true} }

// fake is a session whose logits are a fixed causal function of the ids. Every
// token's logits hang on all tokens up to it.
type fake struct {
	vocab  int
	double bool                                       // float64 out
	run    func(format.Tensor) (format.Tensor, error) // replaces Run
	runs   int
}

func (f *fake) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	f.runs++
	in := inputs["input_ids"]
	if f.run != nil {
		t, err := f.run(in)
		return map[string]format.Tensor{"logits": t}, err
	}
	ids, err := in.Int64s()
	if err != nil {
		return nil, err
	}
	batch, length := in.Shape[0], in.Shape[1]
	values := make([]float64, 0, batch*length*f.vocab)
	for b := range batch {
		state := uint64(0)
		for t := range length {
			state = splitMix(state + uint64(ids[b*length+t]))
			for v := range f.vocab {
				values = append(values, float64(splitMix(state+uint64(v))>>40)/0x1p22-2)
			}
		}
	}
	shape := []int{batch, length, f.vocab}
	if f.double {
		return map[string]format.Tensor{"logits": format.FromFloat64s("out", shape, values)}, nil
	}
	single := make([]float32, len(values))
	for i, x := range values {
		single[i] = float32(x)
	}
	return map[string]format.Tensor{"logits": format.FromFloat32s("out", shape, single)}, nil
}

func (f *fake) Close() error { return nil }

// greedy is the Pick of the tests.
func greedy(logits []float32, _ int) (int, error) {
	best, high := 0, float32(math.Inf(-1))
	for i, x := range logits {
		if x > high {
			best, high = i, x
		}
	}
	return best, nil
}

// splitMix is the output function of SplitMix64 at counter n.
func splitMix(n uint64) uint64 {
	z := (n + 1) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
