package attnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/read"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime/ref"
)

// rightNodes is the share of the node tests that must be right, in percent of those
// that count: raised as operators are added, never lowered.
const rightNodes = 98

// verdict is what became of one test of ONNX's backend suite.
type verdict struct {
	version, kind, name string
	operator            string // of the first node
	right               bool
	apart               string // why the test does not count: it holds no tensors
	refused             string // the operator or feature that is not read
	reason              string
	wrong               string
	crashed             bool // it ended the process of a runtime
}

// TestSuite runs ONNX's backend suite through the reader and the oracle, with the
// suite's own tolerances. A test is right, refused by the operator's name, or
// wrong; none may be wrong. ATTNX_ONNX_SUITE names folders in the form of the
// suite's data (node/test_add/model.onnx and so on); otherwise the Python package
// onnx generates them. With ATTNX_WRITE_SUITE=1 the table in fixtures/onnx-suite.md
// is written.
func TestSuite(t *testing.T) {
	var all []verdict
	for _, folder := range suites(t) {
		models, err := filepath.Glob(filepath.Join(folder, "*", "*", "model.onnx"))
		if err != nil || len(models) == 0 {
			t.Fatalf("%s: no models: %v", folder, err)
		}
		if !fixtures.Exhaustive() && os.Getenv("ATTNX_WRITE_SUITE") == "" { // large networks: seconds each
			models = slices.DeleteFunc(models, func(path string) bool { return filepath.Base(filepath.Dir(filepath.Dir(path))) == "light" })
		}
		results := make([]verdict, len(models))
		t.Run(filepath.Base(folder), func(t *testing.T) {
			for i, path := range models {
				dir := filepath.Dir(path)
				t.Run(filepath.Base(dir), func(t *testing.T) {
					t.Parallel()
					results[i] = judge(dir)
					results[i].version = filepath.Base(folder)
					if results[i].wrong != "" {
						t.Errorf("WRONG: %s", results[i].wrong)
					} else if testing.Verbose() && results[i].reason != "" {
						t.Log(results[i].reason)
					}
				})
			}
		})
		for _, v := range results {
			if v.name != "" { // it ran: -run may leave some out
				all = append(all, v)
			}
		}
	}
	report(t, all)
}

// suites returns the folders of the suite's data.
func suites(t *testing.T) []string {
	if folders := os.Getenv("ATTNX_ONNX_SUITE"); folders != "" {
		return filepath.SplitList(folders)
	}
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" {
		t.Skip("set ATTNX_ONNX_SUITE to folders of ONNX's backend suite, or ATTNX_PYTHON to a Python with onnx, which generates it")
	}
	folder := filepath.Join(t.TempDir(), "generated")
	if out, err := exec.Command(python, "-B", filepath.Join("fixtures", "oracle", "onnx_suite.py"), folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %.2000s", err, out)
	}
	return []string{folder}
}

// mistaken are tests of a version whose data are not what ONNX says.
var mistaken = map[string]string{
	"1.17.0/node/test_qlinearmatmul_2D_int8_float16": wraps,
	"1.17.0/node/test_qlinearmatmul_2D_int8_float32": wraps,
	"1.17.0/node/test_qlinearmatmul_3D_int8_float16": wraps,
	"1.17.0/node/test_qlinearmatmul_3D_int8_float32": wraps,

	"1.17.0/node/test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True": "counts elements beyond the pads; 1.23.2 and ONNX Runtime do not",
	"1.17.0/node/test_dft_inverse":            rounds,
	"1.17.0/node/test_dft_inverse_opset19":    rounds,
	"1.23.2/node/test_dft_inverse":            rounds,
	"1.23.2/node/test_dft_inverse_opset19":    rounds,
	"generated/node/test_dft_inverse":         rounds,
	"generated/node/test_dft_inverse_opset19": rounds,
}

const (
	wraps  = "wraps where ONNX and ONNX Runtime saturate; 1.23.2 saturates"
	rounds = "computed in float32: off by 1.5e-6 where the result is 0 and the tolerance 1e-7"
)

