//go:build cgo

package openvino

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/declared"
)

type tensors = map[string]format.Tensor

// value declares an input or output: a dimension is a number or a name.
func value(name string, dtype onnx.DataType, dims ...any) onnx.ValueInfo {
	v := onnx.ValueInfo{Name: name, DataType: dtype}
	for _, d := range dims {
		switch d := d.(type) {
		case int:
			v.Dims = append(v.Dims, onnx.Dim{Value: int64(d)})
		case string:
			v.Dims = append(v.Dims, onnx.Dim{Open: true, Param: d})
		}
	}
	return v
}

// of returns a model of one node.
func of(op string, in, out []onnx.ValueInfo, attributes ...onnx.Attribute) *onnx.Model {
	n := &onnx.Node{Op: op, Attributes: attributes}
	for _, v := range in {
		n.Inputs = append(n.Inputs, v.Name)
	}
	for _, v := range out {
		n.Outputs = append(n.Outputs, v.Name)
	}
	return &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{Name: "g", Inputs: in, Nodes: []*onnx.Node{n}, Outputs: out}}
}

// encoded returns a model's bytes, whatever is wrong with it.
func encoded(t testing.TB, m *onnx.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// session opens a model, or skips the test where OpenVINO is not installed.
func session(t testing.TB, m *onnx.Model) *Session {
	t.Helper()
	needLibrary(t)
	s, err := Open(runtime.File{Data: encoded(t, m)}, Options{Sleep: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func needLibrary(t testing.TB) {
	t.Helper()
	if _, err := Find(""); err != nil {
		t.Skip(err)
	}
}

// TestIdentity sends the bytes of every type through, in tensors, scalars and
// empty tensors.
func TestIdentity(t *testing.T) {
	needLibrary(t)
	for number, dtype := range declared.ElementTypes {
		if dtype == format.Invalid || number%5 != 1 && !fixtures.Exhaustive() { // float32, int32, float64, bfloat16
			continue
		}
		t.Run(dtype.String(), func(t *testing.T) {
			for _, shape := range [][]int{{2, 3}, {0, 5}, {}} {
				dims := []any{"A", "B"}[:len(shape)]
				x, y := value("x", onnx.DataType(number), dims...), value("y", onnx.DataType(number), dims...)
				s := session(t, of("Identity", []onnx.ValueInfo{x}, []onnx.ValueInfo{y}))
				n, _ := format.Elements(shape)
				in := format.Tensor{DType: dtype, Shape: shape, Data: make([]byte, n*dtype.Size())}
				for i := range in.Data {
					in.Data[i] = byte(i % 2) // valid bools, and no NaN
					if dtype == format.Int64 && i%8 > 3 {
						in.Data[i] = 0 // OpenVINO 2026.4 keeps 32 bits of an int64
					}
				}
				for range 2 {
					out, err := s.Run(tensors{"x": in})
					if err != nil {
						t.Fatalf("shape %v: %v", shape, err)
					}
					if y := out["y"]; y.DType != dtype || !slices.Equal(y.Shape, shape) || !bytes.Equal(y.Data, in.Data) {
						t.Errorf("shape %v: %v became %v", shape, in, y)
					}
				}
			}
		})
	}
}

// embed is a model that looks ids up in a table of three rows.
func embed() *onnx.Model { return embedIn(3) }

func embedIn(n int) *onnx.Model {
	rows := make([]float32, 2*n)
	for i := range rows {
		rows[i] = float32(10*(i/2) + i%2)
	}
	m := of("Gather", []onnx.ValueInfo{value("table", onnx.Float, n, 2), value("ids", onnx.Int64, "B", "T")}, []onnx.ValueInfo{value("rows", onnx.Float, "B", "T", 2)})
	m.Graph.Inputs = m.Graph.Inputs[1:]
	m.Graph.Initializers = []*onnx.Tensor{{Name: "table", DataType: onnx.Float, Dims: []int64{int64(n), 2}, Raw: format.FromFloat32s("", []int{n, 2}, rows).Data}}
	return m
}

func TestShapesVary(t *testing.T) {
	s := session(t, embed())
	for _, shape := range [][]int{{1, 1}, {2, 3}, {2, 3}, {3, 2}, {1, 0}, {2, 3}} {
		n, _ := format.Elements(shape)
		ids, want := make([]int64, n), []float32{}
		for i := range ids {
			ids[i] = int64((i + n) % 3)
			want = append(want, float32(10*ids[i]), float32(10*ids[i]+1))
		}
		out, err := s.Run(tensors{"ids": format.FromInt64s("", shape, ids)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := out["rows"].Float32s()
		if err != nil || !slices.Equal(got, want) || !slices.Equal(out["rows"].Shape, append(slices.Clone(shape), 2)) {
			t.Errorf("ids %v %v: got %v %v, %v", shape, ids, out["rows"].Shape, got, err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	s := session(t, embed())
	good := format.FromInt64s("", []int{1, 2}, []int64{0, 2})
	for _, c := range []struct {
		in   tensors
		want string
	}{
		{nil, `input "ids" is missing; the model takes ids I64[B,T]`},
		{tensors{"ids": good, "mask": good}, `there is no input "mask"`},
		{tensors{"ids": format.FromFloat32s("", []int{1, 1}, []float32{1})}, `input "ids" is F32, the model takes ids I64[B,T]`},
		{tensors{"ids": format.FromInt64s("", []int{2}, []int64{0, 2})}, `input "ids" has shape [2]`},
		{tensors{"ids": format.FromInt64s("", []int{1, 2}, []int64{0, 3})}, `model: ids[0,1] is 3: it must be from 0 to 2`},
		{tensors{"ids": format.FromInt64s("", []int{1, 2}, []int64{-1, 0})}, `ids[0,0] is -1: it must be from 0 to 2`},
	} {
		if _, err := s.Run(c.in); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
	out, err := s.Run(tensors{"ids": good})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if rows, err := out["rows"].Float32s(); err != nil || !slices.Equal(rows, []float32{0, 1, 20, 21}) {
		t.Errorf("after the refusals and Close: %v, %v", rows, err)
	}
	if _, err := s.Run(tensors{"ids": good}); err == nil || !strings.Contains(err.Error(), "the session is closed") {
		t.Errorf("Run after Close: %v", err)
	}
}

// A C++ exception is an error on one line, and the process goes on.
func TestHostileModels(t *testing.T) {
	needLibrary(t)
	x, y := []onnx.ValueInfo{value("x", onnx.Float, "N")}, []onnx.ValueInfo{value("y", onnx.Float, "N")}
	with := func(m *onnx.Model, change func(*onnx.Graph)) *onnx.Model { change(m.Graph); return m }
	weighted := func(dims []int64, bytes int) *onnx.Model {
		return with(of("Add", append(x[:1:1], value("w", onnx.Float, "N")), y), func(g *onnx.Graph) {
			g.Inputs = x
			g.Initializers = []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: dims, Raw: make([]byte, bytes)}}
		})
	}
	for name, m := range map[string]*onnx.Model{
		"an unknown operator":       of("Frobnicate", x, y),
		"an axis far away":          of("Softmax", x, y, onnx.Attribute{Name: "axis", Int: 99, Type: onnx.AttrInt}),
		"a missing argument":        of("Add", x, y),
		"an argument from nowhere":  with(of("Add", append(x[:1:1], value("nowhere", onnx.Float)), y), func(g *onnx.Graph) { g.Inputs = x }),
		"a name of a megabyte":      with(of("Add", append(x[:1:1], value(strings.Repeat("\x1b[2J\n", 1<<18), onnx.Float)), y), func(g *onnx.Graph) { g.Inputs = x }),
		"an operator of a megabyte": of(strings.Repeat("a", 1<<20), x, y),
		"no nodes":                  with(of("Relu", x, y), func(g *onnx.Graph) { g.Nodes = nil }),
		"a weight that is short":    weighted([]int64{8}, 3),
		"a weight of 2^60 elements": weighted([]int64{1 << 30, 1 << 30}, 4),
		"a weight that overflows":   weighted([]int64{1 << 62, 1 << 62}, 4),
		"a weight of -2 elements":   weighted([]int64{-2}, 8),
	} {
		s, err := Open(runtime.File{Data: encoded(t, m)}, Options{})
		if err == nil {
			_, err = s.Run(tensors{"x": format.FromFloat32s("", []int{2}, []float32{1, 2})})
			s.Close()
		}
		if err == nil || len(err.Error()) > 5000 || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %.300q", name, err)
		}
	}
	for name, data := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "half": encoded(t, embed())[:40]} {
		if _, err := Open(runtime.File{Data: data}, Options{}); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(runtime.File{Path: filepath.Join(t.TempDir(), "none.onnx")}, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Weights in a file beside the model are read by the model's path.
func TestExternalWeights(t *testing.T) {
	needLibrary(t)
	m, write := onnx.Externalize(embedIn(1000), "weights.bin")
	dir := filepath.Join(t.TempDir(), "ein Ordner")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var weights bytes.Buffer
	path := filepath.Join(dir, "model.onnx")
	err := errors.Join(write(&weights), os.WriteFile(path, encoded(t, m), 0o666))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Open(runtime.File{Path: path}, Options{}); err == nil {
		out, err := s.Run(tensors{"ids": format.FromInt64s("", []int{1, 1}, []int64{2})})
		t.Errorf("it opens without its weights, and gives %v, %v", out, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "weights.bin"), weights.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := Open(runtime.File{Path: path}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(tensors{"ids": format.FromInt64s("", []int{1, 1}, []int64{2})})
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := out["rows"].Float32s(); err != nil || !slices.Equal(rows, []float32{20, 21}) {
		t.Errorf("%v, %v", rows, err)
	}
}

func TestConcurrent(t *testing.T) {
	s := session(t, embed())
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				id := int64((g + i) % 3)
				out, err := s.Run(tensors{"ids": format.FromInt64s("", []int{1, 1}, []int64{id})})
				if err != nil {
					t.Error(err)
					return
				}
				if v, err := out["rows"].Float32s(); err != nil || v[0] != float32(10*id) {
					t.Errorf("id %d gave %v, %v", id, v, err)
				}
			}
		})
	}
	wg.Wait()
}

// A session that is dropped without Close is freed.
func TestDropped(t *testing.T) {
	needLibrary(t)
	freed := make(chan bool, 1)
	func() {
		s, err := Open(runtime.File{Data: encoded(t, embed())}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		h := s.held
		goruntime.AddCleanup(s, func(h *held) { freed <- true }, h)
	}()
	for {
		goruntime.GC()
		select {
		case <-freed:
			return
		default:
		}
	}
}

// The default precision is bfloat16 where the processor has instructions for it;
// the plain runtime computes in float32 everywhere.
func TestPrecision(t *testing.T) {
	needLibrary(t)
	const n = 64
	x, w := make([]float32, n*n), make([]float32, n*n)
	for i := range x {
		x[i], w[i] = 1+float32(i%n)/1024, 1-float32(i/n)/1024
	}
	m := of("MatMul", []onnx.ValueInfo{value("x", onnx.Float, n, n), value("w", onnx.Float, n, n)}, []onnx.ValueInfo{value("y", onnx.Float, n, n)})
	m.Graph.Inputs = m.Graph.Inputs[:1]
	m.Graph.Initializers = []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: []int64{n, n}, Raw: format.FromFloat32s("", []int{n, n}, w).Data}}
	off := func(level string) (worst float64) {
		s, err := Runtime.Open(runtime.File{Data: encoded(t, m)}, runtime.Options{Level: level})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.Run(tensors{"x": format.FromFloat32s("", []int{n, n}, x)})
		if err != nil {
			t.Fatal(err)
		}
		y, err := out["y"].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for j := range n {
				sum := 0.0
				for k := range n {
					sum += float64(x[i*n+k]) * float64(w[k*n+j])
				}
				worst = max(worst, sum-float64(y[i*n+j]), float64(y[i*n+j])-sum)
			}
		}
		return worst
	}
	if worst := off(""); worst > 1e-4 {
		t.Errorf("in float32 it is off by %g", worst)
	}
	t.Logf("as it comes it is off by %g", off(Default))
	if _, err := Runtime.Open(runtime.File{}, runtime.Options{Level: "all"}); err == nil || !strings.Contains(err.Error(), `no level "all"`) {
		t.Errorf("an unknown level: %v", err)
	}
	if _, err := Runtime.Open(runtime.File{}, runtime.Options{Device: "cuda"}); err == nil || !strings.Contains(err.Error(), "on the CPU") {
		t.Errorf("another device: %v", err)
	}
}

func TestMessages(t *testing.T) {
	text := "general error: Exception from src/inference/src/cpp/core.cpp:84: Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:\nFrontEnd API failed with OpConversionFailure:\nModel wasn't fully converted. Summary:\n-- No conversion rule found for operations: Adagrad\n"
	if got, want := oneLine(text), "it has no operator Adagrad"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestDiagnose reports the library and its version, or what is missing.
func TestDiagnose(t *testing.T) {
	for _, f := range Diagnose("") {
		if f.Detail == "" || (f.Status == runtime.Healthy) != (f.Remedy == "") {
			t.Errorf("%+v", f)
		}
	}
	missing := Diagnose(filepath.Join(t.TempDir(), "none.so"))
	if text, err := json.Marshal(missing); err != nil || missing[0].Status != runtime.Absent || !strings.Contains(string(text), "none.so: no such file") {
		t.Errorf("%s, %v", text, err)
	}
	if err := Runtime.Available(runtime.Options{Library: "none.so"}); !errors.Is(err, runtime.ErrUnavailable) {
		t.Error(err)
	}
}
