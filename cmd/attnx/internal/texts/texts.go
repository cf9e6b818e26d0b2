// Package texts writes what generate generates: as it comes, or as JSON.
package texts

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/runtime/decode"
)

// Writer writes the texts of a batch. A single text is written as its tokens
// arrive; several are written at the end, each below its prompt.
type Writer struct {
	Out     io.Writer
	Prompts []string
	Streams bool
	Echo    bool // write the prompt before a streamed text
}

// Begin writes the part before the first token.
func (w Writer) Begin() error {
	if !w.Streams || !w.Echo {
		return nil
	}
	_, err := io.WriteString(w.Out, w.Prompts[0])
	return err
}

// Piece writes a part of a text as it arrives.
func (w Writer) Piece(_ int, text string) error {
	if !w.Streams {
		return nil
	}
	_, err := io.WriteString(w.Out, text)
	return err
}

// End writes the rest.
func (w Writer) End(out []attnx.Generated) error {
	if w.Streams {
		_, err := io.WriteString(w.Out, "\n")
		return err
	}
	for i, o := range out {
		if _, err := fmt.Fprintf(w.Out, "%q continues:\n%s\n", w.Prompts[i], o.Text); err != nil {
			return err
		}
	}
	return nil
}

// Report is the JSON of generate.
type Report struct {
	Model     string  `json:"model"`
	Runtime   string  `json:"runtime"`
	Texts     []Text  `json:"texts"` // one per prompt, in order
	Tokens    int     `json:"tokens"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"tokens_per_second"`
}

// Text is the continuation of a prompt.
type Text struct {
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

// New returns the results for the prompts, which took the given seconds.
func New(path, running string, prompts []string, ids [][]int64, out []attnx.Generated, seconds float64) Report {
	r := Report{Model: path, Runtime: running, Seconds: seconds}
	for i, o := range out {
		x := Text{
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

// Messages returns a function that returns the user's next message of a
// conversation, and io.EOF after the last: those given, or else the lines of in,
// of which the first most bytes are read. ask is called before each line; done,
// at the end.
func Messages(given []string, in io.Reader, most int64, ask, done func()) func() (string, error) {
	if len(given) > 0 {
		return func() (string, error) {
			if len(given) == 0 {
				return "", io.EOF
			}
			text := given[0]
			given = given[1:]
			return text, nil
		}
	}
	lines := bufio.NewReader(io.LimitReader(in, most))
	return func() (string, error) {
		for {
			ask()
			line, err := lines.ReadString('\n')
			if text := strings.TrimSpace(line); text != "" {
				return text, nil
			}
			if err != nil {
				done()
				return "", err
			}
		}
	}
}
