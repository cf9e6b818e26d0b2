package attnx

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort"
	"github.com/attnx/attnx/runtime/ort/library"
)

// surgeon adds nodes to a model.
type surgeon struct {
	*onnx.Model
	n int
}

// constant adds an int64 initializer and returns its name.
func (s *surgeon) constant(v ...int64) string {
	s.n++
	t := &onnx.Tensor{Name: "fault.constant" + string(rune('a'+s.n)), DataType: onnx.Int64, Dims: []int64{int64(len(v))}}
	for _, x := range v {
		t.Raw = binary.LittleEndian.AppendUint64(t.Raw, uint64(x))
	}
	s.Graph.Initializers = append(s.Graph.Initializers, t)
	return t.Name
}

// number adds a float32 scalar.
func (s *surgeon) number(x float32) string {
	s.n++
	t := &onnx.Tensor{Name: "fault.number" + string(rune('a'+s.n)), DataType: onnx.Float, Raw: binary.LittleEndian.AppendUint32(nil, math.Float32bits(x))}
	s.Graph.Initializers = append(s.Graph.Initializers, t)
	return t.Name
}

// node puts a node in front of the one that gives the value before, and
// returns its result.
func (s *surgeon) node(before, op string, inputs []string, attrs ...onnx.Attribute) string {
	s.n++
	out := "fault." + op + string(rune('a'+s.n))
	i := slices.IndexFunc(s.Graph.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, before) })
	s.Graph.Nodes = slices.Insert(s.Graph.Nodes, i, &onnx.Node{Op: op, Name: out, Inputs: inputs, Outputs: []string{out}, Attributes: attrs})
	return out
}

// maker returns the node that gives a value.
func (s *surgeon) maker(value string) *onnx.Node {
	return s.Graph.Nodes[slices.IndexFunc(s.Graph.Nodes, func(n *onnx.Node) bool { return slices.Contains(n.Outputs, value) })]
}

// size returns the size of an axis of a value.
func (s *surgeon) size(before, value string, axis int64) string {
	return s.node(before, "Shape", []string{value}, onnx.IntAttr("start", axis), onnx.IntAttr("end", axis+1))
}

// where makes the first factor of the logits a tenth larger where a condition,
// one truth value or one for each row, holds.
func (s *surgeon) where(condition func(before string) string) {
	head := s.maker("logits")
	larger := s.node("logits", "Mul", []string{head.Inputs[0], s.number(1.1)})
	head.Inputs[0] = s.node("logits", "Where", []string{condition("logits"), larger, head.Inputs[0]})
}

// runFault is a fault that only certain inputs show.
type runFault struct {
	form  string
	at    string // the value where it begins; "" where it is a new one
	apply func(s *surgeon)
}

