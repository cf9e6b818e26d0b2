package export

import (
	"fmt"
	"strconv"

	"github.com/attnx/attnx/export/flat"
	"github.com/attnx/attnx/export/onnx/emit"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
)

// lowered is a graph ready for writing its nodes.
type lowered struct {
	emit.Lowered
	given    *graph.Graph // before lowering; with a past in the profile cache
	weights  []format.Tensor
	metadata map[string]string
	form     emit.Form
}

// Lower returns g with operators that the plain profile has no node for
// decomposed. It is the graph whose values the file computes, name by name.
func Lower(g *graph.Graph) (*graph.Graph, error) {
	l, err := emit.Lower(g)
	return l.Graph, err
}

// hasPast reports whether g has keys and values of earlier tokens, or states after them, as
// inputs.
func hasPast(g *graph.Graph) bool {
	return g.Input(role.Layered(role.PastKey, 0)) != nil || hasState(g)
}

// hasState reports whether the past of g is the states of recurrent layers.
func hasState(g *graph.Graph) bool { return g.Input(role.Layered(role.PastState, 0)) != nil }

// withoutPast rejects a graph with keys and values of a past, which only Cache supports. The
// decoder of a recurrent translator has states as inputs in any profile.
func withoutPast(p Profile, g *graph.Graph) error {
	if hasPast(g) && !hasState(g) {
		return &ProfileError{p.Name(), "does not take a network with a past", "take the profile cache"}
	}
	return nil
}

func (p Plain) lower(g *graph.Graph, weights []format.Tensor) (lowered, error) {
	l := lowered{given: g, weights: weights, form: emit.Form{ValueInfo: true}}
	err := withoutPast(p, g)
	if err == nil {
		err = checkWeights(g, weights, nil)
	}
	if err == nil {
		l.Lowered, err = emit.Lower(g)
	}
	return l, err
}

func (p Cache) lower(g *graph.Graph, weights []format.Tensor) (l lowered, err error) {
	if err = checkWeights(g, weights, nil); err == nil {
		l, err = p.prepare(g, weights)
	}
	return l, err
}

// prepare is lower without a look at the weights.
func (p Cache) prepare(g *graph.Graph, weights []format.Tensor) (l lowered, err error) {
	if !hasPast(g) {
		if g, err = graph.Cached(g); err != nil {
			return l, err
		}
	}
	if p.LastLogits {
		if g, err = graph.LastToken(g); err != nil {
			return l, err
		}
	}
	l = lowered{given: g, weights: weights, metadata: map[string]string{role.MetaCache: role.CacheConcat}, form: emit.Form{ValueInfo: true}}
	switch {
	case hasState(g) && p.Fuse:
		return l, &ProfileError{p.Name(), "has no fused operators for a recurrent network", "leave the fusion out"}
	case hasState(g):
		l.metadata[role.MetaCache] = role.CacheState
		l.Lowered, err = emit.Lower(g)
	case p.Fuse:
		l.metadata[role.MetaCache] = role.CacheShared
		l.Lowered, err = emit.Fuse(g, p.apart)
	default:
		l.Lowered, err = emit.Lower(g)
	}
	return l, err
}

func (p Flat) lower(g *graph.Graph, weights []format.Tensor) (l lowered, err error) {
	if err := withoutPast(p, g); err != nil {
		return l, err
	}
	if err := checkWeights(g, weights, nil); err != nil {
		return l, err
	}
	length := p.Length
	if length == 0 {
		length = g.Context
	}
	if g.Input(role.Of(role.Tokens)) == nil {
		if x := g.Input(role.Of(role.Features)); x == nil || len(x.Shape) != 2 {
			return l, &ProfileError{p.Name(), "takes a network that reads tokens or features (B,F)", "take the profile plain"}
		}
		length = max(p.Length, 1)
	}
	switch {
	case length == 0:
		return l, &ProfileError{p.Name(), "needs the length of the sequence, which the graph does not limit", SetLength}
	case length == 1 && scoresTexts(g):
		return l, &ProfileError{p.Name(), "cannot have a sequence of one token if the network gives logits (B,V)", "take a longer one"}
	case g.Context > 0 && length > g.Context:
		return l, &ProfileError{p.Name(), fmt.Sprintf("cannot have a sequence of %d tokens, the network runs 1 to %d", length, g.Context), "take one of these"}
	}
	l = lowered{given: g, metadata: map[string]string{MetaLength: strconv.Itoa(length)}}
	if l.Graph, l.weights, err = flat.Write(g, weights, length); err != nil {
		return l, fmt.Errorf("%w: take the profile plain", err)
	}
	return l, nil
}

// scoresTexts reports whether g reads tokens and has one row of logits for a
// text. A text of one token is refused: nothing would tell its logits (1,V) from
// those of a token.
func scoresTexts(g *graph.Graph) bool {
	o, ok := g.Output(role.Of(role.Logits))
	return ok && len(o.Value.Shape) == 2 && g.Input(role.Of(role.Tokens)) != nil
}

func (p Train) lower(g *graph.Graph, weights []format.Tensor) (l lowered, err error) {
	if err := withoutPast(p, g); err != nil {
		return l, err
	}
	if len(weights) > 0 {
		return l, &ProfileError{p.Name(), "takes its weights as inputs", "give none"}
	}
	l = lowered{given: g, form: emit.Form{WeightInputs: true}}
	l.Lowered, err = emit.Lower(g)
	return l, err
}
