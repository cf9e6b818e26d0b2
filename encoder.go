package attnx

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
)

// Encoder is an open model that reads whole texts, with its tokenizer: it gives
// embeddings of texts, or the scores of classes.
type Encoder struct {
	*Model
	Tokenizer *tokens.Tokenizer
	Pooling   nn.Pooling // of the model; the zero value if it has none

	frame int   // special tokens that each text gets
	pad   int64 // the id behind the end of the shorter texts of a batch
	even  bool  // texts of a batch must have one length: the network does not know where a text ends
	tell  find.Tell
}

// Pooling makes the embedding of a text from the hidden states of its tokens.
type Pooling = nn.Pooling

// Poolings returns the kinds of pooling.
func Poolings() []string { return nn.Poolings() }

// OpenEncoder opens a model that reads whole texts, in any form that OpenModel
// opens. A checkpoint is exported in memory, in the profile Plain.
func OpenEncoder(path string, o Options) (*Encoder, error) { return openEncoder(path, o, asItIs) }

// OpenTrunk is OpenEncoder for hidden states: a model with a head is opened without
// it, as other libraries do for the embeddings of texts.
func OpenTrunk(path string, o Options) (*Encoder, error) {
	return openEncoder(path, o, func(c *model.Checkpoint) (*model.Checkpoint, error) {
		if _, has := c.Graph.Output(role.Of(role.Hidden)); has {
			return c, nil
		}
		if trunk, err := c.Trunk(); err == nil {
			return trunk, nil
		}
		return c, nil // Embed says what is missing
	})
}

