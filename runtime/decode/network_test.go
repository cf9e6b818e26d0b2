package decode

import "github.com/attnx/attnx/format"

// network is a tiny causal network in integers below 251, which float32,
// float16 and bfloat16 all hold: its sums are exact and the same in any order,
// so a text computed with a cache equals the recomputed one or a key was wrong.
// What a token attends to it knows by the keys and values alone.
type network struct {
	layers, heads, width, vocab, context int
}

var small = network{layers: 2, heads: 2, width: 3, vocab: 11, context: 16}

const prime = 251

func (n network) size() int { return n.heads * n.width }

// embed returns the state of a token at its position.
func (n network) embed(id, position int) []int {
	x := make([]int, n.size())
	for i := range x {
		x[i] = int(splitMix(uint64(id)<<32+uint64(position)<<8+uint64(i)) % prime)
	}
	return x
}

func (n network) key(layer int, x []int) []int {
	k := make([]int, len(x))
	for i := range k {
		k[i] = (x[i]*x[(i+1)%len(x)]*(2*layer+3) + 7*i + 1) % prime
	}
	return k
}

func (n network) value(layer int, x []int) []int {
	v := make([]int, len(x))
	for i := range v {
		v[i] = (x[(i+2)%len(x)]*(3*layer+5) + 11*i + 2) % prime
	}
	return v
}

// attend adds to sum what a token of state x sees in one key and value.
func (n network) attend(sum, x, key, value []int) {
	for i := range sum {
		head, d := i/n.width, i%n.width
		sum[i] = (sum[i] + (x[i]+key[i])*value[head*n.width+(d+1)%n.width]) % prime
	}
}

// add returns the state after a layer.
func (n network) add(x, sum []int) []int {
	y := make([]int, len(x))
	for i := range y {
		y[i] = (x[i] + 5*sum[i] + 1) % prime
	}
	return y
}

// logits returns those of a token's last state.
func (n network) logits(x []int) []float32 {
	state := uint64(0)
	for _, v := range x {
		state = splitMix(state + uint64(v))
	}
	row := make([]float32, n.vocab)
	for v := range row {
		row[v] = float32(splitMix(state+uint64(v))>>40)/0x1p22 - 2
	}
	return row
}

// Run makes the network a Session, which computes every token of the text
// layer by layer and has no cache.
func (n network) Run(inputs map[string]format.Tensor) (map[string]format.Tensor, error) {
	ids, err := inputs["input_ids"].Int64s()
	if err != nil {
		return nil, err
	}
	states := make([][]int, len(ids))
	for i, id := range ids {
		states[i] = n.embed(int(id), i)
	}
	for layer := range n.layers {
		after := make([][]int, len(states))
		for i, x := range states {
			sum := make([]int, n.size())
			for _, y := range states[:i+1] {
				n.attend(sum, x, n.key(layer, y), n.value(layer, y))
			}
			after[i] = n.add(x, sum)
		}
		states = after
	}
	var out []float32
	for _, x := range states {
		out = append(out, n.logits(x)...)
	}
	return map[string]format.Tensor{"logits": format.FromFloat32s("logits", []int{1, len(ids), n.vocab}, out)}, nil
}

func (n network) Close() error { return nil }
