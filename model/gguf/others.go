package gguf

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// The rows of decoders that are not in the manner of Llama.

// plainConfig are the members of decoders with a plain feed-forward network.
var plainConfig = []member{
	{"vocab_size", "vocab_size", false}, {"max_position_embeddings", "context_length", false}, {"hidden_size", "embedding_length", false},
	{"intermediate_size", "feed_forward_length", false}, {"num_hidden_layers", "block_count", false}, {"num_attention_heads", "attention.head_count", false},
	{"layer_norm_eps", "attention.layer_norm_epsilon", true},
}

// plain are the settings of such a decoder.
func (s *settings) plain() decoder {
	d := decoder{
		vocab: s.vocab(), context: s.size("context_length"), width: s.size("embedding_length"), inner: s.size("feed_forward_length"), layers: s.size("block_count"),
		heads: s.size("attention.head_count"), epsilon: s.number("attention.layer_norm_epsilon"),
	}
	d.groups = s.sizeOr("attention.head_count_kv", max(d.heads, 1))
	d.headWidth = d.width / max(d.heads, 1)
	d.rope = s.rope(d)
	if n := s.sizeOr("rope.dimension_count", max(d.headWidth, 1)); d.headWidth > 0 {
		d.rope.Partial = float64(n) / float64(d.headWidth)
		if int(float64(d.headWidth)*d.rope.Partial) < n {
			d.rope.Partial = math.Nextafter(d.rope.Partial, 2)
		}
	}
	return d
}

// gptNeoX is the row of GPT-NeoX. llama.cpp computes the tanh form of GELU for all of
// its models. Those that there are have the exact one, and files have no setting for
// it: converters write them all the same.
var gptNeoX = family{
	arch: "gptneox", of: arch.GPTNeoX{}.Architecture(), members: plainConfig,
	names: strings.NewReplacer(
		"embed_in.", "token_embd.", "embed_out.", "output.", "final_layer_norm.", "output_norm.", "layers.", "blk.",
		"input_layernorm.", "attn_norm.", "post_attention_layernorm.", "ffn_norm.", "attention.query_key_value.", "attn_qkv.", "attention.dense.", "attn_output.",
		"mlp.dense_h_to_4h.", "ffn_up.", "mlp.dense_4h_to_h.", "ffn_down.",
	),
	head: "embed_out.weight", table: "embed_in.weight",
	mixed: []string{".query_key_value."},
	more: func(w *writing) error {
		var c arch.GPTNeoX
		if err := json.Unmarshal(w.c.Config, &c); err != nil {
			return err
		}
		w.put(w.row.arch+".use_parallel_residual", c.Parallel)
		w.report.Notes = append(w.report.Notes, "llama.cpp computes the tanh form of GELU for this architecture: its logits differ in the third digit")
		return nil
	},
	network: func(s *settings) nn.Network {
		d := s.plain()
		s.expect("attention.head_count_kv", d.heads)
		parallel, ok := s.value("use_parallel_residual").(bool)
		if !ok {
			s.fail("use_parallel_residual", "missing: the file is incomplete; take another copy")
		}
		return arch.GPTNeoX{
			Vocab: d.vocab, Context: d.context, Width: d.width, Inner: d.inner, Layers: d.layers, Heads: d.heads, Activation: "gelu", Epsilon: d.epsilon,
			Rope: d.rope, Bias: true, Parallel: parallel, Tied: s.tied(),
		}
	},
}

// phi is the row of Phi-1 to Phi-2.
var phi = family{
	arch: "phi2", of: arch.Phi{}.Architecture(), members: append(plainConfig[:len(plainConfig):len(plainConfig)], member{"num_key_value_heads", "attention.head_count_kv", false}),
	names: strings.NewReplacer(
		"embed_tokens.", "token_embd.", "lm_head.", "output.", "final_layernorm.", "output_norm.", "layers.", "blk.", "input_layernorm.", "attn_norm.",
		"self_attn.q_proj.", "attn_q.", "self_attn.k_proj.", "attn_k.", "self_attn.v_proj.", "attn_v.", "self_attn.dense.", "attn_output.",
		"mlp.fc1.", "ffn_up.", "mlp.fc2.", "ffn_down.",
	),
	head: "lm_head.weight", table: "embed_tokens.weight",
	network: func(s *settings) nn.Network {
		d := s.plain()
		return arch.Phi{
			Vocab: d.vocab, Context: d.context, Width: d.width, Inner: d.inner, Layers: d.layers, Heads: d.heads, KVHeads: d.groups, Activation: "gelu_new",
			Epsilon: d.epsilon, Rope: d.rope, Tied: s.tied(),
		}
	},
}

// gptBigCode is the row of SantaCoder and StarCoder.
var gptBigCode = family{
	arch: "starcoder", of: arch.GPTBigCode{}.Architecture(), members: gpt2.members, names: gpt2.names, head: gpt2.head,
	more: func(w *writing) error {
		w.put(w.row.arch+".attention.head_count_kv", uint32(1))
		return nil
	},
	network: func(s *settings) nn.Network {
		s.expect("attention.head_count_kv", 1)
		return arch.GPTBigCode{
			Vocab: s.vocab(), Context: s.size("context_length"), Width: s.size("embedding_length"), Inner: s.size("feed_forward_length"), Layers: s.size("block_count"),
			Heads: s.size("attention.head_count"), Epsilon: s.number("attention.layer_norm_epsilon"), Activation: "gelu_pytorch_tanh", Scaled: true, MultiQuery: true, Tied: s.tied(),
		}
	},
}

