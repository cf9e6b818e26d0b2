package attnx_test

import (
	"fmt"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// MLP predicts numbers from numbers, (B,In) to (B,Out), through one hidden layer.
type MLP struct {
	In, Hidden, Out int
}

func (MLP) Architecture() string { return "example/mlp" }

func (n MLP) Forward(b *nn.Builder) {
	x := b.Features(n.In)
	x = b.Tanh(b.Linear("hidden", x, n.In, n.Hidden, graph.Normal(0.5)))
	b.Prediction(b.Linear("out", x, n.Hidden, n.Out, graph.Normal(0.5)))
}

// Encoder gives each text a class: tokens and their mask (B,T) to logits (B,V).
// Every token looks at all that the mask leaves.
type Encoder struct {
	Vocab, Context, Width, Heads, Classes int
}

func (Encoder) Architecture() string { return "example/encoder" }

func (n Encoder) Forward(b *nn.Builder) {
	normal := graph.Normal(0.3)
	ids := b.Tokens(n.Context)
	look := nn.Attention{Heads: n.Heads, Width: n.Width / n.Heads, Mask: b.Mask()}
	x := b.Embedding("tokens", ids, n.Vocab, n.Width, normal)                         // (B,T,C)
	x = b.Add(x, b.Embedding("positions", b.Positions(), n.Context, n.Width, normal)) // (B,T,C)
	q, k, v := b.Project("q", x, n.Width, n.Width, normal), b.Project("k", x, n.Width, n.Width, normal), b.Project("v", x, n.Width, n.Width, normal)
	x = b.LayerNorm("norm", b.Add(x, b.Attention("attention", look, q, k, v)), n.Width, 1e-5)
	first := b.Reshape(b.Slice(x, 1, graph.N(0), graph.N(1)), nn.B, graph.N(n.Width)) // (B,C)
	b.Logits(b.Linear("classes", first, n.Width, n.Classes, normal))                  // (B,V)
}

// A network needs no text: what its loss is, and how it is run, follows from
// what its inputs and outputs are for.
func Example_networkWithoutText() {
	for _, n := range []nn.Network{MLP{In: 3, Hidden: 4, Out: 2}, Encoder{Vocab: 9, Context: 6, Width: 8, Heads: 2, Classes: 3}} {
		c, err := model.New(n, 1)
		check(err)
		loss, err := model.WithLoss(c.Graph)
		check(err)
		fmt.Print(c.Arch, ":")
		for _, in := range loss.Inputs {
			fmt.Print(" ", in.Name, " ", in.Type)
		}
		fmt.Println()
	}
	// Output:
	// example/mlp: features F32(B,3) labels F32(B,2)
	// example/encoder: input_ids I64(B,T) attention_mask I64(B,T) labels I64(B)
}
