package huggingface

import (
	"slices"
	"strconv"
	"strings"
)

// prefix is what the names of GPT-2's weights begin with in a file that was
// written with the head.
const prefix = "transformer."

// The head's weight, which is the token embedding once more, and that.
const (
	headName      = "lm_head.weight"
	embeddingName = "wte.weight"
)

// wrappers are the parts that training code puts into names, anywhere: parallel
// training, torch.compile, sharded training, recomputed activations.
var wrappers = []string{"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

// roots are the parts that the names of GPT-2's own tensors begin with, and those
// of the heads that it may have.
var roots = []string{"wte", "wpe", "h", "ln_f", "lm_head", "multiple_choice_head", "v_head", "score", "classifier", "qa_outputs"}

// NetworkName returns the name that a network of an architecture has for a weight
// of a file of PyTorch or ONNX. What a name has before its root says which object
// held the network (transformer., model., net.transformer.) and is left out. Two
// networks in one file get the same names, which callers refuse.
func NetworkName(arch, name string) string {
	if arch != gpt2 {
		return name
	}
	parts := slices.DeleteFunc(strings.Split(name, "."), func(p string) bool { return slices.Contains(wrappers, p) })
	at := slices.IndexFunc(parts, func(p string) bool { return slices.Contains(roots, p) })
	return strings.Join(parts[max(at, 0):], ".")
}

// isMask reports whether name is a buffer of GPT-2's attention in a layer of
// the network: "h.0.attn.bias" is the causal mask, "h.0.attn.masked_bias" what
// is put in the place of a masked score.
func isMask(name string, layers int) bool {
	rest, ok := strings.CutPrefix(name, "h.")
	layer, rest, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(layer, 10, 31)
	return ok && (rest == "attn.bias" || rest == "attn.masked_bias") && err == nil && int(n) < layers
}

// secondHeads are the heads beside the one of the language model, which do not
// change its logits: that of GPT2DoubleHeadsModel, and the value of a state in
// reinforcement learning.
var secondHeads = []string{"multiple_choice_head.", "v_head."}

func isSecondHead(name string) bool {
	return slices.ContainsFunc(secondHeads, func(head string) bool { return strings.HasPrefix(name, head) })
}

// classifiers are the heads of models that do not write text.
var classifiers = []string{"score.", "classifier.", "qa_outputs."}

// stranger says why a tensor is not one of the network.
func stranger(name string) string {
	switch {
	case slices.ContainsFunc(classifiers, func(head string) bool { return strings.HasPrefix(name, head) }):
		return "it is the head of a classifier, not of a language model: save a GPT2LMHeadModel"
	case strings.Contains(name, ".lora_"):
		return "it belongs to an adapter: merge the adapter into the model with merge_and_unload and save that"
	}
	return "it is not a weight of the network that " + configName + " describes"
}
