package attnx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/playground"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/model/train"
	"github.com/attnx/attnx/runtime/ort/library"
)

// PlaygroundOptions configure ExportPlayground. The zero value takes the run's own
// settings.
type PlaygroundOptions struct {
	Data     Corpus // the run's text; the zero value: at its original place
	Batch    int    // sequences in a batch; 0: as in the run
	Length   int    // tokens in a sequence; 0: as in the run
	Runtime  string // folder of the npm package onnxruntime-web; "": fetched into the user's cache
	Saving   func() // called after reading and before writing; may be nil
	Progress func(done, total int64)
	Tell     Tell
}

// PlaygroundReport lists what ExportPlayground wrote.
type PlaygroundReport struct {
	Folder     string   `json:"folder"`
	Files      []string `json:"files"`
	Bytes      int64    `json:"bytes"`
	Batch      int      `json:"batch"`
	Length     int      `json:"length"`
	Parameters int      `json:"parameters"`
	Tokens     int      `json:"tokens"`  // of the text
	Runtime    string   `json:"runtime"` // version of ONNX Runtime for browsers
}

// ExportPlayground writes a static page that trains the model of a run in a browser:
// the training step with AdamW and the run's settings, the forward pass, the weights,
// the ids of the run's text, and ONNX Runtime for browsers. It works from any web
// server. The target is a new or an empty folder. The page holds the text, as ids and
// tokens, so it tells whoever opens it what the run learned from.
func ExportPlayground(ctx context.Context, run, to string, o PlaygroundOptions) (*PlaygroundReport, error) {
	place, err := output.Claim(output.Folder, to, run)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	if err := resumable(run); err != nil {
		return nil, err
	}
	c, from, err := find.Load(run, o.Tell, model.Load)
	if err != nil {
		return nil, err
	}
	if err := c.Continues(); err != nil {
		return nil, fmt.Errorf("%s: the page trains networks that continue a text: %w", run, err)
	}
	for _, w := range c.Weights {
		if w.DType != format.Float32 {
			return nil, fmt.Errorf("%s: weight %.80q is %s, and the page trains in float32", run, w.Name, w.DType)
		}
	}
	options, err := train.Saved(c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	tok, err := find.Tokenizer(from, c.Tokenizer, c)
	if err != nil {
		return nil, err
	}
	r := &trainRun{folder: run, options: options, model: c, ends: endOf(tok) != nil}
	text, err := r.findText(ctx, o.Data)
	if err != nil {
		return nil, err
	}
	p := playing{checkpoint: c, tok: tok, options: options}
	p.batch, p.length = cmp.Or(o.Batch, options.Batch), cmp.Or(o.Length, options.Context, c.Context())
	if most := c.Context(); p.batch < 1 || p.length < 1 || most > 0 && p.length > most {
		return nil, &OptionError{Option: "Length", Reason: fmt.Sprintf(" is %d and Batch %d: the model sees 1 to %d tokens, in one sequence or more", p.length, p.batch, most)}
	}
	files, err := p.files(text)
	if err != nil {
		return nil, err
	}
	libraries, err := library.Web(ctx, o.Runtime, o.Progress)
	if err != nil {
		return nil, err
	}
	for _, path := range libraries {
		files = append(files, store.File{Name: playground.RuntimeName + "/" + filepath.Base(path), Write: func(w io.Writer) error { return copyFile(w, path) }})
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if o.Saving != nil {
		o.Saving()
	}
	if err := store.SaveFolder(to, files); err != nil {
		return nil, err
	}
	report := &PlaygroundReport{Folder: to, Batch: p.batch, Length: p.length, Tokens: p.tokens, Runtime: library.Version}
	for _, w := range c.Weights {
		report.Parameters += w.Elements()
	}
	for _, f := range files {
		path := filepath.Join(to, filepath.FromSlash(f.Name))
		report.Files = append(report.Files, path)
		if info, err := os.Stat(path); err == nil {
			report.Bytes += info.Size()
		}
	}
	return report, nil
}

// playing makes the files of a playground.
type playing struct {
	checkpoint    *model.Checkpoint
	tok           *tokens.Tokenizer
	options       train.Options
	batch, length int
	tokens        int // of the text
}

// files returns the page, the graphs, the weights and the text.
func (p *playing) files(text *train.Text) ([]store.File, error) {
	c := *p.checkpoint
	c.Train = nil
	o := p.options
	o.Accumulate = 0 // the page takes one batch for each step
	step, err := train.BuildFloat32Training(c.Graph, p.batch, p.length, o)
	if err != nil {
		return nil, err
	}
	graphs := map[string]*graph.Graph{playground.StepName: step, playground.ForwardName: c.Graph}
	var files []store.File
	put := func(name string, data []byte) {
		files = append(files, store.File{Name: name, Write: func(w io.Writer) error { _, err := w.Write(data); return err }})
	}
	for _, name := range []string{playground.StepName, playground.ForwardName} {
		data, err := export.Bytes(graphs[name], nil, export.Train{})
		if err != nil {
			return nil, err
		}
		put(name, data)
	}
	var checkpoint bytes.Buffer
	if err := c.Write(&checkpoint); err != nil {
		return nil, err
	}
	put(playground.ModelName, checkpoint.Bytes())
	m := p.manifest()
	lines := p.encoded(text.Text)
	for _, line := range lines {
		p.tokens += len(line)
	}
	if lines = slices.DeleteFunc(lines, func(line []int64) bool { return len(line) < 2 || !m.Lines && len(line) <= p.length }); len(lines) == 0 {
		return nil, fmt.Errorf("the text has %s tokens, and a sequence has %d: take a smaller Length", quote.Count(p.tokens), p.length)
	}
	m.Prompt = p.prompt(m, lines[0])
	data, starts := encodeIDs(lines, m.Bytes)
	put(playground.DataName, data)
	if m.Lines {
		put(playground.LinesName, starts)
	}
	pages, err := playground.Files(m)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		put(name, pages[name])
	}
	return files, nil
}

// encoded returns the ids of the text: of each line for a tokenizer of words, as in
// training.
func (p *playing) encoded(text string) (lines [][]int64) {
	if p.tok.Kind() != tokens.Word {
		return [][]int64{p.tok.Encode(text)}
	}
	for line := range strings.Lines(text) {
		if ids := p.tok.Encode(line); len(ids) > 0 {
			lines = append(lines, ids)
		}
	}
	return lines
}

// prompt returns the beginning of a line.
func (p *playing) prompt(m playground.Manifest, line []int64) string {
	var sb strings.Builder
	for i, id := range line[:min(len(line), 8)] {
		if m.Join != "" && i == 2 {
			break
		}
		if i > 0 {
			sb.WriteString(m.Join)
		}
		sb.WriteString(m.Tokens[id])
	}
	return strings.TrimRight(sb.String(), "\n")
}

// encodeIDs returns the ids of all lines, of the given size, and where each line
// begins, with the end of the last.
func encodeIDs(lines [][]int64, size int) (data, starts []byte) {
	n := 0
	for _, line := range lines {
		starts = binary.LittleEndian.AppendUint32(starts, uint32(n))
		n += len(line)
		for _, id := range line {
			if size == 2 {
				data = binary.LittleEndian.AppendUint16(data, uint16(id))
			} else {
				data = binary.LittleEndian.AppendUint32(data, uint32(id))
			}
		}
	}
	return data, binary.LittleEndian.AppendUint32(starts, uint32(n))
}

// manifest returns what the page has to know of the model.
func (p *playing) manifest() playground.Manifest {
	c := p.checkpoint
	logits, _ := c.Graph.Output(role.Of(role.Logits))
	parameters := 0
	m := playground.Manifest{
		Title: "attnx playground", Version: library.Version, Batch: p.batch, Length: p.length, Context: cmp.Or(c.Context(), p.length), Vocabulary: c.Vocab(),
		Lines: p.tok.Kind() == tokens.Word, Ignore: model.IgnoreIndex, Bytes: 2, LR: p.options.LR, Beta1: p.options.Beta1, Beta2: p.options.Beta2, Step: c.Step, Seed: 1,
		Names: playground.Names{
			Ids: c.Graph.Input(role.Of(role.Tokens)).Name, Labels: role.Of(role.Labels).Name(), Rate: train.RateInput, FirstRate: train.FirstRate, SecondRoot: train.SecondRoot,
			Loss: role.Of(role.Loss).Name(), Logits: logits.Name, Next: train.NextPrefix, First: train.FirstMoment, Second: train.SecondMoment,
		},
	}
	for i, v := range c.Graph.Params {
		init, _ := graph.Is[graph.Param](v)
		m.Weights = append(m.Weights, playground.Weight{Name: v.Name, Shape: c.Weights[i].Shape, Mean: init.Init.Mean, Std: init.Init.Std})
		parameters += c.Weights[i].Elements()
	}
	if p.tok.VocabSize() > 1<<16 {
		m.Bytes = 4
	}
	for id := range p.tok.VocabSize() {
		m.Tokens = append(m.Tokens, tokenText(p.tok, int64(id)))
	}
	if ids := []int64{int64(len(m.Tokens) - 1), int64(len(m.Tokens) - 1)}; len(m.Tokens) > 0 {
		last := m.Tokens[ids[0]]
		if both, err := p.tok.Decode(ids); err == nil && both == last+" "+last {
			m.Join = " "
		}
	}
	m.About = fmt.Sprintf("%s, %s parameters, %d sequences of %d tokens in a step. ONNX Runtime %s trains it in this browser; nothing leaves the page.",
		c.Arch, quote.Count(parameters), p.batch, p.length, library.Version)
	return m
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
