package huggingface

import (
	"fmt"
	"strings"

	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// The networks that have a folder.
var (
	gpt2   = arch.GPT2{}.Architecture()
	simple = arch.Simple{}.Architecture()
)

// network is what a config.json says of a network.
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

// of returns the network, checked.
func (n network) of() (nn.Network, error) {
	var out interface {
		nn.Network
		Check() error
	}
	switch n.Arch {
	case gpt2:
		if !n.Positions {
			return nil, fmt.Errorf("position_embeddings is false, and %s has position embeddings", gpt2)
		}
		out = arch.GPT2{Vocab: n.Vocab, Context: n.Context, Width: n.Width, Layers: n.Layers, Heads: n.Heads, Inner: n.Inner, Epsilon: n.Epsilon}
	case simple:
		if n.Layers != 1 {
			return nil, fmt.Errorf("n_layer is %d, and %s has one layer", n.Layers, simple)
		}
		out = arch.Simple{Vocab: n.Vocab, Context: n.Context, Width: n.Width, Heads: n.Heads, Inner: n.Inner, Positions: n.Positions}
	default:
		return nil, fmt.Errorf("no folder of %.64q is known", n.Arch)
	}
	return out, out.Check()
}

// ArchitectureError says that a model's architecture has no folder of Hugging
// Face's that attnx can write.
type ArchitectureError struct{ Arch string }

func (e *ArchitectureError) Error() string {
	return fmt.Sprintf("huggingface: no folder of the architecture %.64q is known, only of %s: export it to ONNX instead", e.Arch, strings.Join(arch.Names(), " and "))
}

// GraphError says that a model has the weights of its architecture, and computes
// something else with them: whoever opened a folder of it would be misled.
type GraphError struct{ Arch string }

func (e *GraphError) Error() string {
	return fmt.Sprintf("huggingface: the graph is not that of %.64q, which is all that a folder can say: export it to an ONNX file instead", e.Arch)
}

// networkOf returns what the config.json of a model says.
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

// OnHub reports whether transformers has the architecture of a model.
func OnHub(c *model.Checkpoint) bool { return c.Arch == gpt2 }

// TiedHead returns the name of the token embedding, (V,C), of a network whose
// head is that weight too.
func TiedHead(c *model.Checkpoint) (name string, tied bool) { return embeddingName, c.Arch == gpt2 }
