package attnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/internal/mutate"
)

// selfTested returns the models of the self-test's table: a checkpoint, a checkpoint
// with a file, or ONNX files of another tool.
func selfTested(t *testing.T) map[string][]string {
	dir := t.TempDir()
	models := map[string][]string{}
	for name, c := range faultModels(t) {
		path := filepath.Join(dir, name+".safetensors")
		if err := writeTo(path, c.Write); err != nil {
			t.Fatal(err)
		}
		models[name] = []string{path}
		m, _, err := ExportModel(c, faultForms["cache"])
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+".onnx")
		if err := writeTo(file, m.Encode); err != nil {
			t.Fatal(err)
		}
		models[name+", cache"] = []string{path, file}
		models[name+", cache, the file alone"] = []string{file}
	}
	return models
}

// TestSelf has verify judge models with faults of every kind. The exhaustive run writes
// the table of all kinds, fixtures/self-test.md; with ATTNX_SELF_TEST, of a foreign
// ONNX file too.
func TestSelf(t *testing.T) {
	if n := len(mutate.Kinds()); n < 40 {
		t.Errorf("%d kinds", n)
	}
	models, n := selfTested(t), 24
	names := []string{"simple", "llama, cache"}
	if fixtures.Exhaustive() {
		names, n = slices.Sorted(maps.Keys(models)), 250
		if file := os.Getenv("ATTNX_SELF_TEST"); file != "" {
			models["foreign"], names = []string{file}, append(names, "foreign")
		}
	}
	var table bytes.Buffer
	var all SelfTestCount
	for _, name := range names {
		s, err := VerifySelf(t.Context(), models[name], n, nil, VerifyOptions{Seed: 1})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var text strings.Builder
		s.Model = name
		if err := s.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", text.String())
		all.add(s.SelfTestCount)
		fmt.Fprintf(&table, "\n## %s\n\n| kind | tried | faults | by structure | on samples | missed | located | samples alone | located | equivalent | broken |\n|---|---|---|---|---|---|---|---|---|---|---|\n", name)
		for _, k := range append(s.Kinds, SelfTestKind{Kind: "**all**", SelfTestCount: s.SelfTestCount}) {
			fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %d | %d/%d | %d | %d/%d | %d | %d |\n", k.Kind, k.Tried, k.Faults, k.ByStructure, k.OnSamples, k.Missed, k.Located, k.Placed, k.Alone, k.AloneLocated, k.AlonePlaced, k.Equivalent, k.Broken)
		}
		if s.Faults < s.Tried/4 {
			t.Errorf("%s: only %d of %d change an output", name, s.Faults, s.Tried)
		}
	}
	t.Logf("%+v", all)
	if 1000*all.Missed > 5*all.Faults || 100*all.Located < 95*all.Placed {
		t.Errorf("%d of %d faults missed, %d of %d located", all.Missed, all.Faults, all.Located, all.Placed)
	}
	if fixtures.Exhaustive() {
		head := fmt.Sprintf("# Faults put into models, and what verify finds of them\n\nWritten by `ATTNX_EXHAUSTIVE=1 ATTNX_SELF_TEST=FILE go test . -run TestSelf`, where FILE is the BERT of `fixtures/oracle/train_onnx.py`, seed 1, %d faults a file and %d of the graph before it is exported.\n\n"+
			"- Of %d that change an output by more than the bound, %d are caught (%d by structure, %d on samples) and %d missed. Conditional ones, which only certain sizes or ids show, are %d of them.\n"+
			"- Of %d whose first value is known, %d are located there.\n"+
			"- Samples alone, with structure left out, would find %d (%.1f %%), and locate %d of the %d whose first value is known.\n",
			n, n/5, all.Faults, all.ByStructure+all.OnSamples, all.ByStructure, all.OnSamples, all.Missed, all.Conditional, all.Placed, all.Located, all.Alone, 100*float64(all.Alone)/float64(all.Faults), all.AloneLocated, all.AlonePlaced)
		if err := os.WriteFile("fixtures/self-test.md", append([]byte(head), table.Bytes()...), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// Where the outputs have no bound, a fault is no difference that verify could miss.
func TestSelfWithoutBounds(t *testing.T) {
	mask := hostileFloats("mask", 1)
	binary.LittleEndian.PutUint32(mask.Raw, math.Float32bits(float32(math.Inf(-1))))
	path := filepath.Join(t.TempDir(), "masked.onnx")
	m := hostileModel([]*onnx.Tensor{mask}, hostileNode("Add", "a", nil, "x", "mask"), hostileNode("Softmax", "y", nil, "a"))
	if err := writeTo(path, m.Encode); err != nil {
		t.Fatal(err)
	}
	s, err := VerifySelf(t.Context(), []string{path}, 30, nil, VerifyOptions{Seed: 1})
	if err != nil || s.Tried == 0 || s.Missed > 0 {
		t.Errorf("%+v, %v", s.SelfTestCount, err)
	}
}
