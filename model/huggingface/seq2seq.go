package huggingface

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// The rows of networks that translate: their folders have an encoder and a decoder,
// and one table of embeddings under up to four names.

// startID names the id that stands before each target.
const startID = "decoder_start_token_id"

// scaledKey says whether T5's states are scaled before the head. Files of
// transformers 4 have no such member: there a network with a head of its own is one
// that does not scale.
const scaledKey = "scale_decoder_outputs"

// The classes of their tokenizers.
const (
	t5Tokenizer     = "T5TokenizerFast"
	marianTokenizer = "MarianTokenizer"
)

// t5 is the row of T5.
var t5 = family{
	arch:      arch.T5{}.Architecture(),
	class:     "T5ForConditionalGeneration",
	roots:     []string{"shared", "encoder", "decoder", "lm_head", "classification_head", "classifier", "qa_outputs"},
	head:      "lm_head.weight",
	embedding: "shared.weight",
	tokenizer: t5Tokenizer,
	source:    true,
	copies:    map[string]string{"encoder.embed_tokens.weight": "shared.weight", "decoder.embed_tokens.weight": "shared.weight"},
	buffer: func(name string, _ int) bool { // of the first releases, which do not use it
		return name == "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
	},
	form: func(n nn.Network) form {
		t := n.(arch.T5)
		w := form{class: "T5ForConditionalGeneration", head: "lm_head.weight"}
		if !t.Untied && !t.Scaled { // transformers 4 reads the head where the states are not scaled
			w.own, w.twin, w.both = "shared.weight", "lm_head.weight", true
		}
		return w
	},
	parse: settled(arch.T5{}.Architecture(), []setting{
		{"vocab_size", whole, "32128"}, {"d_model", whole, "512"}, {"d_kv", whole, "64"}, {"d_ff", whole, "2048"}, {"num_layers", whole, "6"},
		{"num_decoder_layers", whole, ""}, {"num_heads", whole, "8"}, {"relative_attention_num_buckets", whole, "32"}, {"relative_attention_max_distance", whole, "128"},
		{"layer_norm_epsilon", number, "1e-6"}, {"feed_forward_proj", text, `"relu"`}, {scaledKey, boolean, ""}, {"untied_head", boolean, "false"}}, object.completeT5),
	members: func(n nn.Network) ([]member, error) {
		list, err := membersOf(n)
		list = slices.DeleteFunc(list, func(m member) bool { return m.name == "untied_head" })
		return append(list, member{"is_encoder_decoder", true}, member{tiedKey, n.(arch.T5).Scaled}), err
	},
}

// completeT5 sets members that follow from others, and removes those that say how a
// network was trained.
func (o object) completeT5() error {
	if err := o.checkTranslator("T5ForConditionalGeneration", "T5WithLMHeadModel"); err != nil {
		return err
	}
	for size, alias := range map[string]string{"d_model": "hidden_size", "num_heads": "num_attention_heads", "num_layers": "num_hidden_layers", "d_kv": "head_dim"} {
		if err := o.alias(size, alias); err != nil {
			return err
		}
	}
	if o.null("num_decoder_layers") {
		o["num_decoder_layers"] = o["num_layers"]
		if o.null("num_layers") {
			o["num_decoder_layers"] = []byte("6")
		}
	}
	tied, err := o.flag(tiedKey, true)
	if err != nil {
		return err
	}
	if o["untied_head"] = []byte("false"); !tied {
		o["untied_head"] = []byte("true")
	}
	if o.null(scaledKey) {
		o[scaledKey] = []byte(fmt.Sprint(tied))
	}
	forward, err := o.text("feed_forward_proj", "relu")
	if err != nil {
		return err
	}
	function, gated := strings.CutPrefix(forward, "gated-")
	if gated && function == "gelu" {
		function = "gelu_new"
	}
	if own, err := o.text("dense_act_fn", function); err != nil || own != function {
		return orError(err, "dense_act_fn is "+quote.String(own)+", but feed_forward_proj "+quote.String(forward)+" has "+function+": make them agree")
	}
	if own, err := o.flag("is_gated_act", gated); err != nil || own != gated {
		return orError(err, fmt.Sprintf("is_gated_act is %t, but feed_forward_proj is %s: make them agree", own, quote.String(forward)))
	}
	for _, name := range []string{tiedKey, "dense_act_fn", "is_gated_act", "is_encoder_decoder", "dropout_rate", "initializer_factor", "n_positions", "output_past", "classifier_dropout"} {
		delete(o, name)
	}
	return nil
}