var runFaults = map[string]runFault{
	"positions from the mask's sums": {"cache", "positions", func(s *surgeon) {
		sums := s.node("positions", "CumSum", []string{"attention_mask", s.constant(1)})
		before := s.node("positions", "Sub", []string{sums, s.constant(1)})
		last := s.node("positions", "Neg", []string{s.size("positions", "input_ids", 1)})
		s.maker("positions").Inputs[1] = s.node("positions", "Slice", []string{before, last, s.constant(math.MaxInt64), s.constant(1)})
	}},
	"no causality behind a past": {"cache", "h.0.attn.bias", func(s *surgeon) {
		at := "h.0.attn.and_1"
		behind := s.node(at, "Greater", []string{s.size(at, "past_key_values.0.key", 2), s.constant(0)})
		n := s.maker(at)
		n.Inputs[0] = s.node(at, "Or", []string{n.Inputs[0], behind})
	}},
	"rows of the causal mask from 0 on for several tokens": {"cache", "h.0.attn.bias", func(s *surgeon) {
		rows := s.maker("h.0.attn.rows")
		at := rows.Outputs[0]
		tokens := s.size(at, "input_ids", 1)
		single := s.node(at, "Equal", []string{tokens, s.constant(1)})
		from := s.node(at, "Where", []string{single, rows.Inputs[1], s.constant(0)})
		rows.Inputs[2] = s.node(at, "Add", []string{from, tokens})
		rows.Inputs[1] = from
	}},
	"a batch of more than 8": {"cache", "logits", func(s *surgeon) {
		s.where(func(b string) string { return s.node(b, "Greater", []string{s.size(b, "input_ids", 0), s.constant(8)}) })
	}},
	"a batch of more than 8, without a past": {"plain", "logits", func(s *surgeon) {
		s.where(func(b string) string { return s.node(b, "Greater", []string{s.size(b, "input_ids", 0), s.constant(8)}) })
	}},
	"a text of 9 tokens": {"plain", "logits", func(s *surgeon) {
		s.where(func(b string) string { return s.node(b, "Equal", []string{s.size(b, "input_ids", 1), s.constant(9)}) })
	}},
	"a past of 9 columns": {"cache", "logits", func(s *surgeon) {
		s.where(func(b string) string {
			return s.node(b, "Equal", []string{s.size(b, "past_key_values.0.key", 2), s.constant(9)})
		})
	}},
	"one id": {"plain", "logits", func(s *surgeon) {
		s.where(func(b string) string {
			one := s.node(b, "Equal", []string{"input_ids", s.constant(17)})
			return s.node(b, "Unsqueeze", []string{one, s.constant(2)})
		})
	}},
	"padding of more than 3 columns": {"cache", "logits", func(s *surgeon) {
		s.where(func(b string) string {
			seen := s.node(b, "ReduceSum", []string{"attention_mask", s.constant(1)}, onnx.IntAttr("keepdims", 0))
			hidden := s.node(b, "Sub", []string{s.size(b, "attention_mask", 1), seen})
			most := s.node(b, "ReduceMax", []string{hidden, s.constant(0)}, onnx.IntAttr("keepdims", 0))
			return s.node(b, "Greater", []string{most, s.constant(3)})
		})
	}},
	"a hole between tokens": {"cache", "logits", func(s *surgeon) {
		s.where(func(b string) string {
			left := s.node(b, "Slice", []string{"attention_mask", s.constant(0), s.constant(-1), s.constant(1)})
			right := s.node(b, "Slice", []string{"attention_mask", s.constant(1), s.constant(math.MaxInt64), s.constant(1)})
			change := s.node(b, "Cast", []string{s.node(b, "Sub", []string{left, right})}, onnx.IntAttr("to", int64(onnx.Float)))
			falls := s.node(b, "ReduceSum", []string{s.node(b, "Relu", []string{change}), s.constant(0, 1)}, onnx.IntAttr("keepdims", 0))
			return s.node(b, "Greater", []string{falls, s.number(0)})
		})
	}},
	"no bias, value_info as it was": {"plain", "h.1.split_1", func(s *surgeon) {
		s.drop("h.1.attn.c_attn")
	}},
	"no bias, float16": {"float16", "h.1.split_1", func(s *surgeon) {
		s.drop("h.1.attn.c_attn")
	}},
	"scores twice as large, float16": {"float16", "h.1.attn.mul_1", func(s *surgeon) {
		n := s.maker("h.1.attn.mul_1")
		n.Inputs[0] = s.node("h.1.attn.mul_1", "Add", []string{n.Inputs[0], n.Inputs[0]})
	}},
	"another weight, float16": {"float16", "h.0.matmul_3", func(s *surgeon) { s.double("h.0.mlp.c_fc.weight") }},
	"another weight, everything renamed": {"plain", "h.0.matmul_3", func(s *surgeon) {
		s.double("h.0.mlp.c_fc.weight")
		renamed(s.Model, true, true)
	}},
	"another weight, cache": {"cache", "h.1.matmul_3", func(s *surgeon) { s.double("h.1.mlp.c_fc.weight") }},
	"another weight, fused": {"fused", "h.1.matmul_3", func(s *surgeon) { s.double("h.1.mlp.c_fc.weight") }},
	"keys in the place of values, cache float16": {"cache float16", "h.0.attn", func(s *surgeon) {
		s.maker("h.0.attn").Inputs[1] = "present.0.key"
	}},
	"a chunk sees one token too few, fused": {"fused", "", func(s *surgeon) {
		cast := s.maker("seqlens_k")
		tokens := s.size("seqlens_k", "input_ids", 1)
		several := s.node("seqlens_k", "Greater", []string{tokens, s.constant(1)})
		past := s.node("seqlens_k", "Greater", []string{s.node("seqlens_k", "Sub", []string{s.node("seqlens_k", "Add", []string{cast.Inputs[0], s.constant(1)}), tokens}), s.constant(0)})
		both := s.node("seqlens_k", "And", []string{several, past})
		as := s.node("seqlens_k", "Cast", []string{both}, onnx.IntAttr("to", int64(onnx.Int64)))
		cast.Inputs[0] = s.node("seqlens_k", "Sub", []string{cast.Inputs[0], as})
	}},
}

