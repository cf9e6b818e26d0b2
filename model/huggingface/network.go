package huggingface

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Names of the networks that have a folder.
var (
	gpt2   = arch.GPT2{}.Architecture()
	simple = arch.Simple{}.Architecture()
)

// network is the network that a config.json describes.
type network struct {
	Arch      string
	Vocab     int
	Context   int
	Width     int
	Layers    int
	Heads     int
	Inner     int
	Epsilon   float64
	Positions bool
}

// of returns the network after checking it.
func (n network) of() (nn.Network, error) {
	var out interface {
		nn.Network
		Check() error
	}
	switch n.Arch {
	case gpt2:
		if !n.Positions {
			return nil, fmt.Errorf("position_embeddings is false, but %s has position embeddings", gpt2)
		}
		out = arch.GPT2{Vocab: n.Vocab, Context: n.Context, Width: n.Width, Layers: n.Layers, Heads: n.Heads, Inner: n.Inner, Epsilon: n.Epsilon}
	case simple:
		if n.Layers != 1 {
			return nil, fmt.Errorf("n_layer is %d, but %s has one layer", n.Layers, simple)
		}
		out = arch.Simple{Vocab: n.Vocab, Context: n.Context, Width: n.Width, Heads: n.Heads, Inner: n.Inner, Positions: n.Positions}
	default:
		return nil, fmt.Errorf("unsupported architecture %.64q", n.Arch)
	}
	return out, out.Check()
}

// ArchitectureError reports that attnx cannot write a Hugging Face folder of a
// model's architecture.
type ArchitectureError struct{ Arch string }

func (e *ArchitectureError) Error() string {
	return fmt.Sprintf("huggingface: cannot write a folder of the architecture %.64q, only of %s: export it to ONNX instead", e.Arch, strings.Join(arch.Names(), " and "))
}

// GraphError reports that a model has the weights of its architecture but
// another graph. A folder cannot express that, and would compute something
// else.
type GraphError struct{ Arch string }

func (e *GraphError) Error() string {
	return fmt.Sprintf("huggingface: the graph is not that of %.64q, and a folder cannot hold another: export it to an ONNX file instead", e.Arch)
}

// networkOf returns the network for the config.json of a model.
func networkOf(c *model.Checkpoint) (network, error) {
	if !arch.Known(c.Arch) {
		return network{}, &ArchitectureError{c.Arch}
	}
	n, err := c.Network()
	if err != nil {
		return network{}, err
	}
	built, err := nn.Build(n)
	if err != nil {
		return network{}, err
	}
	if graph.Fingerprint(built) != graph.Fingerprint(c.Graph) {
		return network{}, &GraphError{c.Arch}
	}
	switch n := n.(type) {
	case arch.GPT2:
		return network{gpt2, n.Vocab, n.Context, n.Width, n.Layers, n.Heads, n.Inner, n.Epsilon, true}, nil
	case arch.Simple:
		return network{simple, n.Vocab, n.Context, n.Width, 1, n.Heads, n.Inner, 0, n.Positions}, nil
	}
	return network{}, &ArchitectureError{c.Arch}
}

// OnHub reports whether transformers supports the architecture of a model.
func OnHub(c *model.Checkpoint) bool { return c.Arch == gpt2 }

// TiedHead returns the name of the token embedding, (V,C), and whether the
// network uses it as its head too.
func TiedHead(c *model.Checkpoint) (name string, tied bool) { return embeddingName, c.Arch == gpt2 }