// gemma3 is the row of Gemma 3.
var gemma3 = family{
	arch: "gemma3", of: arch.Gemma3{}.Architecture(), members: decoderConfig,
	names: strings.NewReplacer(
		"embed_tokens.", "token_embd.", "lm_head.", "output.", "layers.", "blk.",
		"input_layernorm.", "attn_norm.", "post_attention_layernorm.", "post_attention_norm.", "pre_feedforward_layernorm.", "ffn_norm.", "post_feedforward_layernorm.", "post_ffw_norm.",
		"self_attn.q_proj.", "attn_q.", "self_attn.k_proj.", "attn_k.", "self_attn.v_proj.", "attn_v.", "self_attn.o_proj.", "attn_output.",
		"self_attn.q_norm.", "attn_q_norm.", "self_attn.k_norm.", "attn_k_norm.",
		"mlp.gate_proj.", "ffn_gate.", "mlp.up_proj.", "ffn_up.", "mlp.down_proj.", "ffn_down.", "norm.", "output_norm.",
	),
	head:    "lm_head.weight",
	shifted: "norm.weight",
	more:    (*writing).gemma3,
	network: func(s *settings) nn.Network {
		d := s.decoder()
		n := arch.Gemma3{
			Vocab: d.vocab, Context: d.context, Width: d.width, Inner: d.inner, Layers: d.layers, Heads: d.heads, KVHeads: d.groups, HeadWidth: d.headWidth,
			Activation: "gelu_pytorch_tanh", Epsilon: d.epsilon, Rope: d.rope, LocalTheta: s.numberOr("rope.freq_base_swa", 10000), QueryScalar: d.queryScalar(),
			SoftCap: s.numberOr("final_logit_softcapping", 0), Tied: s.tied(), Window: 4096,
		}
		windows := s.windows(d.layers)
		if s.value("attention.sliding_window") != nil {
			n.Window = s.size("attention.sliding_window")
		} else {
			clear(windows)
		}
		n.LayerTypes = arch.WindowTypes(windows)
		return n
	},
}

// gemma3Layers is the number of layers of Gemma 3 27B, by which llama.cpp knows that
// its scores are scaled as those of no other.
const gemma3Layers = 62

// queryScalar is the number by whose square root llama.cpp divides scores.
func (d decoder) queryScalar() float64 {
	if d.layers == gemma3Layers {
		return float64(d.width / max(d.heads, 1))
	}
	return float64(d.headWidth)
}

// windowPattern is the name of the setting that says which layers have a window. By
// llama.cpp's default each sixth has none.
const windowPattern = "attention.sliding_window_pattern"

// windows returns which layers have a window.
func (s *settings) windows(layers int) []bool {
	const most = 1 << 12
	if layers < 1 || layers > most {
		return nil // refused by the network's check
	}
	every := 6
	switch v := s.value(windowPattern).(type) {
	case nil:
	case []bool:
		if len(v) != layers {
			s.fail(windowPattern, "of %d layers, the network has %d: take another copy", len(v), layers)
			return nil
		}
		return slices.Clone(v)
	default:
		every = s.size(windowPattern)
	}
	list := make([]bool, layers)
	for i := range list {
		list[i] = every < 1 || i%every < every-1
	}
	return list
}

// gemma3 writes the settings that Gemma 3 has beyond Llama's.
func (w *writing) gemma3() error {
	var c arch.Gemma3
	if err := json.Unmarshal(w.c.Config, &c); err != nil {
		return err
	}
	prefix := w.row.arch + "."
	if c.SoftCap > 0 {
		w.put(prefix+"final_logit_softcapping", float32(c.SoftCap))
	}
	list, usual := c.LayerTypes.Windows(c.Layers), true
	if !slices.Contains(list, true) {
		return nil
	}
	for i, has := range list {
		usual = usual && has == (i%6 < 5)
	}
	w.put(prefix+"attention.sliding_window", uint32(c.Window))
	w.put(prefix+"rope.freq_base_swa", float32(c.LocalTheta))
	if !usual {
		w.put(prefix+windowPattern, list)
	}
	return nil
}

// headFirst undoes what converters do to the joint projection of GPT-NeoX: a file has
// all queries, then all keys, then all values; transformers the three of each head.
func headFirst(t format.Tensor, heads int) format.Tensor {
	d := t.Shape[0] / 3 / heads
	return rows(t, func(r int) int {
		h, part, i := r/(3*d), r%(3*d)/d, r%d
		return part*heads*d + h*d + i
	})
}

// partFirst does what converters do: see headFirst.
func partFirst(t format.Tensor, heads int) format.Tensor {
	d := t.Shape[0] / 3 / heads
	return rows(t, func(r int) int {
		part, h, i := r/(heads*d), r%(heads*d)/d, r%d
		return h*3*d + part*d + i
	})
}

// plus returns a tensor of float32 with x added to each element.
func plus(t format.Tensor, x float32) (format.Tensor, error) {
	values, err := t.Float32s()
	if err != nil {
		return t, err
	}
	values = slices.Clone(values)
	for i := range values {
		values[i] += x
	}
	return format.FromFloat32s(t.Name, t.Shape, values), nil
}
