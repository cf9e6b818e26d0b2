package arch

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/attnx/attnx/model/nn"
)

// With returns a network that attnx ships with other members of its
// configuration: those of each part, a struct, replace all of the same names.
func With(n nn.Network, parts ...any) (nn.Network, error) {
	all, err := membersOf(n)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		remove(all, reflect.TypeOf(part))
		of, err := membersOf(part)
		if err != nil {
			return nil, err
		}
		for name, value := range of {
			all[name] = value
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return Parse(n.Architecture(), text)
}

func membersOf(x any) (all map[string]json.RawMessage, err error) {
	text, err := json.Marshal(x)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	return all, err
}

// remove takes the members that a struct can have out of an object.
func remove(all map[string]json.RawMessage, of reflect.Type) {
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			remove(all, f.Type)
		}
		delete(all, name)
	}
}

// Trunk returns a network without its head: its outputs are the hidden states.
func Trunk(n nn.Network) (nn.Network, error) {
	if _, is := n.(interface{ Continues() bool }); is {
		return With(n, Use{Head: HiddenStates})
	}
	if _, has := n.(interface{ Headless() bool }); !has {
		return nil, fmt.Errorf("arch: the network %.64q has no form without a head", n.Architecture())
	}
	return With(n, struct {
		Head   string `json:"head,omitempty"`
		Untied bool   `json:"untied_head,omitempty"`
		Classes
	}{})
}

// NextToken returns a decoder with the head that scores the next token.
func NextToken(n nn.Network) (nn.Network, error) {
	if _, is := n.(interface{ Continues() bool }); !is {
		return nil, fmt.Errorf("arch: the network %.64q scores no next token", n.Architecture())
	}
	return With(n, Use{})
}

// twoVocabularies is a network that translates and may have a vocabulary for each side.
type twoVocabularies interface {
	WithSource(vocab int) nn.Network
}

// TakesTwoVocabularies reports whether the networks of an architecture may have a vocabulary
// for sources and one for targets.
func TakesTwoVocabularies(name string) bool {
	r, err := find(name)
	if err != nil {
		return false
	}
	_, ok := r.of(Sizes{Layers: 1, Heads: 1, Width: 2, Context: 1}, 2).(twoVocabularies)
	return ok
}

// WithSource returns a network that has a vocabulary of the given size for sources, and the
// one that it has for targets.
func WithSource(n nn.Network, vocab int) (nn.Network, error) {
	two, ok := n.(twoVocabularies)
	if !ok {
		return nil, fmt.Errorf("arch: %s has one vocabulary for both sides", n.Architecture())
	}
	n = two.WithSource(vocab)
	if c, ok := n.(interface{ Check() error }); ok {
		if err := c.Check(); err != nil {
			return nil, fmt.Errorf("arch: %s: %w", n.Architecture(), err)
		}
	}
	return n, nil
}
