package model

import (
	"fmt"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// BuildCached returns the forward pass with a cache of keys and values, so that
// a text is computed once and each further token alone. Names and shapes are
// those that Hugging Face's optimum gave to such graphs:
//
//	input_ids                  int64 (B,T)
//	attention_mask             int64 (B,P+T): 0 hides a token, left padding say, else 1
//	position_ids               int64 (B,T), if the network has positions
//	past_key_values.N.key      (B,H,P,D), and .value, for each layer; P may be 0
//
// to logits, (B,T,V) or with last those of the last token alone, (B,1,V), and
// present.N.key and .value, (B,H,P+T,D), the past of the next run. P+T is at
// most the context. The weights are those of Build, in its order.
func BuildCached(c Config, last bool) (*graph.Graph, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	b := graph.NewBuilder()
	ids := b.Input("input_ids", format.Int64, B, T)
	cache := newCache(b, c, last)
	b.Output("logits", network(b, c, ids, cache))
	for _, l := range cache.layers {
		for _, present := range l.present {
			b.Output(present.Name, present)
		}
	}
	return b.Graph()
}

// Presents returns the keys and values of a network that Build gave for c, of
// every layer (B,H,T,D), as the outputs that BuildCached has for a text without
// a past.
func Presents(g *graph.Graph, c Config) []graph.Output {
	var outputs []graph.Output
	for i := range c.Layers {
		layer := fmt.Sprintf("h.%d.", i)
		if c.Arch == Simple {
			layer = ""
		}
		for _, part := range []string{"key", "value"} {
			outputs = append(outputs, graph.Output{Name: presentName(i, part), Value: g.Lookup(layer + "attn." + part)})
		}
	}
	return outputs
}

func presentName(layer int, part string) string { return fmt.Sprintf("present.%d.%s", layer, part) }

// cache is what a network with a past is given beside its ids. A nil cache is
// that of a network without one.
type cache struct {
	mask      *graph.Value // attention_mask (B,P+T)
	positions *graph.Value // position_ids (B,T)
	layers    []*past
	lastOnly  bool
}

// past is the cache of one layer.
type past struct {
	root       *graph.Builder // names without the layer's prefix
	layer      int
	key, value *graph.Value // (B,H,P,D)

	present []*graph.Value // keys and values (B,H,P+T,D), once they are there
}

func newCache(b *graph.Builder, c Config, last bool) *cache {
	x := &cache{lastOnly: last, mask: b.Input("attention_mask", format.Int64, B, P.Add(T))}
	if c.Positions {
		x.positions = b.Input("position_ids", format.Int64, B, T)
	}
	for i := range c.Layers {
		in := func(part string) *graph.Value {
			return b.Input(fmt.Sprintf("past_key_values.%d.%s", i, part), format.Float32, B, graph.N(c.Heads), P, graph.N(c.HeadWidth()))
		}
		x.layers = append(x.layers, &past{root: b, layer: i, key: in("key"), value: in("value")})
	}
	return x
}

func (x *cache) layer(i int) *past {
	if x == nil {
		return nil
	}
	return x.layers[i]
}

// span returns the place of the first new token, and how many there are with
// it and what went before.
func (x *cache) span() (first, seen graph.Dim) {
	if x == nil {
		return graph.N(0), T
	}
	return P, P.Add(T)
}

// last returns of y (B,T,C) what the logits are asked for: all of it, or the
// last token, (B,1,C).
func (x *cache) last(b *graph.Builder, y *graph.Value) *graph.Value {
	if x == nil || !x.lastOnly {
		return y
	}
	return b.Name("last", b.Slice(y, 1, T.Add(graph.N(-1)), T))
}

// append returns the keys and values (B,H,T,D) behind those of the past:
// (B,H,P+T,D).
func (x *past) append(b *graph.Builder, key, value *graph.Value) (k, v *graph.Value) {
	if x == nil {
		return key, value
	}
	present := func(part string, old, new *graph.Value) *graph.Value {
		return x.root.Name(presentName(x.layer, part), x.root.Concat(2, old, new))
	}
	x.present = []*graph.Value{present("key", x.key, key), present("value", x.value, value)}
	return x.present[0], x.present[1]
}
