package attnx

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model/role"
	"github.com/attnx/attnx/receipt"
	"github.com/attnx/attnx/runtime"
)

// foreignText writes an export without attnx's metadata, its inputs under other names, as another
// tool might have written it.
func foreignText(t *testing.T, p export.Profile, edit func(m *onnx.Model)) string {
	t.Helper()
	m, _, err := ExportModel(faultModels(t)["gpt2"], p)
	okay(t, err)
	m.Metadata = nil
	for i := range m.Graph.Inputs {
		in := &m.Graph.Inputs[i]
		name := "input." + string(rune('a'+i))
		for _, n := range m.Graph.Nodes {
			for j, arg := range n.Inputs {
				if arg == in.Name {
					n.Inputs[j] = name
				}
			}
		}
		in.Name = name
	}
	if edit != nil {
		edit(m)
	}
	path := filepath.Join(t.TempDir(), "text.onnx")
	okay(t, writeTo(path, m.Encode))
	return path
}

// The cases of a foreign file reach every id and position, the lengths around powers of two,
// batches, masks and pasts, as far as the budget goes; what they do not reach is left out. Its graph says what the
// inputs are for, not their names.
func TestForeignTextIsCovered(t *testing.T) {
	verified := func(budget int, paths ...string) runtime.Report {
		r, err := VerifyONNX(t.Context(), paths, VerifyOptions{Seed: 1, Budget: budget, Runtimes: []string{"ort-cpu"}})
		okay(t, err)
		if r.Results[0].Status == runtime.StatusUnavailable {
			t.Skip(r.Results[0].Reason)
		}
		return r
	}
	c := faultModels(t)["gpt2"]
	for _, p := range []export.Profile{export.Plain{}, export.Cache{}} {
		path := foreignText(t, p, nil)
		r := verified(512, path)
		got := r.Coverage
		if r.Verdict != runtime.Pass || got.IDs != (runtime.Count{Covered: c.IDs(), Of: c.IDs()}) || got.Positions != (runtime.Count{Covered: c.Context(), Of: c.Context()}) || got.Lacking != "" || got.Batches != "1-12" {
			t.Errorf("%s: %s %s, %+v", p.Name(), r.Verdict, r.Reason, got)
		}
		if isCache(p) && (got.Pairs.Of < 50 || got.Pairs.Covered < got.Pairs.Of*6/10 || !strings.Contains(got.Masks, "holes")) {
			t.Errorf("%s: %+v", p.Name(), got)
		}
		small := verified(8, path)
		if small.Verdict != runtime.Pass || small.Cases >= r.Cases || small.Coverage.IDs.Covered >= got.IDs.Covered && c.IDs() > 8+c.Context() {
			t.Errorf("%s: a budget of 8 gives %d cases, %+v", p.Name(), small.Cases, small.Coverage)
		}
	}
}

// A file in which one id alone has another row is told from the right one by its samples.
func TestForeignIDIsReached(t *testing.T) {
	right := foreignText(t, export.Plain{}, nil)
	table := faultModels(t)["gpt2"]
	ids := []int{table.IDs() / 2}
	if fixtures.Exhaustive() {
		ids = append(ids, 0, table.IDs()-1)
	}
	for _, id := range ids {
		wrong := foreignText(t, export.Plain{}, func(m *onnx.Model) {
			i := slices.IndexFunc(m.Graph.Initializers, func(x *onnx.Tensor) bool { return strings.Contains(x.Name, "wpe") })
			w := slices.IndexFunc(m.Graph.Initializers, func(x *onnx.Tensor) bool { return strings.Contains(x.Name, "wte") && x != m.Graph.Initializers[i] })
			x := m.Graph.Initializers[w]
			x.Raw = slices.Clone(x.Raw)
			at := 4 * id * int(x.Dims[1])
			binary.LittleEndian.PutUint32(x.Raw[at:], math.Float32bits(math.Float32frombits(binary.LittleEndian.Uint32(x.Raw[at:]))+1))
		})
		r, err := VerifyONNX(t.Context(), []string{right, wrong}, VerifyOptions{Seed: 1, Budget: 512, Runtimes: []string{"ort-cpu"}})
		okay(t, err)
		oracle := slices.IndexFunc(r.Results, func(x runtime.Result) bool { return x.File == wrong && x.Runtime == runtime.OracleName })
		if r.Verdict != runtime.Fail || r.Results[oracle].Status != runtime.StatusFail {
			t.Errorf("id %d: %s, %+v", id, r.Verdict, r.Results)
		}
	}
}

