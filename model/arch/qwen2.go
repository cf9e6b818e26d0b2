package arch

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/attnx/attnx/model/nn"
)

// Qwen2 is Llama with biases of queries, keys and values (arXiv:2407.10671).
// Fields have transformers' names.
type Qwen2 struct {
	Vocab      int        `json:"vocab_size"`              // V
	Context    int        `json:"max_position_embeddings"` // the longest sequence
	Width      int        `json:"hidden_size"`             // C
	Inner      int        `json:"intermediate_size"`       // F
	Layers     int        `json:"num_hidden_layers"`
	Heads      int        `json:"num_attention_heads"` // H, of queries; divides C
	KVHeads    int        `json:"num_key_value_heads"` // G, which divides H
	Activation string     `json:"hidden_act"`
	Epsilon    float64    `json:"rms_norm_eps"`
	Rope       Rope       `json:"rope_parameters"`
	Window     int        `json:"sliding_window"`      // the most tokens that one sees in a layer with a window; 0: there is none
	LayerTypes LayerTypes `json:"layer_types"`         // which layers have the window; "": none
	Tied       bool       `json:"tie_word_embeddings"` // the head is the token embedding
	Use
}

// Architecture returns transformers' model_type.
func (Qwen2) Architecture() string { return "qwen2" }

// Depth returns the number of layers.
func (n Qwen2) Depth() int { return n.Layers }

// Check returns the first invalid setting.
func (n Qwen2) Check() error {
	if err := n.LayerTypes.check(n.Layers, n.Window); err != nil {
		return err
	}
	if n.Heads > 0 && n.Width%n.Heads != 0 {
		return fmt.Errorf("num_attention_heads %d does not divide hidden_size %d", n.Heads, n.Width)
	}
	return n.decoder().check()
}

// Forward writes the network: tokens (B,T) to logits (B,T,V).
func (n Qwen2) Forward(b *nn.Builder) {
	if err := n.Check(); err != nil {
		b.Fail("%v", err)
		return
	}
	n.decoder().forward(b)
}

func (n Qwen2) decoder() decoder {
	return decoder{
		vocab: n.Vocab, context: n.Context, width: n.Width, inner: n.Inner, layers: n.Layers, heads: n.Heads, groups: n.KVHeads, headWidth: n.Width / max(n.Heads, 1),
		activation: n.Activation, epsilon: n.Epsilon, rope: n.Rope, use: n.Use, tied: n.Tied, biasQKV: true, window: n.LayerTypes.window(n.Window),
	}
}

// qwen2Of returns Qwen2 with the sizes of a preset.
func qwen2Of(s Sizes, vocab int) nn.Network {
	return Qwen2{
		Vocab: vocab, Context: s.Context, Width: s.Width, Inner: s.innerGated(), Layers: s.Layers, Heads: s.Heads, KVHeads: s.keys(),
		Activation: "silu", Epsilon: 1e-6, Rope: Rope{Type: "default", Theta: 10000}, Tied: true,
	}
}

// LayerTypes names the attention of each layer, separated by spaces, with
// transformers' names: full_attention, or sliding_attention for a window. ""
// is full attention in all layers. In JSON it is a list.
type LayerTypes string

// The types of attention.
const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
)

// MarshalJSON writes the list.
func (t LayerTypes) MarshalJSON() ([]byte, error) { return json.Marshal(strings.Fields(string(t))) }

// UnmarshalJSON reads a list, or null.
func (t *LayerTypes) UnmarshalJSON(text []byte) error {
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*t = LayerTypes(strings.Join(list, " "))
	return nil
}

func (t LayerTypes) check(layers, window int) error {
	types := strings.Fields(string(t))
	if len(types) > 0 && len(types) != layers {
		return fmt.Errorf("layer_types has %d entries for %d layers", len(types), layers)
	}
	for i, name := range types {
		switch {
		case name != fullAttention && name != slidingAttention:
			return fmt.Errorf("layer_types[%d] is %.40q, supported are %s and %s", i, name, fullAttention, slidingAttention)
		case name == slidingAttention && (window < 1 || window > maxSize):
			return fmt.Errorf("layer_types[%d] has a window, and sliding_window is %d: must be from 1 to %d", i, window, maxSize)
		}
	}
	return nil
}

// window returns the window of each layer.
func (t LayerTypes) window(size int) func(layer int) int {
	types := strings.Fields(string(t))
	return func(layer int) int {
		if layer < len(types) && types[layer] == slidingAttention {
			return size
		}
		return 0
	}
}

// Windows reports which of the layers have a window.
func (t LayerTypes) Windows(layers int) []bool {
	list, window := make([]bool, layers), t.window(1)
	for i := range list {
		list[i] = window(i) > 0
	}
	return list
}

// WindowTypes returns the types of layers of which some have a window.
func WindowTypes(windows []bool) LayerTypes {
	types := make([]string, len(windows))
	for i, has := range windows {
		types[i] = fullAttention
		if has {
			types[i] = slidingAttention
		}
	}
	return LayerTypes(strings.Join(types, " "))
}
