package huggingface

import (
	"slices"
	"strconv"
	"strings"
)

// prefix precedes the names of GPT-2's weights in a file with the head.
const prefix = "transformer."

// The head's weight, which equals the token embedding, and the token
// embedding.
const (
	headName      = "lm_head.weight"
	embeddingName = "wte.weight"
)

// wrappers are the name parts that training code inserts anywhere: parallel
// training, torch.compile, sharded training, recomputed activations.
var wrappers = []string{"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

// roots are the first name parts of GPT-2's own tensors and of the heads that
// it may have.
var roots = []string{"wte", "wpe", "h", "ln_f", "lm_head", "multiple_choice_head", "v_head", "score", "classifier", "qa_outputs"}

// NetworkName returns the network's name for a weight of a PyTorch or ONNX
// file. It drops everything before the root, which names the object that held
// the network (transformer., model., net.transformer.). Two networks in one
// file therefore get the same names; callers must reject that.
func NetworkName(arch, name string) string {
	if arch != gpt2 {
		return name
	}
	parts := slices.DeleteFunc(strings.Split(name, "."), func(p string) bool { return slices.Contains(wrappers, p) })
	at := slices.IndexFunc(parts, func(p string) bool { return slices.Contains(roots, p) })
	return strings.Join(parts[max(at, 0):], ".")
}

// isMask reports whether name is an attention buffer of GPT-2: "h.0.attn.bias"
// is the causal mask, "h.0.attn.masked_bias" the value of a masked score.
func isMask(name string, layers int) bool {
	rest, ok := strings.CutPrefix(name, "h.")
	layer, rest, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(layer, 10, 31)
	return ok && (rest == "attn.bias" || rest == "attn.masked_bias") && err == nil && int(n) < layers
}

// secondHeads are heads that do not change the logits of the language model:
// that of GPT2DoubleHeadsModel, and the value head of reinforcement learning.
var secondHeads = []string{"multiple_choice_head.", "v_head."}

func isSecondHead(name string) bool {
	return slices.ContainsFunc(secondHeads, func(head string) bool { return strings.HasPrefix(name, head) })
}

// classifiers are the heads of models that do not generate text.
var classifiers = []string{"score.", "classifier.", "qa_outputs."}

// stranger explains why a tensor is not part of the network.
func stranger(name string) string {
	switch {
	case slices.ContainsFunc(classifiers, func(head string) bool { return strings.HasPrefix(name, head) }):
		return "it is the head of a classifier, not of a language model: save a GPT2LMHeadModel"
	case strings.Contains(name, ".lora_"):
		return "it belongs to an adapter: merge the adapter into the model with merge_and_unload and save that"
	}
	return "it is not a weight of the network that " + configName + " describes"
}
