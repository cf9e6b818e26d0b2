package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/cmd/attnx/internal/console"
	"github.com/attnx/attnx/cmd/attnx/internal/terminal"
	"github.com/attnx/attnx/cmd/attnx/internal/texts"
	"github.com/attnx/attnx/cmd/attnx/internal/usage"
	"github.com/attnx/attnx/cmd/attnx/internal/words"
)

// chat holds a conversation: with the messages of --prompt, or line by line from
// standard input to its end.
func (g *generation) chat(ctx context.Context, path string, s console.Streams) error {
	if err := g.device.Check(); err != nil {
		return err
	}
	t, err := attnx.Open(path, g.device.Options(s))
	if err != nil {
		return err
	}
	defer t.Close()
	c, err := t.Chat(g.system)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Note, "running in %s\n", words.Replace(t.Runtime.String()))
	began, ask, done := time.Now(), func() {}, func() {}
	if terminal.Of(s.Out) != nil {
		ask, done = func() { fmt.Fprint(s.Err, "> ") }, func() { fmt.Fprintln(s.Err) }
	}
	next := texts.Messages(g.prompts, s.In, maxPrompt, ask, done)
	all := texts.New(path, t.Runtime.String(), nil, nil, nil, 1)
	for {
		text, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		o := g.options()
		o.OnText = func(_ int, piece string) error {
			if g.json {
				return nil
			}
			_, err := io.WriteString(s.Out, piece)
			return err
		}
		answer, ids, err := c.Say(ctx, text, o)
		if g.json && len(ids) > 0 {
			all.Texts = append(all.Texts, texts.New("", "", []string{text}, [][]int64{ids}, []attnx.Generated{answer}, 1).Texts...)
		} else if len(ids) > 0 {
			fmt.Fprintln(s.Out)
		}
		all.Tokens += len(answer.IDs)
		if err != nil {
			return err
		}
	}
	all.Seconds = time.Since(began).Seconds()
	all.PerSecond = float64(all.Tokens) / all.Seconds
	if g.json {
		return usage.PrintJSON(s.Out, all)
	}
	return nil
}
