package main

import (
	"fmt"
	"io"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/runtime/decode"
)

// writer writes the texts of a batch. A single text is written as its tokens
// arrive; several are written at the end, each below its prompt.
type writer struct {
	out     io.Writer
	prompts []string
	streams bool
	echo    bool // write the prompt before a streamed text
}

// begin writes the part before the first token.
func (w writer) begin() error {
	if !w.streams || !w.echo {
		return nil
	}
	_, err := io.WriteString(w.out, w.prompts[0])
	return err
}

// piece writes a part of a text as it arrives.
func (w writer) piece(_ int, text string) error {
	if !w.streams {
		return nil
	}
	_, err := io.WriteString(w.out, text)
	return err
}

// end writes the rest.
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

// generatedReport is the JSON of generate.
type generatedReport struct {
	Model     string          `json:"model"`
	Runtime   string          `json:"runtime"`
	Texts     []generatedText `json:"texts"` // one per prompt, in order
	Tokens    int             `json:"tokens"`
	Seconds   float64         `json:"seconds"`
	PerSecond float64         `json:"tokens_per_second"`
}

type generatedText struct {
	Prompt       string            `json:"prompt"`
	Text         string            `json:"text"` // without the prompt, up to the stop string
	PromptIDs    []int64           `json:"prompt_ids"`
	IDs          []int64           `json:"ids"` // all new ids, including those of a stop string but not an end token
	StopReason   decode.StopReason `json:"stop_reason"`
	PromptTokens int               `json:"prompt_tokens"`
	NewTokens    int               `json:"new_tokens"`
}

// interrupted is the reason if an error or a signal ended a text.
const interrupted decode.StopReason = "interrupted"

// report returns the results for the prompts, which took the given seconds.
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
