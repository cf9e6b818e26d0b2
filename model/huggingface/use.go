package huggingface

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
)

// uses are the ends of the names of transformers' classes of decoders without the
// head that scores the next token.
var uses = []struct{ class, head string }{
	{"Model", arch.HiddenStates}, {"ForSequenceClassification", arch.SequenceClassification}, {"ForTokenClassification", arch.TokenClassification},
}

// useOf returns what the hidden states of a decoder are for; ok is false for other
// networks.
func useOf(n nn.Network) (u arch.Use, ok bool) {
	if _, ok = n.(interface{ Continues() bool }); ok {
		text, err := json.Marshal(n)
		ok = err == nil && json.Unmarshal(text, &u) == nil
	}
	return u, ok
}

// stem returns the begin of the names of transformers' classes of a decoder without
// its head.
func (f family) stem() string {
	return cmp.Or(f.trunk, strings.TrimSuffix(strings.TrimSuffix(f.class, "ForCausalLM"), "LMHeadModel"))
}

// used returns the row of a decoder as it is for a use other than the next token.
func (f family) used(u arch.Use) family {
	for _, row := range uses {
		if row.head == u.Head {
			f.class = f.stem() + row.class
		}
	}
	if u.Headless() {
		f.prefix = f.bare
		f.second = slices.Concat(f.second, f.heads, []string{f.head})
	}
	f.head = ""
	return f
}

// asSaved returns a decoder with the head of the class that transformers saved.
// Where config.json names none of those that are read, it scores the next token.
func (o object) asSaved(f family, n nn.Network) (nn.Network, error) {
	if _, ok := useOf(n); !ok || o.null("architectures") {
		return n, nil
	}
	class, err := o.class()
	if err != nil {
		return n, nil // as for a class that is not known
	}
	at := slices.IndexFunc(uses, func(row struct{ class, head string }) bool { return f.stem()+row.class == class })
	if at < 0 {
		return n, nil
	}
	u := arch.Use{Head: uses[at].head}
	if !u.Headless() {
		if u.Classes, err = o.classes(); err != nil {
			return nil, err
		}
	}
	if u.Head == arch.SequenceClassification && !o.null(padID) && string(o[padID]) != "-1" { // transformers finds no token of that id
		pad, err := o.size(padID)
		if err != nil {
			return nil, err
		}
		u.Pad = arch.IDOf(pad)
	}
	return arch.With(n, u)
}

// useMembers replaces the members of a decoder's use by those of transformers.
func useMembers(list []member, u arch.Use) ([]member, error) {
	own, err := membersOf(u)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(m member) bool {
		return slices.ContainsFunc(own, func(o member) bool { return o.name == m.name })
	})
	if u.Head == arch.SequenceClassification {
		list = append(list, member{padID, u.Pad})
	}
	return withClasses(list, u.Classes)
}
