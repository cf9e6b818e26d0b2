package nn_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// written is a network that a test writes.
type written struct {
	name    string
	forward func(*nn.Builder)
}

func (w *written) Architecture() string { return w.name }

func (w *written) Forward(b *nn.Builder) { w.forward(b) }

// line returns the line of this file that calls it.
func line() int {
	_, _, n, _ := runtime.Caller(1)
	return n
}

// What a user's network does wrong is an error of a type, with the line of the
// network and what to do, and never ends the program.
func TestBuildRefuses(t *testing.T) {
	other := graph.NewBuilder()
	foreign := other.Input("x", format.Float32, graph.N(2))
	at := 0
	tokens := func(b *nn.Builder) *graph.Value { return b.Embedding("e", b.Tokens(4), 5, 6, graph.Normal(1)) }
	for name, c := range map[string]struct {
		forward func(*nn.Builder)
		says    string
	}{
		"a panic":             {func(*nn.Builder) { at = line(); panic("no weights today") }, "it panics: no weights today"},
		"a panic of its own":  {func(*nn.Builder) { at = line(); panic(errors.New("no weights")) }, "it panics: no weights"},
		"a long panic":        {func(*nn.Builder) { at = line(); panic("a\n" + strings.Repeat("\x1b[2J", 1<<20)) }, "it panics: a "},
		"an index":            {func(*nn.Builder) { s := []int{}; at = line(); _ = s[len(s)] }, "index out of range"},
		"nil":                 {func(*nn.Builder) { var s *string; at = line(); _ = *s }, "nil pointer"},
		"nothing":             {func(*nn.Builder) { at = 0 }, "no outputs"},
		"no output":           {func(b *nn.Builder) { at = 0; tokens(b) }, "no outputs"},
		"another builder's":   {func(b *nn.Builder) { at = line(); b.Logits(foreign) }, "another builder"},
		"another's in layers": {func(b *nn.Builder) { at = line(); b.Logits(b.Linear("l", foreign, 2, 3, graph.Normal(1))) }, "another builder"},
		"an output of none":   {func(b *nn.Builder) { at = line(); b.Logits(nil) }, "nil"},
		"a width":             {func(b *nn.Builder) { x := tokens(b); at = line(); b.Logits(b.Linear("l", x, 7, 5, graph.Normal(1))) }, "MatMul"},
		"heads": {func(b *nn.Builder) {
			x := tokens(b)
			at = line() + 1
			b.Logits(b.Attention("a", nn.Attention{Heads: 4, Width: 2}, x, x, x))
		}, "Reshape"},
		"no width of heads": {func(b *nn.Builder) {
			x := tokens(b)
			at = line() + 1
			b.Logits(b.Attention("a", nn.Attention{Heads: 4}, x, x, x))
		}, "heads of width 0"},
		"odd rotary positions": {func(b *nn.Builder) {
			x := tokens(b)
			at = line() + 1
			b.Logits(b.Attention("a", nn.Attention{Heads: 2, Width: 3, Rotary: &nn.Rotary{Theta: 10}}, x, x, x))
		}, "an even number"},
		"positions of nothing": {func(b *nn.Builder) { at = line(); b.Logits(b.Positions()) }, "no tokens"},
		"a name twice": {func(b *nn.Builder) {
			x := tokens(b)
			at = line() + 1
			b.Logits(b.Embedding("e", x, 5, 6, graph.Normal(1)))
		}, `two values are called "e.weight"`},
		"two inputs of a role": {func(b *nn.Builder) { b.Tokens(4); at = line(); b.Tokens(4) }, "two values are called"},
		"a negative size":      {func(b *nn.Builder) { at = 0; b.Logits(b.Param("w", graph.Normal(1), -1)) }, "-1"},
	} {
		g, err := nn.Build(&written{"mine", c.forward})
		var typed *nn.Error
		if g != nil || !errors.As(err, &typed) || typed.Architecture != "mine" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected an *Error with %q", name, err, c.says)
			continue
		}
		if where := fmt.Sprintf("nn_test.go:%d", at); at > 0 && !strings.Contains(err.Error(), where) {
			t.Errorf("%s: %v, expected %s", name, err, where)
		}
		if text := err.Error(); len(text) > 600 || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%s: the message has %d bytes, or more than a line: %.600q", name, len(text), text)
		}
	}
}

// A network without a name, and none at all, are errors too.
func TestBuildWithoutAName(t *testing.T) {
	for name, n := range map[string]nn.Network{"no name": &written{}, "nil": nil, "a nil pointer": (*written)(nil)} {
		if _, err := nn.Build(n); !errors.As(err, new(*nn.Error)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
