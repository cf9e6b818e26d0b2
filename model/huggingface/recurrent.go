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

// gruTranslator and lstmTranslator are the rows of the recurrent translators.
var (
	gruTranslator = recurrentPair(arch.GRUTranslator{}.Architecture(), func(c arch.RecurrentPair) nn.Network { return arch.GRUTranslator{RecurrentPair: c} },
		func(n nn.Network) arch.RecurrentPair { return n.(arch.GRUTranslator).RecurrentPair })
	lstmTranslator = recurrentPair(arch.LSTMTranslator{}.Architecture(), func(c arch.RecurrentPair) nn.Network { return arch.LSTMTranslator{RecurrentPair: c} },
		func(n nn.Network) arch.RecurrentPair { return n.(arch.LSTMTranslator).RecurrentPair })
)

func recurrentPair(name string, of func(arch.RecurrentPair) nn.Network, settings func(nn.Network) arch.RecurrentPair) family {
	return family{
		arch: name,
		parse: func(o object) (nn.Network, error) {
			var c arch.RecurrentPair
			if err := o.onlySizes([]sizeMember{{"vocab_size", &c.Vocab}, {"n_embd", &c.Width}, {"n_layer", &c.Layers}}); err != nil {
				return nil, err
			}
			return of(c), c.Check()
		},
		members: func(n nn.Network) ([]member, error) {
			c := settings(n)
			return []member{{"vocab_size", c.Vocab}, {"n_embd", c.Width}, {"n_layer", c.Layers}}, nil
		},
	}
}

func recurrent(name string, of func(arch.Recurrent) nn.Network, settings func(nn.Network) arch.Recurrent) family {
	return family{
		arch: name,
		parse: func(o object) (nn.Network, error) {
			var c arch.Recurrent
			if err := o.onlySizes([]sizeMember{{"vocab_size", &c.Vocab}, {"n_positions", &c.Context}, {"n_embd", &c.Width}, {"n_layer", &c.Layers}}); err != nil {
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

// sizeMember is a size that a configuration has, and where it goes.
type sizeMember struct {
	name string
	into *int
}

// onlySizes reads the configuration of a network that has sizes alone.
func (o object) onlySizes(members []sizeMember) error {
	for _, m := range members {
		n, err := o.size(m.name)
		if err != nil {
			return err
		}
		*m.into = n
	}
	return o.checkWhole()
}