// drop removes a node; its readers read its first input.
func (s *surgeon) drop(value string) {
	n := s.maker(value)
	s.Graph.Nodes = slices.DeleteFunc(s.Graph.Nodes, func(x *onnx.Node) bool { return x == n })
	for _, reader := range s.Graph.Nodes {
		for i, in := range reader.Inputs {
			if in == value {
				reader.Inputs[i] = n.Inputs[0]
			}
		}
	}
}

// double doubles a weight of 32 or 16 bits.
func (s *surgeon) double(name string) {
	t := s.Graph.Initializers[slices.IndexFunc(s.Graph.Initializers, func(t *onnx.Tensor) bool { return t.Name == name })]
	switch t.DataType {
	case onnx.Float:
		for i := 0; i < len(t.Raw); i += 4 {
			binary.LittleEndian.PutUint32(t.Raw[i:], math.Float32bits(2*math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[i:]))))
		}
	case onnx.Float16:
		for i := 0; i < len(t.Raw); i += 2 {
			if x := binary.LittleEndian.Uint16(t.Raw[i:]); x&0x7c00 != 0 {
				binary.LittleEndian.PutUint16(t.Raw[i:], x+0x400)
			}
		}
	}
}

// TestFaultsThatRunsShow puts faults into files that runs on the right inputs
// show, whatever the comparison with what export writes says of them: no
// causality in a chunk, a batch or a length between the usual ones, padding,
// holes, positions apart from the mask. They are located where they begin.
func TestFaultsThatRunsShow(t *testing.T) {
	path, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(library.EnvLibrary, path)
	c := faultModel(t, "gpt2")
	dir := t.TempDir()
	for i, name := range slices.Sorted(maps.Keys(runFaults)) {
		if i%fixtures.Stride(3) != 0 {
			continue
		}
		f := runFaults[name]
		t.Run(name, func(t *testing.T) {
			m, _, err := ExportModel(c, faultForms[f.form])
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range m.Graph.Initializers {
				x.Raw = slices.Clone(x.Raw)
			}
			f.apply(&surgeon{Model: m})
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "_")+".onnx")
			if err := writeTo(file, m.Encode); err != nil {
				t.Fatal(err)
			}
			r := runOne(t, c, file, faultForms[f.form])
			if r.Status != runtime.StatusFail {
				t.Fatalf("not seen: %+v", r)
			}
			if r.FirstDifference != f.at && f.at != "" || strings.Contains(r.Reason, "finding the first difference") {
				t.Errorf("located at %q, not at %q: %s", r.FirstDifference, f.at, r.Reason)
			}
		})
	}
}

// TestRightFilesRun runs the forms that the faults are put into, without one.
func TestRightFilesRun(t *testing.T) {
	path, err := onnxRuntime(t)
	if err != nil {
		t.Skip(err)
	}
	t.Setenv(library.EnvLibrary, path)
	c := faultModel(t, "gpt2")
	for name, f := range faultForms {
		if f.Numbers().Quantize != "" || f == (export.Flat{}) {
			continue
		}
		file := filepath.Join(t.TempDir(), "right.onnx")
		m, _, err := ExportModel(c, f)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeTo(file, m.Encode); err != nil {
			t.Fatal(err)
		}
		r := runOne(t, c, file, f)
		if r.Status != runtime.StatusOK {
			t.Errorf("%s: %+v", name, r)
		}
		// A bound that is far above every error would miss faults.
		if r.BoundRatio < 1.5 || r.BoundRatio > 15 {
			t.Errorf("%s: the bound is %.3g times the error", name, r.BoundRatio)
		}
		t.Logf("%s: bound/error %.2f", name, r.BoundRatio)
	}
}

// runOne runs a file in ONNX Runtime, as it is written.
func runOne(t *testing.T, c *model.Checkpoint, file string, f export.Profile) runtime.Result {
	t.Helper()
	v, err := newVerification(c, []string{file}, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	on := entrant{row{Runtime: ort.Runtime}, "cpu", f}
	candidate := v.candidate(on, true)
	if isCache(f) {
		candidate = v.cachedCandidates(on, true)[0]
	}
	oracle, err := v.oracle(isCache(f))
	if err != nil {
		t.Fatal(err)
	}
	report, err := runtime.Verify(context.Background(), oracle, []runtime.Candidate{candidate}, runtime.Cases(c.Vocab(), c.Context(), 1))
	if err != nil {
		t.Fatal(err)
	}
	return report.Results[0]
}

// onnxRuntime finds ONNX Runtime, or fetches it.
func onnxRuntime(t *testing.T) (path string, err error) {
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	return lib.Path, err
}

func writeTo(path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o666)
}
