package attnx_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/tokens"
)

// looking attends in two layers of different heads, under names of its own: the
// first is causal and shares keys, the second sees all that a mask leaves.
type looking struct{}

func (looking) Architecture() string { return "test/looking" }

func (looking) Forward(b *nn.Builder) {
	const width, head = 8, 2
	normal := graph.Normal(0.7)
	x, mask := b.Embedding("words", b.Tokens(6), 9, width, normal), b.Mask()
	for i, a := range []nn.Attention{{Heads: 4, KVHeads: 2, Width: head, Causal: true}, {Heads: 1, Width: width, Mask: mask}} {
		b := b.Scope(fmt.Sprint("level.", i))
		shared := a.Heads * a.Width
		if a.KVHeads > 0 {
			shared = a.KVHeads * a.Width
		}
		q := b.Project("asks", x, width, width, normal)
		k, v := b.Project("offers", x, width, shared, normal), b.Project("gives", x, width, shared, normal)
		x = b.Add(x, b.Attention("looks", a, q, k, v))
	}
	b.Logits(b.Project("head", x, width, 9, normal))
}

// The maps of attention are found by the operator, not by the names of values.
// Those of the first layer are computed here from the weights.
func TestAttentionOfOwnNetwork(t *testing.T) {
	c, err := model.New(looking{}, 1)
	check(err)
	tok, err := tokens.Train(tokens.Word, "a b c d e f g h", 0)
	check(err)
	ids := []int64{3, 0, 5, 3}
	maps, err := attnx.Attention(c, tok, ids)
	check(err)
	if len(maps) != 5 || maps[4].Layer != 1 || maps[4].Head != 0 {
		t.Fatalf("%d maps, expected 4 of the first layer and 1 of the second", len(maps))
	}
	weight := func(name string) []float32 {
		for _, w := range c.Weights {
			if w.Name == name {
				x, err := w.Float32s()
				check(err)
				return x
			}
		}
		t.Fatalf("no weight %q", name)
		return nil
	}
	times := func(id int64, table, m []float32, columns int) []float64 {
		y := make([]float64, columns)
		for i := range 8 {
			for j := range y {
				y[j] += float64(table[int(id)*8+i]) * float64(m[i*columns+j])
			}
		}
		return y
	}
	words, asks, offers := weight("words.weight"), weight("level.0.asks.weight"), weight("level.0.offers.weight")
	for head := range 4 {
		for row, id := range ids {
			q := times(id, words, asks, 8)[head*2:]
			var sum float64
			want := make([]float64, len(ids))
			for column := range row + 1 {
				k := times(ids[column], words, offers, 4)[head/2*2:]
				want[column] = math.Exp((q[0]*k[0] + q[1]*k[1]) * float64(float32(1/math.Sqrt2))) // decomposed, the scale is float32
				sum += want[column]
			}
			for column := range want {
				if d := maps[head].Scores[row][column] - want[column]/sum; math.Abs(d) > 1e-12 {
					t.Errorf("head %d: token %d looks at %d by %g, expected %g", head, row, column, maps[head].Scores[row][column], want[column]/sum)
				}
			}
		}
	}
	if s := maps[4].Scores[0]; !(s[3] > 0) {
		t.Errorf("the second layer is not causal, but its first token does not see the last: %v", s)
	}
	if _, err := attnx.Attention(must(model.New(MLP{In: 3, Hidden: 4, Out: 2}, 1)), tok, ids); err == nil {
		t.Error("maps of a network without attention")
	}
}