// withHead decides whether a network has a head of its own where its configuration
// does not: by the files.
func (d *folder) withHead(about *config, c *model.Checkpoint, shards []shard) error {
	n, ok := about.network.(interface{ WithUntied(untied bool) nn.Network })
	if !ok {
		return nil
	}
	var head, table *source
	for _, s := range shards {
		for _, t := range s.Tensors() {
			switch name := NetworkName(c.Arch, t.Name); {
			case name == about.head:
				head = &source{s, t}
			case name == about.embedding, about.copies[name] == about.embedding && table == nil:
				table = &source{s, t}
			}
		}
	}
	untied := false
	if head != nil && table != nil {
		a, err := head.float32s()
		if err != nil {
			return err
		}
		b, err := table.float32s()
		if err != nil {
			return err
		}
		untied = !bytes.Equal(a, b)
	}
	about.network = n.WithUntied(untied)
	about.family = about.of(about.network)
	with, err := model.Of(about.network)
	if err != nil {
		return d.errorf(configName, "%w", err)
	}
	c.Config, c.Graph = with.Config, with.Graph
	return nil
}

// marian is the row of Marian.
var marian = family{
	arch:      arch.Marian{}.Architecture(),
	class:     "MarianMTModel",
	prefix:    "model.",
	roots:     []string{"shared", "encoder", "decoder", "lm_head", "final_logits_bias"},
	heads:     []string{"final_logits_bias"},
	head:      "lm_head.weight",
	embedding: "shared.weight",
	tokenizer: marianTokenizer,
	source:    true,
	buffer: func(name string, _ int) bool {
		return name == "encoder.embed_positions.weight" || name == "decoder.embed_positions.weight"
	},
	form: func(n nn.Network) form {
		w := form{class: "MarianMTModel", prefix: "model.", head: "lm_head.weight"}
		if n.(arch.Marian).Shared {
			w.copies = map[string]string{"encoder.embed_tokens.weight": "shared.weight", "decoder.embed_tokens.weight": "shared.weight"}
		} else {
			w.embedding = "decoder.embed_tokens.weight"
		}
		return w
	},
	parse: settled(arch.Marian{}.Architecture(), []setting{
		{"vocab_size", whole, "58101"}, {"decoder_vocab_size", whole, ""}, {"max_position_embeddings", whole, "1024"}, {"d_model", whole, "1024"},
		{"encoder_layers", whole, "12"}, {"encoder_ffn_dim", whole, "4096"}, {"encoder_attention_heads", whole, "16"},
		{"decoder_layers", whole, "12"}, {"decoder_ffn_dim", whole, "4096"}, {"decoder_attention_heads", whole, "16"},
		{"activation_function", text, `"gelu"`}, {"scale_embedding", boolean, "false"}, {"share_encoder_decoder_embeddings", boolean, "true"}, {tiedKey, boolean, "true"}},
		object.completeMarian),
	members: func(n nn.Network) ([]member, error) {
		list, err := membersOf(n)
		return append(list, member{"is_encoder_decoder", true}), err
	},
}

