package gguf

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// family is how GGUF files hold the models of one architecture: a row of the
// table.
type family struct {
	arch    string   // general.architecture, and the prefix of the names of its settings
	of      string   // the name of the architecture, if it is another
	also    []string // other architectures whose files these are
	members []member // of a configuration, and the settings of a file
	network func(s *settings) nn.Network
	names   *strings.Replacer // from the name of a weight to that of its tensor
	head    string            // the weight of the head where it is not the token embedding
	rotated []string          // parts of the names of weights whose rows are in pairs (see paired)
	turned  []string          // ends of the names of weights that are transposed
	mixed   []string          // parts of the names of weights whose rows have queries, keys and values apart (see headFirst)
	shifted string            // end of the names of weights that have 1 more in a file
	table   string            // the token embedding, if a file has a head even where that is the head
	factors bool              // llama.cpp loads factors of the angles (see ropeFactors), and otherwise does not load a file with them
	more    func(w *writing) error
}

// member is a member of a network's configuration, and its name in a file.
type member struct {
	member, key string
	number      bool // a float32; otherwise an integer
}

// decoderConfig are the members of networks in the manner of Llama. Rotary
// positions have a form of their own.
var decoderConfig = []member{
	{"vocab_size", "vocab_size", false}, {"max_position_embeddings", "context_length", false}, {"hidden_size", "embedding_length", false},
	{"intermediate_size", "feed_forward_length", false}, {"num_hidden_layers", "block_count", false}, {"num_attention_heads", "attention.head_count", false},
	{"num_key_value_heads", "attention.head_count_kv", false}, {"head_dim", "attention.key_length", false}, {"head_dim", "attention.value_length", false},
	{"rms_norm_eps", "attention.layer_norm_rms_epsilon", true},
}

// name returns the name of the row's architecture.
func (row family) name() string { return cmp.Or(row.of, row.arch) }

// has reports whether the name of a weight has one of the parts.
func has(parts []string, weight string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(weight, part) })
}

// headMembers are the members with the number of heads of a weight whose rows are
// in pairs.
func headMembers(part string) []string {
	if strings.Contains(part, "k_proj") {
		return []string{"num_key_value_heads", "num_attention_heads"}
	}
	return []string{"num_attention_heads"}
}

// families is the table.
var families = []family{llama, qwen2, qwen3, gpt2, gptNeoX, phi, gemma3, gptBigCode}

// decoderNames are those of networks in the manner of Llama
// (gguf-py/gguf/tensor_mapping.py).
var decoderNames = strings.NewReplacer(
	"embed_tokens.", "token_embd.", "lm_head.", "output.", "layers.", "blk.",
	"input_layernorm.", "attn_norm.", "post_attention_layernorm.", "ffn_norm.",
	"self_attn.q_proj.", "attn_q.", "self_attn.k_proj.", "attn_k.", "self_attn.v_proj.", "attn_v.", "self_attn.o_proj.", "attn_output.",
	"self_attn.q_norm.", "attn_q_norm.", "self_attn.k_norm.", "attn_k_norm.",
	"mlp.gate_proj.", "ffn_gate.", "mlp.up_proj.", "ffn_up.", "mlp.down_proj.", "ffn_down.",
	"norm.", "output_norm.",
)

// llama is the row of Llama, and of Mistral, whose files are Llama's.
var llama = family{
	arch: "llama", also: []string{"mistral"}, members: decoderConfig, factors: true,
	names: decoderNames, head: "lm_head.weight",
	rotated: []string{".self_attn.q_proj.", ".self_attn.k_proj."},
	network: func(s *settings) nn.Network {
		d := s.decoder()
		return arch.Llama{
			Vocab: d.vocab, Context: d.context, Width: d.width, Inner: d.inner, Layers: d.layers, Heads: d.heads, KVHeads: d.groups, HeadWidth: d.headWidth,
			Activation: "silu", Epsilon: d.epsilon, Rope: d.rope, Tied: s.tied(),
			AttentionBias: s.has("blk.0.attn_q.bias"), MLPBias: s.has("blk.0.ffn_gate.bias"),
		}
	},
}

// qwen2 is the row of Qwen2.
var qwen2 = family{
	arch: "qwen2", members: decoderConfig,
	names: decoderNames, head: "lm_head.weight",
	network: func(s *settings) nn.Network {
		d := s.decoder()
		if d.headWidth*d.heads != d.width {
			s.fail("attention.key_length", "%d: only the width %d divided by %d heads is supported", d.headWidth, d.width, d.heads)
		}
		return arch.Qwen2{
			Vocab: d.vocab, Context: d.context, Width: d.width, Inner: d.inner, Layers: d.layers, Heads: d.heads, KVHeads: d.groups,
			Activation: "silu", Epsilon: d.epsilon, Rope: d.rope, Tied: s.tied(),
		}
	},
}

// qwen3 is the row of Qwen3.
var qwen3 = family{
	arch: "qwen3", members: decoderConfig,
	names: decoderNames, head: "lm_head.weight",
	network: func(s *settings) nn.Network {
		d := s.decoder()
		return arch.Qwen3{
			Vocab: d.vocab, Context: d.context, Width: d.width, Inner: d.inner, Layers: d.layers, Heads: d.heads, KVHeads: d.groups, HeadWidth: d.headWidth,
			Activation: "silu", Epsilon: d.epsilon, Rope: d.rope, Tied: s.tied(), AttentionBias: s.has("blk.0.attn_q.bias"),
		}
	},
	more: func(w *writing) error {
		if string(w.config["attention_bias"]) == "true" {
			return errors.New("attention_bias is true, and llama.cpp's qwen3 has no bias behind the attention (blk.N.attn_output.bias): write a folder or an ONNX file")
		}
		return nil
	},
}

// gpt2 is the row of GPT-2.
var gpt2 = family{
	arch: "gpt2",
	members: []member{
		{"vocab_size", "vocab_size", false}, {"n_positions", "context_length", false}, {"n_embd", "embedding_length", false}, {"n_inner", "feed_forward_length", false},
		{"n_layer", "block_count", false}, {"n_head", "attention.head_count", false}, {"layer_norm_epsilon", "attention.layer_norm_epsilon", true},
	},
	names: strings.NewReplacer(
		"wte.", "token_embd.", "wpe.", "position_embd.", "lm_head.", "output.", "ln_f.", "output_norm.", "h.", "blk.",
		"ln_1.", "attn_norm.", "ln_2.", "ffn_norm.", "attn.c_attn.", "attn_qkv.", "attn.c_proj.", "attn_output.", "mlp.c_fc.", "ffn_up.", "mlp.c_proj.", "ffn_down.",
	),
	head:   "lm_head.weight",
	turned: []string{".c_attn.weight", ".c_proj.weight", ".c_fc.weight"},
	network: func(s *settings) nn.Network {
		n := arch.GPT2{
			Vocab: s.vocab(), Context: s.size("context_length"), Width: s.size("embedding_length"), Layers: s.size("block_count"),
			Heads: s.size("attention.head_count"), Inner: s.size("feed_forward_length"), Epsilon: s.number("attention.layer_norm_epsilon"), Untied: !s.tied(),
		}
		s.expect("attention.head_count_kv", n.Heads)
		return n
	},
}
