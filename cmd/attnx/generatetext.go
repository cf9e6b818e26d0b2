package main

import (
	"fmt"
	"io"

	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/runtime/decode"
)

// writer writes the texts of a batch: a single one as its tokens come, several
// at the end, each under its prompt.
type writer struct {
	out     io.Writer
	streams bool
	echo    bool // a text that streams begins with its prompt
	texts   []*writtenText
}

// writtenText is what a model writes behind a prompt.
type writtenText struct {
	prompt  string
	decoder *tokens.Decoder
	stop    *decode.StopText
	stopped bool   // a stop string was found
	written string // so far
}

// add adds a text. Its prompt goes through the decoder: whether a word begins
// with a space depends on what is before it.
func (w *writer) add(prompt string, d *tokens.Decoder, ids []int64, stops []string) error {
	for _, id := range ids {
		if _, err := d.Next(id); err != nil {
			return err
		}
	}
	w.texts = append(w.texts, &writtenText{prompt: prompt, decoder: d, stop: decode.NewStopText(stops)})
	return nil
}

// begin writes what stands before the first token.
func (w *writer) begin() error {
	if !w.streams || !w.echo {
		return nil
	}
	_, err := io.WriteString(w.out, w.texts[0].prompt)
	return err
}

// token takes a new id of a sequence, and ends it where it has written a stop
// string.
func (w *writer) token(sequence int, id int64) error {
	t := w.texts[sequence]
	piece, err := t.decoder.Next(id)
	if err != nil {
		return err
	}
	shown, found := t.stop.Next(piece)
	t.stopped = found
	if err := w.write(t, shown); err != nil {
		return err
	}
	if found {
		return decode.EndSequence
	}
	return nil
}

func (w *writer) write(t *writtenText, shown string) error {
	t.written += shown
	if !w.streams {
		return nil
	}
	_, err := io.WriteString(w.out, shown)
	return err
}

// flush ends the texts: what was held back belongs to them.
func (w *writer) flush() error {
	for _, t := range w.texts {
		if t.stopped {
			continue
		}
		shown, found := t.stop.Next(t.decoder.Flush())
		if !found {
			shown += t.stop.Flush()
		}
		if err := w.write(t, shown); err != nil {
			return err
		}
	}
	return nil
}

// end writes what is left.
func (w *writer) end() error {
	if err := w.flush(); err != nil {
		return err
	}
	if w.streams {
		_, err := io.WriteString(w.out, "\n")
		return err
	}
	for _, t := range w.texts {
		if _, err := fmt.Fprintf(w.out, "%q continues:\n%s\n", t.prompt, t.written); err != nil {
			return err
		}
	}
	return nil
}

// generatedReport is what generate prints with --json.
type generatedReport struct {
	Model     string          `json:"model"`
	Runtime   string          `json:"runtime"`
	Texts     []generatedText `json:"texts"` // one for each prompt, in their order
	Tokens    int             `json:"tokens"`
	Seconds   float64         `json:"seconds"`
	PerSecond float64         `json:"tokens_per_second"`
}

type generatedText struct {
	Prompt       string            `json:"prompt"`
	Text         string            `json:"text"` // without the prompt, and before a stop string
	PromptIDs    []int64           `json:"prompt_ids"`
	IDs          []int64           `json:"ids"` // all new ones: those of a stop string too, but no id that ends a text
	StopReason   decode.StopReason `json:"stop_reason"`
	PromptTokens int               `json:"prompt_tokens"`
	NewTokens    int               `json:"new_tokens"`
}

// interrupted is the reason of a text that an error or a signal ended.
const interrupted decode.StopReason = "interrupted"

// report returns what became of the prompts in so many seconds.
func (w *writer) report(path, running string, prompts [][]int64, out []decode.Generated, seconds float64) generatedReport {
	r := generatedReport{Model: path, Runtime: running, Seconds: seconds}
	for i, t := range w.texts {
		x := generatedText{
			Prompt: t.prompt, Text: t.written, PromptIDs: prompts[i], IDs: append([]int64{}, out[i].IDs...), StopReason: out[i].Reason,
			PromptTokens: len(prompts[i]), NewTokens: len(out[i].IDs),
		}
		if x.StopReason == "" {
			x.StopReason = interrupted
		}
		r.Texts, r.Tokens = append(r.Texts, x), r.Tokens+x.NewTokens
	}
	r.PerSecond = float64(r.Tokens) / seconds
	return r
}
