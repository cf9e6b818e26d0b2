package huggingface

import (
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// gru and lstm are the rows of the recurrent networks. transformers has none: only Read
// reads their folders.
var (
	gru = recurrent(arch.GRU{}.Architecture(), func(c arch.Recurrent) nn.Network { return arch.GRU{Recurrent: c} },
		func(n nn.Network) arch.Recurrent { return n.(arch.GRU).Recurrent })
	lstm = recurrent(arch.LSTM{}.Architecture(), func(c arch.Recurrent) nn.Network { return arch.LSTM{Recurrent: c} },
		func(n nn.Network) arch.Recurrent { return n.(arch.LSTM).Recurrent })
)

func recurrent(name string, of func(arch.Recurrent) nn.Network, settings func(nn.Network) arch.Recurrent) family {
	return family{
		arch: name,
		parse: func(o object) (nn.Network, error) {
			var c arch.Recurrent
			for _, f := range []struct {
				name string
				into *int
			}{{"vocab_size", &c.Vocab}, {"n_positions", &c.Context}, {"n_embd", &c.Width}, {"n_layer", &c.Layers}} {
				n, err := o.size(f.name)
				if err != nil {
					return nil, err
				}
				*f.into = n
			}
			if err := o.checkWhole(); err != nil {
				return nil, err
			}
			return of(c), c.Check()
		},
		members: func(n nn.Network) ([]member, error) {
			c := settings(n)
			return []member{{"vocab_size", c.Vocab}, {"n_positions", c.Context}, {"n_embd", c.Width}, {"n_layer", c.Layers}}, nil
		},
	}
}