// judge runs one test.
func judge(dir string) verdict {
	v := verdict{kind: filepath.Base(filepath.Dir(dir)), name: filepath.Base(dir)}
	m, err := onnx.DecodeFile(filepath.Join(dir, "model.onnx"))
	if err != nil {
		v.wrong = err.Error()
		return v
	}
	sets := v.about(m, dir)
	if v.apart != "" {
		return v
	}
	rtol, atol := tolerances(dir)
	for _, set := range sets {
		if err := runSet(m, dir, set, rtol, atol); err != nil {
			v.classify(err)
			return v
		}
	}
	v.right = true
	return v
}

// about records the operator of a test, and why it does not count. It returns the
// folders of the data.
func (v *verdict) about(m *onnx.Model, dir string) (sets []string) {
	if len(m.Graph.Nodes) > 0 {
		v.operator = m.Graph.Nodes[0].Op
	}
	if v.apart = noTensors(m); v.apart != "" {
		return nil
	}
	if v.apart = mistaken[strings.Join([]string{filepath.Base(filepath.Dir(filepath.Dir(dir))), v.kind, v.name}, "/")]; v.apart != "" {
		return nil
	}
	if v.apart = disagrees(v.name, m); v.apart != "" {
		return nil
	}
	sets, err := filepath.Glob(filepath.Join(dir, "test_data_set_*"))
	if err != nil || len(sets) == 0 {
		v.apart = "no data"
	}
	return sets
}

// classify sorts an error: what is not read is refused, all else is wrong.
func (v *verdict) classify(err error) {
	var unsupported *read.UnsupportedError
	var open *read.OpenError
	v.reason = err.Error()
	switch {
	case errors.As(err, &unsupported):
		v.refused = unsupported.Operator
	case errors.As(err, &open):
		v.refused = open.Operator
	default:
		v.wrong, v.reason = err.Error(), ""
		return
	}
	if v.refused == "" {
		v.refused = "(no operator)"
	}
}

