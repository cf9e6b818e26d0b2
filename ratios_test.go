package attnx

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
	"github.com/attnx/attnx/runtime/ref"
)

// The ratio of a derived bound to the largest error, of the element that comes closest
// to its bound: below the least, correct runtimes come near a false alarm; above the
// most, faults hide.
const leastRatio, mostRatio = 1.5, 15

// ratioNetworks are networks by name.
func ratioNetworks(t *testing.T) map[string]*model.Checkpoint {
	t.Helper()
	nets := map[string]nn.Network{}
	presets := []string{"tiny"}
	if fixtures.Exhaustive() {
		presets = append(presets, "nano")
	}
	if fixtures.Large() { // minutes: for the table of figures, not for every change
		presets = append(presets, "gpt2")
	}
	for _, p := range presets {
		for _, name := range []string{"gpt2", "simple", "llama"} {
			if p == "gpt2" && name != "gpt2" {
				continue
			}
			sizes, err := arch.Preset(p)
			if err != nil {
				t.Fatal(err)
			}
			if nets[name+" "+p], err = arch.New(name, sizes, 211); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := map[string]*model.Checkpoint{}
	for name, n := range nets {
		c, err := model.New(n, 2)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = c
	}
	return all
}

// ratio is a row of the table: an output in a runtime.
type ratio struct {
	network, dtype, runtime, output string
	elements                        int
	largest, bound, ratio           float64 // of the element that comes closest
}

// TestRatios holds derived bounds to what runtimes do, output by output. The exhaustive run
// writes the table, fixtures/ratios.md.
func TestRatios(t *testing.T) {
	lib, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(library.EnvLibrary, lib)
	var all []ratio
	networks := ratioNetworks(t)
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		for _, d := range []format.DType{format.Float32, format.Float16} {
			found, err := ratiosOf(networks[name], d)
			if err != nil {
				t.Fatalf("%s in %s: %v", name, d, err)
			}
			for i := range found {
				found[i].network, found[i].dtype = name, d.String()
			}
			all = append(all, found...)
		}
	}
	var table strings.Builder
	outside := 0
	for _, r := range all {
		mark := ""
		if r.ratio < leastRatio || r.ratio > mostRatio {
			outside++
			mark = " outside"
			t.Logf("%+v", r)
		}
		if r.ratio < 1 {
			t.Errorf("a false alarm: %+v", r)
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %d | %.1e | %.1e | %.1f%s |\n", r.network, r.dtype, r.runtime, r.output, r.elements, r.largest, r.bound, r.ratio, mark)
	}
	t.Logf("%d of %d ratios are outside %g to %d", outside, len(all), leastRatio, mostRatio)
	if len(all) < 20 || outside > 0 {
		t.Errorf("%d of %d ratios are outside %g to %d", outside, len(all), leastRatio, mostRatio)
	}
	if fixtures.Exhaustive() && fixtures.Large() {
		head := fmt.Sprintf("# Derived bounds and the errors of runtimes\n\nWritten by `ATTNX_EXHAUSTIVE=1 ATTNX_LARGE=1 go test . -run TestRatios`. The ratio is that of the element that comes closest to its bound; error and bound are its own. %d of %d are outside %g to %d.\n\n| network | type | runtime | output | elements | error | bound | bound/error |\n|---|---|---|---|---|---|---|---|\n", outside, len(all), leastRatio, mostRatio)
		if err := os.WriteFile("fixtures/ratios.md", []byte(head+table.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// differences adds up differences by runtime and kind of output.
type differences map[[2]string]runtime.Difference

func (m differences) add(name string, want runtime.Bounded, got map[string]format.Tensor) error {
	for output, w := range want.Outputs {
		g, ok := got[output]
		if !ok || !w.DType.Float() {
			continue
		}
		r, _ := role.FromName(output)
		kind := strings.Trim(strings.ReplaceAll(output, fmt.Sprint(".", r.Layer), ""), ".")
		d := runtime.Compare(w, g, want.Bounds[0].Of[output])
		if d.Reason != "" || d.Unknown > 0 {
			return fmt.Errorf("%s of %s: %s, %d unknown", output, name, d.Reason, d.Unknown)
		}
		m[[2]string{name, kind}] = m[[2]string{name, kind}].Merge(d)
	}
	return nil
}

// ratiosOf measures all runtimes on one network.
func ratiosOf(c *model.Checkpoint, d format.DType) ([]ratio, error) {
	m := differences{}
	texts := []runtime.Case{runtime.NewCase(2, min(16, c.Context()), c.Vocab(), 1), runtime.NewCase(1, min(64, c.Context()), c.Vocab(), 2)}
	oracle, err := ref.New(c.Graph, c.Weights)
	if err != nil {
		return nil, err
	}
	plain, err := opened(c, export.Plain{DType: d}, m, oracle, texts)
	if err != nil {
		return nil, err
	}
	if d == format.Float32 {
		for _, row := range runtimes {
			if row.Name != "gorgonia" {
				continue
			}
			s, err := row.network(c)
			if err != nil { // it lacks an operator
				continue
			}
			err = running(s, "gorgonia", m, plain, texts)
			s.Close()
			if err != nil {
				return nil, err
			}
		}
		if _, err := opened(c, export.Flat{Length: min(16, c.Context())}, m, oracle, texts[:1]); err != nil {
			return nil, err
		}
	}
	g, err := model.Cached(c.Graph, false)
	if err != nil {
		return nil, err
	}
	if oracle, err = ref.New(g, c.Weights); err != nil {
		return nil, err
	}
	file, _, err := ExportModel(c, export.Cache{DType: d})
	if err != nil {
		return nil, err
	}
	pasts, _ := runtime.PastCases(cacheShape(c, file), c.IDs(), 64, 1)
	if _, err := opened(c, export.Cache{DType: d}, m, oracle, pasts[:min(8, len(pasts))]); err != nil {
		return nil, err
	}
	var all []ratio
	for k, d := range m {
		all = append(all, ratio{runtime: k[0], output: k[1], elements: d.Elements, largest: d.Used * d.Bound, bound: d.Bound, ratio: 1 / d.Used})
	}
	slices.SortFunc(all, func(a, b ratio) int {
		return cmp.Or(strings.Compare(a.output, b.output), strings.Compare(a.runtime, b.runtime))
	})
	return all, nil
}

// opened runs an export in every runtime that takes it, at each level, and returns the
// expected outputs.
func opened(c *model.Checkpoint, p export.Profile, m differences, oracle *ref.Oracle, cases []runtime.Case) ([]runtime.Bounded, error) {
	file, _, err := ExportModel(c, p)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	if err := file.Encode(&data); err != nil {
		return nil, err
	}
	var want []runtime.Bounded
	for _, k := range cases {
		b, err := oracle.Bounds(k.Inputs(), runtime.Numbers{DType: precision.ComputedIn(file)})
		if err != nil {
			return nil, err
		}
		want = append(want, b)
	}
	suffix := ""
	if isCache(p) {
		suffix = "-cache"
	}
	for _, row := range runtimes {
		if row.Open == nil || !slices.ContainsFunc(row.takes, func(x export.Profile) bool { return x.Name() == p.Name() }) {
			continue
		}
		levels := row.Levels
		if len(levels) == 0 {
			levels = []string{""}
		}
		for _, level := range levels {
			s, err := row.Open(runtime.File{Data: data.Bytes()}, runtime.Options{Level: level})
			if errors.Is(err, runtime.ErrUnavailable) {
				continue
			}
			if err == nil {
				err = running(s, leveled(row.Name+suffix, level), m, want, cases)
				s.Close()
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return want, nil
}

func running(s runtime.Session, name string, m differences, want []runtime.Bounded, cases []runtime.Case) error {
	for i, k := range cases {
		got, err := s.Run(k.Inputs())
		if err == nil {
			err = m.add(name, want[i], got)
		}
		if err != nil {
			return fmt.Errorf("%s, %s: %w", name, k, err)
		}
	}
	return nil
}
