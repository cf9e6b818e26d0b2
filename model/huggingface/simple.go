package huggingface

import (
	"fmt"

	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// simple is the row of the teaching network. Only Read reads its folders. It
// always has a head of its own.
var simple = family{
	arch:    arch.Simple{}.Architecture(),
	parse:   parseSimple,
	members: simpleMembers,
}

func parseSimple(o object) (nn.Network, error) {
	if o.absent("position_embeddings") {
		return nil, fmt.Errorf("position_embeddings is missing: a network %.80q must say whether it has learned positions", arch.Simple{}.Architecture())
	}
	var n arch.Simple
	layers := 0
	err := o.gpt2Sizes(&n.Vocab, &n.Context, &n.Width, &layers, &n.Heads, &n.Inner)
	if err != nil {
		return nil, err
	}
	if layers != 1 {
		return nil, fmt.Errorf("n_layer is %d, but %s has one layer", layers, n.Architecture())
	}
	if n.Positions, err = o.flag("position_embeddings", true); err != nil {
		return nil, err
	}
	return n, n.Check()
}

func simpleMembers(n nn.Network) ([]member, error) {
	c := n.(arch.Simple)
	return append(gpt2SizeMembers(c.Vocab, c.Context, c.Width, 1, c.Heads, c.Inner, 0),
		member{"position_embeddings", c.Positions}, member{"tie_word_embeddings", false}), nil
}