func openEncoder(path string, o Options, as change) (*Encoder, error) {
	e := &Encoder{tell: o.Tell}
	m, err := openAs(path, export.Plain{}, o, as, func(m *Model) (err error) {
		if m.Checkpoint.Graph.Input(role.Of(role.Tokens)) == nil {
			return fmt.Errorf("%s: the network %.80q reads no text: it has no token input", m.Path, m.Checkpoint.Arch)
		}
		e.Tokenizer, err = find.Tokenizer(m.Path, m.Checkpoint.Tokenizer, m.Checkpoint)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.Model = m
	if err := json.Unmarshal(m.Checkpoint.Config, &e.Pooling); err != nil || e.Pooling.Check() != nil {
		e.Pooling = nn.Pooling{} // members of these names with another meaning
	}
	if n, err := m.Checkpoint.Network(); err == nil {
		e.padding(n)
	}
	if e.pad == 0 {
		if id, ok := e.Tokenizer.Padding(); ok && id < int64(m.Checkpoint.IDs()) {
			e.pad = id
		}
		if m.Special != nil && m.Special.Pad != nil {
			e.pad = *m.Special.Pad
		}
	}
	if m.Session == nil {
		m.Close()
		return nil, &Error{Err: fmt.Errorf("%s: it has a past, and whole texts need a file without one", path), Do: ExportPlain}
	}
	e.frame = len(e.Tokenizer.AddSpecial(nil))
	return e, nil
}

// padding sets how texts of several lengths make a batch: a decoder that classifies
// texts finds their ends by its own id.
func (e *Encoder) padding(n nn.Network) {
	u, ok := n.(interface {
		Padding() (id int, has, matters bool)
	})
	if !ok {
		return
	}
	if id, has, matters := u.Padding(); has {
		e.pad = int64(id)
	} else if matters {
		e.even = true
	}
}

// most returns the longest text in tokens, with the special ones; 0: any. As in
// sentence-transformers, the model's own limit precedes that of the tokenizer's file.
func (e *Encoder) most() int {
	most := e.Context
	n := e.Pooling.Longest
	if n == 0 {
		n, _ = e.Tokenizer.Truncation()
	}
	if n > 0 && (most == 0 || n < most) {
		most = n
	}
	return most
}

// Encode converts a text to ids, with the special tokens that belong to one. A text
// that is too long is cut, with a notice. Messages call the text by name.
func (e *Encoder) Encode(name, text string) ([]int64, error) {
	if err := find.CheckText(name, text); err != nil {
		return nil, err
	}
	ids := e.Tokenizer.Encode(text)
	if most := e.most(); most > 0 && len(ids)+e.frame > most {
		if most <= e.frame {
			return nil, fmt.Errorf("%s: the model reads %d tokens, and each text gets %d special ones: it has no room for a text", name, most, e.frame)
		}
		n, which := len(ids), "first"
		if _, left := e.Tokenizer.Truncation(); left {
			ids, which = ids[n-(most-e.frame):], "last"
		} else {
			ids = slices.Clip(ids[:most-e.frame])
		}
		e.tell.Say(find.Notice, "%s has %d tokens, and the model reads the %s %d of them", name, n, which, most-e.frame)
	}
	ids = e.Tokenizer.AddSpecial(ids)
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s is empty: give at least one token", name)
	}
	return ids, find.CheckIDs(e.Tokenizer, e.Checkpoint, name, ids)
}

// Vector is the embedding of a text.
type Vector struct {
	Tokens int       // of the text, with the special ones
	Values []float32 // of the model's width
}

// Embed returns the embeddings of texts. The zero Pooling is the model's own, and
// its kind is the mean of the hidden states where the model has none.
func (e *Encoder) Embed(ctx context.Context, texts []string, p Pooling) ([]Vector, error) {
	if p == (Pooling{}) {
		p = e.Pooling
	}
	if p.Kind == "" {
		p.Kind = cmp.Or(e.Pooling.Kind, nn.MeanPooling)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	from, pool := e.output(role.Hidden), p
	if own := e.Pooling; own.Kind == p.Kind && (own.Normalized == p.Normalized || p.Normalized) && e.output(role.Sentence) != "" {
		from, pool = e.output(role.Sentence), Pooling{Normalized: p.Normalized && !own.Normalized}
	}
	if from == "" {
		return nil, fmt.Errorf("%s: the network %.80q gives no hidden states, of which embeddings are made: take a model without a head", e.Path, e.Checkpoint.Arch)
	}
	out := make([]Vector, len(texts))
	err := e.each(ctx, texts, from, func(i int, ids []int64, states []float32) error {
		out[i] = Vector{len(ids), pooled(states, len(ids), pool)}
		for _, x := range out[i].Values {
			if !isFinite(float64(x)) {
				return fmt.Errorf("%s: text %d: its embedding is not finite: the model's numbers overflow", e.Path, i+1)
			}
		}
		return nil
	})
	return out, err
}

// pooled pools the hidden states of the first n tokens. Without a kind, states is
// the embedding itself.
func pooled(states []float32, n int, p Pooling) []float32 {
	width := len(states)
	if p.Kind != "" {
		width = len(states) / n // of a row that is n tokens long
	}
	if p.Kind == nn.LastPooling {
		states = states[len(states)-width:]
	}
	sum := make([]float64, width)
	for i, x := range states {
		if i < width || p.Kind == nn.MeanPooling {
			sum[i%width] += float64(x)
		}
	}
	scale := 1.0
	if p.Kind == nn.MeanPooling {
		scale = float64(n)
	}
	if p.Normalized {
		squares := 0.0
		for _, x := range sum {
			squares += x * x
		}
		scale = max(math.Sqrt(squares), 1e-12*scale) // the mean's scale cancels
	}
	out := make([]float32, width)
	for i, x := range sum {
		out[i] = float32(x / scale)
	}
	return out
}

// output returns the name of the output of a kind; "" if the network has none.
func (e *Encoder) output(k role.Kind) string {
	if o, ok := e.Checkpoint.Graph.Output(role.Of(k)); ok {
		return o.Name
	}
	return ""
}

// batchTokens bounds the tokens of a run, padding included.
const batchTokens = 4096

// each runs the texts, those of like lengths together, and calls f with the ids of
// each and its row of an output: the rows of its own tokens if the output has one
// for each token.
func (e *Encoder) each(ctx context.Context, texts []string, output string, f func(i int, ids []int64, row []float32) error) error {
	ids := make([][]int64, len(texts))
	order := make([]int, len(texts))
	for i, text := range texts {
		name := "the text"
		if len(texts) > 1 {
			name = fmt.Sprintf("text %d", i+1)
		}
		var err error
		if ids[i], err = e.Encode(name, text); err != nil {
			return err
		}
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(ids[b]), len(ids[a])) })
	for len(order) > 0 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		longest := len(ids[order[0]])
		n := min(len(order), max(1, batchTokens/longest))
		for e.even && len(ids[order[n-1]]) < longest {
			n--
		}
		batch := order[:n]
		order = order[n:]
		result, err := e.Session.Run(e.inputs(ids, batch, longest))
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		t, ok := result[output]
		if !ok || len(t.Shape) < 2 || t.Shape[0] != n {
			return fmt.Errorf("%s: %s is missing in the results, or has another shape: export the model again", e.Path, output)
		}
		x, _, err := t.Convert(format.Float32)
		if err != nil {
			return err
		}
		values, err := x.Float32s()
		if err != nil {
			return err
		}
		row := len(values) / n
		for at, i := range batch {
			mine := values[at*row : (at+1)*row]
			if len(t.Shape) == 3 {
				mine = mine[:row/longest*len(ids[i])]
			}
			if err := f(i, ids[i], mine); err != nil {
				return err
			}
		}
	}
	return nil
}

