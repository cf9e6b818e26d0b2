package huggingface

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// family is how transformers saves the models of one architecture: a row of the
// table. A new architecture is a new row, in a file of its own.
type family struct {
	arch      string   // model_type, and the name of the architecture
	class     string   // the class of the model with its head; "": transformers has no such network
	prefix    string   // precedes the names of the weights of the trunk in a file with a head
	roots     []string // first parts of the names of its tensors, and of the heads that it may have
	module    string   // the head in the module, "": as in a file
	head      string   // the weight of the head; "": the head is part of the trunk
	heads     []string // begin the names of further weights of heads
	embedding string   // the token embedding, which the head may share
	second    []string // heads that do not change the logits of the language model
	tokenizer string   // the tokenizer class, if no file names one
	own, twin string   // two names of one tensor: the network's and another; "": there are none
	both      bool     // files have it under both
	source    bool     // the network reads a source and a target

	copies  map[string]string // further names that files have for a tensor, and the network's own
	renamed map[string]string // ends of the names in old files, and what they are now

	// form returns what differs between the networks of the family, such as the head;
	// nil: nothing does.
	form func(n nn.Network) form
	// trunk is the begin of the names of transformers' classes of a decoder without its
	// head, and with one of another kind; "": as in class. bare is their prefix without a
	// head.
	trunk, bare string

	// buffer reports whether a tensor of the trunk is computed and not trained: old
	// files have it. nil: none is.
	buffer func(name string, layers int) bool
	// parse reads the members of a config.json.
	parse func(o object) (nn.Network, error)
	// members are those of the config.json of a network, in order.
	members func(n nn.Network) ([]member, error)
}

// form is how transformers saves a network: the fields of a family in place of
// its own, and further tensors that are no part of the network.
type form struct {
	class, prefix, head string
	own, twin           string
	both                bool
	second              []string
	embedding           string            // "": the family's
	copies              map[string]string // nil: the family's
}

// of returns the row as it is for a network.
func (f family) of(n nn.Network) family {
	if u, ok := useOf(n); ok && u.Head != "" {
		return f.used(u)
	}
	if f.form == nil {
		return f
	}
	w := f.form(n)
	f.class, f.prefix, f.head, f.own, f.twin, f.both = w.class, w.prefix, w.head, w.own, w.twin, w.both
	f.second = slices.Concat(f.second, w.second)
	f.embedding = cmp.Or(w.embedding, f.embedding)
	if w.copies != nil {
		f.copies = w.copies
	}
	return f
}

// member is a member of a JSON object.
type member struct {
	name  string
	value any
}

// families is the table.
var families = []family{gpt2, simple, llama, mistral, qwen2, qwen3, gptNeoX, opt, phi, gemma3, gptBigCode, gru, lstm, gruTranslator, lstmTranslator, bert, distilbert, roberta, xlmRoberta, t5, marian}

// familyOf returns the row of an architecture.
func familyOf(arch string) (family, bool) {
	i := slices.IndexFunc(families, func(f family) bool { return f.arch == arch })
	if i < 0 {
		return family{arch: arch}, false
	}
	return families[i], true
}

// known returns the names of the architectures that transformers has too.
func known() (names []string) {
	for _, f := range families {
		if f.class != "" {
			names = append(names, f.arch)
		}
	}
	return names
}

// fileName returns the name that a weight of the network has in a file with the
// head.
func (f family) fileName(weight string) string {
	if weight == f.head || slices.ContainsFunc(f.heads, func(of string) bool { return strings.HasPrefix(weight, of) }) {
		return weight
	}
	return f.prefix + weight
}

// moduleName returns the name that a weight has in transformers' module, which PEFT
// names.
func (f family) moduleName(weight string) string {
	if f.module != "" && weight == f.head {
		return f.module
	}
	return f.fileName(weight)
}

// withTwin returns the weights of a file: those of the network, and the tensor
// that a file has under two names once more.
func (f family) withTwin(weights []format.Tensor) []format.Tensor {
	all := slices.Clone(weights)
	for _, t := range weights {
		if f.both && t.Name == f.own {
			all = append(all, t.WithName(f.twin))
		}
	}
	return all
}

// rowOf returns the row of a model's network; one that changes no name if there
// is none.
func rowOf(c *model.Checkpoint) family {
	f, ok := familyOf(c.Arch)
	if !ok {
		return f
	}
	if n, err := c.Network(); err == nil {
		f = f.of(n)
	}
	return f
}

// ArchitectureError reports that attnx cannot write a Hugging Face folder of a
// model's architecture.
type ArchitectureError struct{ Arch string }

func (e *ArchitectureError) Error() string {
	return fmt.Sprintf("huggingface: cannot write a folder of the architecture %.64q, only of %s: export it to ONNX instead", e.Arch, quote.Or(arch.Names()))
}

// GraphError reports that a model has the weights of its architecture but
// another graph. A folder cannot express that, and would compute something
// else.
type GraphError struct{ Arch string }

func (e *GraphError) Error() string {
	return fmt.Sprintf("huggingface: the graph differs from %.64q, and a folder cannot hold another: export it to an ONNX file instead", e.Arch)
}

// networkOf returns the network for the config.json of a model, and its row.
func networkOf(c *model.Checkpoint) (family, nn.Network, error) {
	f, ok := familyOf(c.Arch)
	if !ok {
		return f, nil, &ArchitectureError{c.Arch}
	}
	n, err := c.Network()
	if err != nil {
		return f, nil, err
	}
	f = f.of(n)
	built, err := nn.Build(n)
	if err != nil {
		return f, nil, err
	}
	if graph.Fingerprint(built) != graph.Fingerprint(c.Graph) {
		return f, nil, &GraphError{c.Arch}
	}
	return f, n, nil
}

// OnHub reports whether transformers supports the architecture of a model.
func OnHub(c *model.Checkpoint) bool {
	f, _ := familyOf(c.Arch)
	return f.class != ""
}

// TiedHead returns the name of the token embedding, (V,C), and whether the
// network uses it as its head too.
func TiedHead(c *model.Checkpoint) (name string, tied bool) {
	f := rowOf(c)
	return f.embedding, f.tied(c.Graph)
}

// tied reports whether the head of a network of the family is its token
// embedding.
func (f family) tied(g *graph.Graph) bool { return f.head != "" && g.Lookup(f.head) == nil }

// depth returns the number of layers of a network, 0 if it has no such number.
func depth(n nn.Network) int {
	if deep, ok := n.(interface{ Depth() int }); ok {
		return deep.Depth()
	}
	return 0
}

// membersOf returns the members of a network's configuration in a checkpoint, or of
// a part of it.
func membersOf(n any) (list []member, err error) {
	text, err := json.Marshal(n)
	if err == nil {
		err = members(text, func(name string, value jsontext.Value) error {
			list = append(list, member{name, json.RawMessage(slices.Clone(value))})
			return nil
		})
	}
	return list, err
}