// noTensors returns why a model does not hold tensors alone.
func noTensors(m *onnx.Model) string {
	for _, list := range [][]onnx.ValueInfo{m.Graph.Inputs, m.Graph.Outputs} {
		for _, info := range list {
			switch {
			case info.Other != nil && info.Other.Kind == onnx.SequenceType:
				return "sequences"
			case info.Other != nil:
				return "optional and other values"
			case info.DataType == onnx.String:
				return "strings"
			case info.DataType == onnx.Complex64 || info.DataType == onnx.Complex128:
				return "complex numbers"
			}
		}
	}
	for _, n := range m.Graph.Nodes {
		if slices.Contains([]string{"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}, n.Op) {
			return "random draws"
		}
	}
	return ""
}

// disagrees returns why the outputs of a test are not those of its model.
func disagrees(name string, m *onnx.Model) string {
	hasEpsilon := func(a onnx.Attribute) bool { return a.Name == "epsilon" }
	if name == "test_adam_multiple" && !slices.ContainsFunc(m.Graph.Nodes[0].Attributes, hasEpsilon) {
		return "outputs made with an epsilon that the model lacks" // until onnx 1.18; later files have it
	}
	return ""
}

// tolerances returns the suite's tolerances of a test.
func tolerances(dir string) (rtol, atol float64) {
	data := struct{ Rtol, Atol *float64 }{}
	if text, err := os.ReadFile(filepath.Join(dir, "data.json")); err == nil {
		_ = json.Unmarshal(text, &data)
	}
	rtol, atol = 1e-3, 1e-7
	if data.Rtol != nil {
		rtol = *data.Rtol
	}
	if data.Atol != nil {
		atol = *data.Atol
	}
	return rtol, atol
}

// runSet runs a model on one set of inputs and compares the outputs.
func runSet(m *onnx.Model, dir, set string, rtol, atol float64) error {
	inputs, err := inputsOfSet(m, set)
	if err != nil {
		return err
	}
	r, err := readFor(m, dir, inputs)
	if err != nil {
		return err
	}
	if err := textIsExact(r.Graph); err != nil {
		return err
	}
	oracle, err := ref.New(r.Graph, r.Weights)
	if err != nil {
		return err
	}
	given := map[string]format.Tensor{}
	for _, in := range r.Graph.Inputs {
		given[in.Name] = inputs[in.Name]
	}
	got, err := oracle.Run(given)
	if err != nil {
		return err
	}
	return compareSet(m, set, rtol, atol, func(i int) (format.Tensor, format.DType) {
		out := r.Graph.Outputs[i]
		return got[out.Name], out.Value.DType
	})
}

// inputsOfSet reads the inputs of a set.
func inputsOfSet(m *onnx.Model, set string) (map[string]format.Tensor, error) {
	inputs := map[string]format.Tensor{}
	for i, in := range m.Graph.Inputs {
		path := filepath.Join(set, fmt.Sprintf("input_%d.pb", i))
		if _, err := os.Stat(path); err != nil {
			break
		}
		t, err := protoTensor(path)
		if err != nil {
			return nil, err
		}
		if at := slices.IndexFunc(m.Graph.Inputs, func(v onnx.ValueInfo) bool { return v.Name == t.Name }); at >= 0 {
			in = m.Graph.Inputs[at] // files of IR 3 list their initializers among the inputs
		}
		inputs[in.Name] = asDeclared(t.WithName(in.Name), in)
	}
	return inputs, nil
}

// compareSet compares outputs with those of a set: got returns output i and its
// type in the model.
func compareSet(m *onnx.Model, set string, rtol, atol float64, got func(i int) (format.Tensor, format.DType)) error {
	for i, out := range m.Graph.Outputs {
		want, err := protoTensor(filepath.Join(set, fmt.Sprintf("output_%d.pb", i)))
		if err != nil {
			return err
		}
		x, dtype := got(i)
		if err := sameTensor(x, dtype, asDeclared(want, out), rtol, atol); err != nil {
			return fmt.Errorf("output %s: %w", out.Name, err)
		}
	}
	return nil
}

// textIsExact reports a graph whose text is not read as the same graph.
func textIsExact(g *graph.Graph) error {
	var printed, again strings.Builder
	if err := graph.Print(&printed, g); err != nil {
		return err
	}
	parsed, err := graph.Parse(printed.String())
	if err != nil {
		return err
	}
	if err := graph.Print(&again, parsed); err != nil {
		return err
	}
	if printed.String() != again.String() {
		return fmt.Errorf("the text of the graph is read as another one")
	}
	return nil
}

// asDeclared mends data of the older suite, which has the bits of bfloat16 as
// uint16.
func asDeclared(t format.Tensor, info onnx.ValueInfo) format.Tensor {
	if info.DataType == onnx.BFloat16 && t.DType == format.Uint16 {
		t.DType = format.BFloat16
	}
	return t
}

// sameTensor compares as the suite does: |got - want| ≤ atol + rtol·|want|, in
// want's element type. dtype is that of the graph: the oracle carries more digits.
func sameTensor(got format.Tensor, dtype format.DType, want format.Tensor, rtol, atol float64) error {
	if dtype != want.DType || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("it is %s%v, expected %s%v", dtype, got.Shape, want.DType, want.Shape)
	}
	if bits, _ := want.DType.Integer(); bits > 0 || want.DType == format.Bool {
		rtol, atol = 0, 0
	}
	if want.DType == format.BFloat16 {
		rtol = max(rtol, 1.0/64)
	}
	x, err := got.AsFloat64s()
	if err != nil {
		return err
	}
	y, err := want.AsFloat64s()
	if err != nil {
		return err
	}
	for i := range y {
		v := x[i]
		if dtype.Float() {
			v = dtype.Round(v)
		}
		if v == y[i] || math.IsNaN(v) && math.IsNaN(y[i]) || math.Abs(v-y[i]) <= atol+rtol*math.Abs(y[i]) {
			continue
		}
		return fmt.Errorf("element %v is %g, expected %g", format.Index(i, want.Shape), v, y[i])
	}
	return nil
}