// completeMarian is completeT5 for Marian.
func (o object) completeMarian() error {
	if err := o.checkTranslator("MarianMTModel"); err != nil {
		return err
	}
	for size, alias := range map[string]string{"d_model": "hidden_size", "encoder_attention_heads": "num_attention_heads", "encoder_layers": "num_hidden_layers"} {
		if err := o.alias(size, alias); err != nil {
			return err
		}
	}
	if size, err := o.sizeOr("decoder_vocab_size", 0); err != nil {
		return err
	} else if size == 0 {
		delete(o, "decoder_vocab_size")
		if o["decoder_vocab_size"] = o["vocab_size"]; o.null("vocab_size") {
			o["decoder_vocab_size"] = []byte("58101")
		}
	}
	tied, err := o.flag(tiedKey, true)
	if err != nil {
		return err
	}
	if shared, err := o.flag("share_encoder_decoder_embeddings", true); err != nil || shared && !tied {
		return orError(err, tiedKey+" is false and share_encoder_decoder_embeddings true, which transformers does not read as it writes it: set one of them to the other")
	}
	// Marian's converter writes these settings of the network, and transformers has
	// one value for each.
	for name, only := range map[string]bool{"static_position_embeddings": true, "normalize_before": false, "normalize_embedding": false, "add_final_layer_norm": false, "add_bias_logits": false} {
		if is, err := o.flag(name, only); err != nil || is != only {
			return orError(err, fmt.Sprintf("%s is %t, only %t is supported", name, is, only))
		}
		delete(o, name)
	}
	for _, name := range []string{"is_encoder_decoder", "init_std", "encoder_layerdrop", "decoder_layerdrop", "extra_pos_embeddings"} {
		delete(o, name)
	}
	return nil
}

// checkTranslator refuses a configuration of a part of the network, or of another
// head. The first class is that of the network.
func (o object) checkTranslator(classes ...string) error {
	if !o.null("architectures") {
		names, err := elements(o["architectures"])
		if err != nil || len(names) > 1 {
			return fmt.Errorf("architectures is %s, expected a list of one class", quote.String(string(o["architectures"])))
		}
		for _, name := range names {
			if class, err := unquote(name); err != nil || !slices.Contains(classes, class) {
				return fmt.Errorf("architectures is %s: supported is %s, which has an encoder, a decoder and a head", quote.String(string(name)), classes[0])
			}
		}
	}
	if both, err := o.flag("is_encoder_decoder", true); err != nil || !both {
		return orError(err, "is_encoder_decoder is false, only true is supported: the network translates")
	}
	if on, err := o.flag("is_decoder", false); err != nil || on {
		return orError(err, "is_decoder is true, only false is supported: the network has an encoder too")
	}
	return nil
}

// alias removes transformers' general name of a size, which must not differ from its
// own.
func (o object) alias(size, alias string) error {
	if o.null(alias) {
		return nil
	}
	if !o.null(size) && string(o[size]) != string(o[alias]) {
		return fmt.Errorf("%s is %s and %s is %s: these are two names of one size, remove one of them", size, quote.String(string(o[size])), alias, quote.String(string(o[alias])))
	}
	o[size] = o[alias]
	delete(o, alias)
	return nil
}

// sizeOr returns a size, or another if the member is missing.
func (o object) sizeOr(name string, missing int) (int, error) {
	if o.null(name) {
		return missing, nil
	}
	return o.size(name)
}

// fromCopies replaces the tensors that are further names of others: a missing one is
// taken from its copy, and any other copy has to be equal.
func (d *folder) fromCopies(c config, sources map[string]source) error {
	for copied, own := range c.copies {
		copy, ok := sources[copied]
		if !ok {
			continue
		}
		if first, has := sources[own]; !has {
			sources[own] = copy
		} else if err := d.checkCopy(copy, first); err != nil {
			return err
		}
		delete(sources, copied)
	}
	return nil
}

func (d *folder) checkCopy(copy, first source) error {
	a, err := copy.float32s()
	if err != nil {
		return err
	}
	b, err := first.float32s()
	if err == nil && !bytes.Equal(a, b) {
		err = d.sourceErrorf(copy, "it differs from %s, and the network has one table for both: save the model again with transformers", quote.String(first.Name))
	}
	return err
}
