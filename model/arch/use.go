package arch

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// Use is what the hidden states of a decoder are for. The zero value scores the
// next token.
type Use struct {
	Head string `json:"head,omitempty"` // HiddenStates, SequenceClassification or TokenClassification; "": the next token
	Classes
	Pad        ID `json:"pad_token_id,omitempty"` // SequenceClassification: the token behind which a text has ended; none: the last token is the text's
	nn.Pooling    // HiddenStates: the embedding of each text
}

// HiddenStates is the head of a decoder that has none: its outputs are the hidden
// states, (B,T,C).
const HiddenStates = "hidden_states"

// Headless reports whether the network gives hidden states.
func (u Use) Headless() bool { return u.Head == HiddenStates }

// Continues reports whether the network scores the next token.
func (u Use) Continues() bool { return u.Head == "" }

// Padding returns the id behind which a text has ended, and whether the network
// looks for it.
func (u Use) Padding() (id int, has, matters bool) {
	id, has = u.Pad.Number()
	return id, has, u.Head == SequenceClassification
}

func (u Use) check(vocab int) error {
	classifies := u.Head == SequenceClassification || u.Head == TokenClassification
	if u.Head != "" && !u.Headless() && !classifies {
		return fmt.Errorf("head is %.40q, supported are %s, or none", u.Head, quote.Or([]string{HiddenStates, SequenceClassification, TokenClassification}))
	}
	if u.Kind != "" && !u.Headless() {
		return fmt.Errorf("sentence_pooling is %.40q, but the embeddings of texts belong to a network with head %s", u.Kind, HiddenStates)
	}
	if pad, ok := u.Pad.Number(); ok && pad >= vocab {
		return fmt.Errorf("pad_token_id is %d, must be below vocab_size %d", pad, vocab)
	}
	if err := u.Classes.check(classifies); err != nil {
		return err
	}
	return u.Pooling.Check()
}

// end declares the outputs of a network for hidden states x (B,T,C). tokens is the
// name of the projection of TokenClassification, and next returns the scores of the
// next token, (B,T,V).
func (u Use) end(b *nn.Builder, x *graph.Value, width int, tokens string, next func() *graph.Value) {
	normal, classes := graph.Normal(0.02), len(u.Names.List())
	switch u.Head {
	case HiddenStates:
		b.Hidden(b.Name("hidden", x))
		if u.Kind != "" {
			b.TokenMask()
			b.Sentence(x, u.Pooling)
		}
	case SequenceClassification:
		x = b.Name("last", b.Last(x, u.Pad.Number))                                    // (B,C)
		b.Logits(b.Name("scores", b.Dense("score", x, width, classes, false, normal))) // (B,K)
	case TokenClassification:
		b.Logits(b.Name("scores", b.Dense(tokens, x, width, classes, true, normal))) // (B,T,K)
	default:
		b.Logits(next())
	}
}

// ID is the id of a token, or none. The zero value is none.
type ID int // the id, and 1 more

// IDOf returns an id as an ID.
func IDOf(id int) ID { return ID(id + 1) }

// Number returns the id; ok is false if there is none.
func (i ID) Number() (id int, ok bool) { return int(i) - 1, i > 0 }

// MarshalJSON writes the id, or null.
func (i ID) MarshalJSON() ([]byte, error) {
	id, ok := i.Number()
	if !ok {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(id), 10), nil
}

// UnmarshalJSON reads an id, or null.
func (i *ID) UnmarshalJSON(text []byte) error {
	var id *int
	if err := json.Unmarshal(text, &id); err != nil {
		return err
	}
	*i = 0
	if id == nil {
		return nil
	}
	if *id < 0 || *id >= math.MaxInt32 {
		return fmt.Errorf("%d is no id of a token", *id)
	}
	*i = IDOf(*id)
	return nil
}
