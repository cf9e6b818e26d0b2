package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	blocks "github.com/attnx/attnx/format/gguf"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/gguf"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/runtime"
)

// The committed table has the rows that there are, in their order, and its cells for
// folders and GGUF files are what this attnx does.
func TestArchitectureFormats(t *testing.T) {
	text, err := os.ReadFile("../../fixtures/architectures.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := tableRows(t, t.TempDir())
	var got, want []string
	for _, r := range rows {
		r.formats(t)
		line := r.name
		for _, column := range columns[:4] {
			cell, _, _ := strings.Cut(r.cell(column), ":")
			line += " | " + cell
		}
		got = append(got, line)
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != len(columns)+1 || cells[0] == "architecture" || strings.HasPrefix(cells[0], "--") {
			continue
		}
		for i, cell := range cells {
			cells[i], _, _ = strings.Cut(cell, " [^")
		}
		want = append(want, strings.Join(cells[:5], " | "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("fixtures/architectures.md is not of this attnx: ATTNX_WRITE_ARCHITECTURES=1 writes it anew\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Fused files with weights as integers are what their integers say, for every network that
// continues texts: ONNX Runtime has one operator for its attentions and another for its
// products.
func TestFusedIntegersOfEveryArchitecture(t *testing.T) {
	if !fixtures.Exhaustive() {
		t.Skip("set ATTNX_EXHAUSTIVE=1: it verifies two files of every architecture")
	}
	dir := t.TempDir()
	rows, _ := tableRows(t, dir)
	n := 0
	for _, r := range rows {
		if !r.continues() || len(r.c.Attentions()) == 0 {
			continue
		}
		n++
		for _, q := range []precision.Quantize{precision.Int8, precision.Int4} {
			report, err := r.verified(t, dir, export.Cache{Fuse: true, Quantize: q})
			if err != nil || !slices.ContainsFunc(report.Results, func(x runtime.Result) bool { return x.File != "" && x.Status == runtime.StatusOK }) {
				t.Errorf("%s in %s: %v, ran %+v", r.name, q, err, report.Results)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d networks continue texts", n)
	}
}

// formats fills the cells of the formats that attnx reads and writes itself.
func (r *tableRow) formats(t *testing.T) {
	t.Helper()
	same := func(c *model.Checkpoint, err error) error {
		if err == nil && (graph.Fingerprint(c.Graph) != graph.Fingerprint(r.c.Graph) || c.Weights.Hash() != r.c.Weights.Hash()) {
			err = errors.New("it is read as another model")
		}
		return err
	}
	back := r.folder + "-back"
	_, err := huggingface.Write(back, r.c, format.Float32)
	r.set(folderOut, err)
	if err == nil {
		c, _, err := huggingface.Read(back)
		err = same(c, err)
		r.set(folderIn, err)
	} else {
		r.set(folderIn, err)
	}
	_, err = gguf.Write(r.gguf, r.c, blocks.F32)
	r.set(ggufOut, err)
	if err == nil {
		c, _, err := gguf.Read(r.gguf)
		if err == nil && r.c.Arch == (arch.Gemma3{}).Architecture() {
			c.Weights = nearly(t, r.c.Weights, c.Weights) // norms have 1 more in a file
		}
		r.set(ggufIn, same(c, err))
	} else {
		r.set(ggufIn, err)
	}
}
