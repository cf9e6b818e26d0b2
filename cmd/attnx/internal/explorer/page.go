package explorer

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/attnx/attnx"
	"github.com/attnx/attnx/internal/output"
)

//go:embed page.html
var frame string

//go:embed page.css
var style string

//go:embed numbers.js
var numbersScript string

//go:embed path.js
var pathScript string

//go:embed page.js
var pageScript string

// script is one script: the policy of the page names it by its hash.
var script = numbersScript + pathScript + pageScript

// page is what the script of the page reads.
type page struct {
	About      string   `json:"about"`
	Translates bool     `json:"translates"` // texts have a source
	Next       bool     `json:"next"`       // predictions are of the token after
	Classes    bool     `json:"classes"`    // predictions are of classes
	Vocabulary []string `json:"vocabulary"` // nil if it is large
	Layers     []layer  `json:"layers"`
	Logits     *step    `json:"logits"`
	Texts      []*text  `json:"texts"`
}

type layer struct {
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Of     int     `json:"of"` // the side whose tokens look: 1 is the source of a translator, 0 any other text
	To     int     `json:"to"` // the side that they look at
	Biased bool    `json:"biased"`
	Heads  int     `json:"heads"`
	Groups int     `json:"groups"`
	Width  int     `json:"width"` // of a head
	Scale  float64 `json:"scale"`
	Causal bool    `json:"causal"`
	Window int     `json:"window"`
	Steps  []step  `json:"steps"`
}

type step struct {
	Symbol string `json:"s"`
	Value  string `json:"v"`
	Op     string `json:"op"`
	Weight string `json:"w"`
	Bias   string `json:"b"`
	From   string `json:"from"`
}

func stepOf(s attnx.ExploredStep) step {
	return step{s.Symbol, s.Value, s.Op, s.Weight, s.Bias, s.From}
}

// describe fills what the texts have in common.
func (p *page) describe(e *attnx.Exploration) {
	p.Next, p.Classes, p.Layers, p.Translates = e.Next, e.Classes != nil, nil, e.Source != nil
	seen := map[string]int{}
	for _, l := range e.Layers {
		out := layer{Name: l.Name, Title: "layer", Biased: l.Biased, Heads: l.Heads, Groups: l.Groups, Scale: l.Scale, Causal: l.Causal, Window: l.Window}
		switch {
		case l.OfSource:
			out.Title, out.Of, out.To = "encoder", 1, 1
		case l.ToSource:
			out.Title, out.To = "cross-attention", 1
		case p.Translates:
			out.Title = "decoder"
		}
		seen[out.Title]++
		out.Title = fmt.Sprintf("%s %d", out.Title, seen[out.Title]-1)
		for _, s := range l.Steps {
			out.Steps = append(out.Steps, stepOf(s))
			if s.Symbol == attnx.StepQuery {
				out.Width = s.Width
			}
		}
		p.Layers = append(p.Layers, out)
	}
	if e.Logits.Value != "" {
		s := stepOf(e.Logits)
		p.Logits = &s
	}
}

// write writes the page. Nothing in it but its own script may run, and nothing is
// loaded: the policy names the script and the style by their hashes. Texts are in a
// block of JSON, in which json.Marshal has escaped every < and >.
func (p *page) write(w io.Writer, title string) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	policy := "default-src 'none'; script-src " + hashOf(script) + "; style-src " + hashOf(style) + "; img-src data:; base-uri 'none'; form-action 'none'"
	_, err = strings.NewReplacer(
		"{{mark}}", output.PageMark, "{{policy}}", policy, "{{title}}", html.EscapeString(title), "{{style}}", style, "{{script}}", script, "{{data}}", string(data),
	).WriteString(w, frame)
	return err
}

// hashOf returns the source of a policy that allows exactly this text.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