// inputs returns the inputs of a batch, padded on the right.
func (e *Encoder) inputs(ids [][]int64, batch []int, longest int) map[string]format.Tensor {
	shape := []int{len(batch), longest}
	words, mask := make([]int64, len(batch)*longest), make([]int64, len(batch)*longest)
	for at, i := range batch {
		for j := range longest {
			k := at*longest + j
			if words[k] = e.pad; j < len(ids[i]) {
				words[k], mask[k] = ids[i][j], 1
			}
		}
	}
	inputs := map[string]format.Tensor{}
	for kind, x := range map[role.Kind][]int64{role.Tokens: words, role.AttentionMask: mask, role.Segments: make([]int64, len(words))} {
		if in := e.Checkpoint.Graph.Input(role.Of(kind)); in != nil {
			inputs[in.Name] = format.FromInt64s(in.Name, shape, x)
		}
	}
	return inputs
}

// Class is a class of a text. Its score is a probability, or what the network
// gives if it predicts numbers.
type Class struct {
	Label string  `json:"label"`
	Score float64 `json:"score"`
}

// The ways in which the scores of classes follow from the network's.
const (
	SoftmaxScores = "softmax" // one class is right
	SigmoidScores = "sigmoid" // each class is right or not
	PlainScores   = "none"    // the network predicts numbers
)

// Classes returns the classes of a text classifier, and which of the ways of scores
// it has.
func (e *Encoder) Classes() (labels []string, scores string, err error) {
	o, ok := e.Checkpoint.Graph.Output(role.Of(role.Logits))
	switch {
	case !ok:
		return nil, "", fmt.Errorf("%s: the network %.80q gives no scores of classes: take a model with a classifier", e.Path, e.Checkpoint.Arch)
	case len(o.Value.Shape) != 2:
		return nil, "", fmt.Errorf("%s: the scores %s of the network %.80q are for each token, not for whole texts: take a classifier of texts", e.Path, o.Value.Shape, e.Checkpoint.Arch)
	}
	labels, problem, _ := classesOf(e.Checkpoint)
	switch {
	case problem == "regression":
		return labels, PlainScores, nil
	case problem == "multi_label_classification" || len(labels) == 1:
		return labels, SigmoidScores, nil
	}
	return labels, SoftmaxScores, nil
}

// classesOf returns the names of a network's classes, and what their scores mean.
// named is false if its configuration has none, and they are numbered.
func classesOf(c *model.Checkpoint) (labels []string, problem string, named bool) {
	var about struct {
		Labels  []string `json:"labels"`
		Problem string   `json:"problem_type"`
	}
	if err := json.Unmarshal(c.Config, &about); err == nil && len(about.Labels) > 0 && len(about.Labels) == c.Vocab() {
		return about.Labels, about.Problem, true
	}
	labels = make([]string, c.Vocab())
	for i := range labels {
		labels[i] = fmt.Sprintf("LABEL_%d", i) // as in transformers
	}
	return labels, about.Problem, false
}

// Classify returns the classes of each text, the most likely first.
func (e *Encoder) Classify(ctx context.Context, texts []string) ([][]Class, error) {
	labels, scores, err := e.Classes()
	if err != nil {
		return nil, err
	}
	out := make([][]Class, len(texts))
	err = e.each(ctx, texts, e.output(role.Logits), func(i int, _ []int64, row []float32) error {
		if len(row) != len(labels) {
			return fmt.Errorf("%s: %s scores for %d classes: export the model again", e.Path, quote.Count(len(row)), len(labels))
		}
		for k, s := range scored(row, scores) {
			if !isFinite(s) {
				return fmt.Errorf("%s: text %d: a score is not finite: the model's numbers overflow", e.Path, i+1)
			}
			out[i] = append(out[i], Class{labels[k], s})
		}
		slices.SortStableFunc(out[i], func(a, b Class) int { return cmp.Compare(b.Score, a.Score) })
		return nil
	})
	return out, err
}

// scored returns the scores of classes for the network's.
func scored(logits []float32, how string) []float64 {
	out := make([]float64, len(logits))
	sum, highest := 0.0, float64(slices.Max(logits))
	for i, x := range logits {
		switch how {
		case SigmoidScores:
			out[i] = 1 / (1 + math.Exp(-float64(x)))
		case SoftmaxScores:
			out[i] = math.Exp(float64(x) - highest)
			sum += out[i]
		default:
			out[i] = float64(x)
		}
	}
	if how == SoftmaxScores {
		for i := range out {
			out[i] /= sum
		}
	}
	return out
}
