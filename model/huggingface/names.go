package huggingface

import (
	"slices"
	"strings"
)

// wrappers are the name parts that training code inserts anywhere: parallel
// training, torch.compile, sharded training, recomputed activations.
var wrappers = []string{"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}

// NetworkName returns the network's name for a weight of a PyTorch or ONNX
// file. It drops everything before the root, which names the object that held
// the network (transformer., model., net.transformer.). Two networks in one
// file therefore get the same names; callers must reject that.
func NetworkName(arch, name string) string {
	f, _ := familyOf(arch)
	if f.roots == nil {
		return name
	}
	parts := slices.DeleteFunc(strings.Split(name, "."), func(p string) bool { return slices.Contains(wrappers, p) })
	at := slices.IndexFunc(parts, func(p string) bool { return slices.Contains(f.roots, p) })
	name = strings.Join(parts[max(at, 0):], ".")
	for old, now := range f.renamed {
		if begin, ok := strings.CutSuffix(name, old); ok {
			return begin + now
		}
	}
	return name
}

// isSecondHead reports whether a tensor belongs to a head that does not change
// the logits of the language model.
func (f family) isSecondHead(name string) bool {
	return slices.ContainsFunc(f.second, func(head string) bool { return strings.HasPrefix(name, head) })
}

// classifiers are the heads of models that do not generate text.
var classifiers = []string{"score.", "classifier.", "qa_outputs."}

func isClassifier(name string) bool {
	return slices.ContainsFunc(classifiers, func(head string) bool { return strings.HasPrefix(name, head) })
}

// stranger explains why a tensor is not part of the network.
func stranger(name string) string {
	switch {
	case isClassifier(name):
		return "it is the head of a classifier, not of a language model: save the model with its language model head"
	case strings.Contains(name, ".lora_"):
		return "it belongs to an adapter: merge the adapter into the model with merge_and_unload and save that"
	}
	return "it is not a weight of the network that " + configName + " describes"
}