// A text of the tokens' table and a past are found by structure.
func TestRolesByStructure(t *testing.T) {
	x, err := readONNX(foreignText(t, export.Cache{}, nil))
	okay(t, err)
	got, ok := x.textsOf(1, 64)
	if !ok || len(got.pasts) != 2*len(faultModels(t)["gpt2"].Attentions()) || len(got.masks) != 1 || got.below[got.tokens.Name] != faultModels(t)["gpt2"].IDs() {
		t.Errorf("%t, pasts %v, masks %v, tokens %s of %v", ok, got.pasts, got.masks, got.tokens.Name, got.below)
	}
	if role.Tokens.Name() == got.tokens.Name {
		t.Error("the names are the usual ones")
	}
}

// A report has the three readings of the closest value, and a receipt its worst node.
func TestReadings(t *testing.T) {
	path := foreignText(t, export.Plain{}, nil)
	to := filepath.Join(t.TempDir(), "receipt.json")
	r, err := VerifyWithReceipt(t.Context(), []string{path}, to, nil, nil, VerifyOptions{Seed: 1, Budget: 64, Runtimes: []string{"ort-cpu"}})
	okay(t, err)
	if r.Results[0].Status == runtime.StatusUnavailable {
		t.Skip(r.Results[0].Reason)
	}
	for _, x := range r.Results {
		got := x.Readings
		if got == nil || !(got.Worst >= got.Executed && got.Executed >= x.MaxAbs/4) || !(got.Probabilistic > x.Bound/3 && got.Probabilistic < 3*x.Bound) || len(got.Parts) == 0 || got.Case == "" {
			t.Errorf("%s: %+v of a bound of %g", x.Runtime, got, x.Bound)
		}
	}
	var text strings.Builder
	okay(t, r.WriteText(&text))
	if strings.Contains(text.String(), "as executed") {
		t.Error("the text has readings that nobody asked for")
	}
	r.Explain = true
	okay(t, r.WriteText(&text))
	if strings.Count(text.String(), ", as executed ") != len(r.Results) {
		t.Error(text.String())
	}
	written, err := receipt.Read(to)
	okay(t, err)
	for _, x := range written.Statement.Predicate.Runtimes {
		if x.WorstNode == nil || x.WorstNode.Value == "" || x.Worst == nil {
			t.Errorf("%+v", x)
		}
	}
}

// Drawn cases of one size have names of their own: a report tells them apart.
func TestDrawnCasesHaveNames(t *testing.T) {
	path := writeModel(t, filepath.Join(t.TempDir(), "fixed.onnx"), &onnx.Graph{Name: "g",
		Inputs:  []onnx.ValueInfo{{Name: "x", DataType: onnx.Float, Dims: []onnx.Dim{{Value: 2}, {Value: 3}}}},
		Nodes:   []*onnx.Node{{Op: "Tanh", Inputs: []string{"x"}, Outputs: []string{"y"}}},
		Outputs: []onnx.ValueInfo{{Name: "y", DataType: onnx.Float, NoShape: true}},
	})
	x, err := readONNX(path)
	okay(t, err)
	cases, err := x.cases(nil, 1)
	okay(t, err)
	seen := map[string]bool{}
	for _, c := range cases {
		seen[c.String()] = true
	}
	if len(seen) != len(foreignCases) {
		t.Errorf("%v", seen)
	}
}
