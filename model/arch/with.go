package arch

import (
	"encoding/json"
	"fmt"

	"github.com/attnx/attnx/model/nn"
)

// With returns a network that attnx ships with other members of its
// configuration. A nil value takes a member out.
func With(n nn.Network, members map[string]any) (nn.Network, error) {
	text, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for name, value := range members {
		if all[name], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	if text, err = json.Marshal(all); err != nil {
		return nil, err
	}
	return Parse(n.Architecture(), text)
}

// WithPooling returns a network without a head with another embedding of texts.
func WithPooling(n nn.Network, p nn.Pooling) (nn.Network, error) {
	return With(n, map[string]any{"sentence_pooling": p.Kind, "sentence_normalized": p.Normalized, "sentence_tokens": p.Longest})
}

// Trunk returns a network without its head: its outputs are the hidden states.
func Trunk(n nn.Network) (nn.Network, error) {
	r, err := find(n.Architecture())
	if err != nil {
		return nil, err
	}
	if _, has := n.(interface{ Headless() bool }); !has {
		return nil, fmt.Errorf("arch: the network %s has no form without a head", r.name)
	}
	head := HiddenStates
	if r.encoder {
		head = ""
	}
	return With(n, map[string]any{"head": head, "labels": nil, "problem_type": nil})
}

// NextToken returns a decoder with the head that scores the next token.
func NextToken(n nn.Network) (nn.Network, error) {
	if _, is := n.(interface{ Continues() bool }); !is {
		return nil, fmt.Errorf("arch: the network %s scores no next token", n.Architecture())
	}
	return With(n, map[string]any{"head": nil, "labels": nil, "problem_type": nil, "sentence_pooling": nil, "sentence_normalized": nil, "sentence_tokens": nil})
}
