package main

import (
	"fmt"
	"io"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/runtime/decode"
)

// writer writes the texts of a batch: a single one as its tokens come, several
// at the end, each under its prompt.
type writer struct {
	out     io.Writer
	prompts []string
	streams bool
	echo    bool // a text that streams begins with its prompt
}

// begin writes what comes before the first token.
func (w writer) begin() error {
	if !w.streams || !w.echo {
		return nil
	}
	_, err := io.WriteString(w.out, w.prompts[0])
	return err
}

// piece takes a part of a text as it comes.
func (w writer) piece(_ int, text string) error {
	if !w.streams {
		return nil
	}
	_, err := io.WriteString(w.out, text)
	return err
}

// end writes what is left.
func (w writer) end(out []attnx.Generated) error {
	if w.streams {
		_, err := io.WriteString(w.out, "\n")
		return err
	}
	for i, o := range out {
		if _, err := fmt.Fprintf(w.out, "%q continues:\n%s\n", w.prompts[i], o.Text); err != nil {
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
func report(path, running string, prompts []string, ids [][]int64, out []attnx.Generated, seconds float64) generatedReport {
	r := generatedReport{Model: path, Runtime: running, Seconds: seconds}
	for i, o := range out {
		x := generatedText{
			Prompt: prompts[i], Text: o.Text, PromptIDs: ids[i], IDs: append([]int64{}, o.IDs...), StopReason: o.Reason,
			PromptTokens: len(ids[i]), NewTokens: len(o.IDs),
		}
		if x.StopReason == "" {
			x.StopReason = interrupted
		}
		r.Texts, r.Tokens = append(r.Texts, x), r.Tokens+x.NewTokens
	}
	r.PerSecond = float64(r.Tokens) / seconds
	return r
}
