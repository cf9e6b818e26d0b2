package huggingface

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/nn"
)

// ParseConfig reads the config.json of a model that transformers saved, or of a
// network "simple" that Write wrote. Missing members have the defaults of
// transformers, but sizes are required. A member that selects another network
// is an error that names it.
func ParseConfig(text []byte) (nn.Network, error) {
	c, err := parseConfig(text)
	return c.network, err
}

// config is the content of a config.json.
type config struct {
	family
	network nn.Network
	vocab   int // ids from 0 on that a token can have
}

func parseConfig(text []byte) (c config, err error) {
	o, err := parseObject(text)
	if err != nil {
		return c, err
	}
	name, err := o.architecture()
	if err != nil {
		return c, err
	}
	f, ok := familyOf(name)
	if !ok {
		return c, fmt.Errorf("model_type is %s: supported are %s, other networks compute something else", quote.String(name), quote.Or(known()))
	}
	n, err := f.parse(o)
	if err == nil {
		n, err = o.asSaved(f, n)
	}
	if err != nil {
		return c, err
	}
	vocab, err := o.size("vocab_size")
	if f.source && !o.null("decoder_vocab_size") { // the special ids are those of targets
		vocab, err = o.size("decoder_vocab_size")
	}
	return config{f.of(n), n, vocab}, err
}

// architecture returns the model_type. The first GPT-2 files have none and
// name the class of the model instead.
func (o object) architecture() (string, error) {
	if !o.absent("model_type") {
		return o.text("model_type", "")
	}
	if strings.HasPrefix(string(o["architectures"]), `["GPT2`) {
		return gpt2Name, nil
	}
	return "", fmt.Errorf("model_type is missing: supported are %s", quote.Or(known()))
}

// checkWhole rejects a model that is stored in part, or in numbers of another
// kind.
func (o object) checkWhole() error {
	if !o.null("quantization_config") {
		return fmt.Errorf("quantization_config is present: save the model without quantization")
	}
	if !o.null("pruned_heads") && string(o["pruned_heads"]) != "{}" {
		return fmt.Errorf("pruned_heads is %s: only a network with all its heads is read", quote.String(string(o["pruned_heads"])))
	}
	return nil
}

// setting is a member of a configuration that decides what a network computes.
type setting struct {
	name    string
	kind    kind
	missing string // its JSON if the member is absent or null; "": it is required
}

// kind is the type of a setting.
type kind int

const (
	whole   kind = iota // a non-negative integer
	number              // a floating-point number
	boolean             // true or false
	text                // a string
	raw                 // checked by whoever reads it
)

// neutral lists members that do not change the result of a network, or that
// other parts of this package read. Names that end in a star stand for all that
// begin so.
var neutral = strings.Fields(`architectures model_type transformers_version torch_dtype dtype _name_or_path _commit_hash auto_map use_cache initializer_range
	*dropout *_dropout_prob *_pdrop classifier_dropout output_* return_dict* id2label label2id problem_type chunk_size_feed_forward is_decoder pretraining_tp
	bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id cls_token_id mask_token_id decoder_start_token_id tokenizer_class prefix task_specific_params
	transformers.js_config _attn_implementation* attn_implementation finetuning_task torchscript use_bfloat16 tf_legacy_loss tie_encoder_decoder
	quantization_config pruned_heads unsloth_* gradient_checkpointing num_labels`)

func isNeutral(name string) bool {
	return slices.Contains(inConfig, name) || slices.ContainsFunc(neutral, func(pattern string) bool {
		if end, ok := strings.CutPrefix(pattern, "*"); ok {
			return strings.HasSuffix(name, end)
		}
		begin, star := strings.CutSuffix(pattern, "*")
		return name == pattern || star && strings.HasPrefix(name, begin)
	})
}

// settle returns an object with exactly the settings, each of its kind. A member
// that is neither a setting nor neutral, and neither null nor false, is refused:
// it may select another network.
func (o object) settle(settings []setting) (object, error) {
	if err := o.checkWhole(); err != nil {
		return nil, err
	}
	out := object{}
	for _, s := range settings {
		if !o.null(s.name) {
			out[s.name] = o[s.name]
		} else if s.missing != "" {
			out[s.name] = []byte(s.missing)
		}
		var err error
		switch s.kind {
		case whole:
			_, err = out.size(s.name)
		case number:
			if out.absent(s.name) {
				err = fmt.Errorf("%s is missing", s.name)
			} else {
				_, err = out.number(s.name, 0)
			}
		case boolean:
			_, err = out.flag(s.name, false)
		case text:
			_, err = out.text(s.name, "")
		}
		if err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if out.absent(name) && !o.null(name) && string(o[name]) != "false" && !isNeutral(name) {
			return nil, fmt.Errorf("%s is %s, and attnx does not support this setting: export the model from PyTorch to ONNX, which attnx runs and verifies too", quote.Line(name, 80), quote.String(string(o[name])))
		}
	}
	return out, nil
}
