package attnx

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/diff"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
)

// Comparison lists the differences between two models.
type Comparison struct {
	A        string             `json:"a"` // the compared files
	B        string             `json:"b"`
	Equal    bool               `json:"equal"`
	BySeals  bool               `json:"by_seals"`        // the headers and seals alone show which tensors differ
	Graph    GraphState         `json:"graph,omitempty"` // empty: one of the models has no graph
	Metadata []string           `json:"metadata"`        // names that differ
	Tensors  []TensorDifference `json:"tensors"`         // all tensors of both, in canonical order
}

// GraphState is the result of comparing two graphs.
type GraphState string

// Two graphs are equal if they compute the same: the names of intermediate
// values do not matter.
const (
	GraphEqual   GraphState = "equal"
	GraphChanged GraphState = "changed"
)

// TensorDifference describes how a tensor of two models differs.
type TensorDifference struct {
	Name        string `json:"name"`
	State       string `json:"state"`       // format.Equal, Changed, Reshaped, OnlyA or OnlyB
	A           string `json:"a,omitempty"` // type and shape: "F32[4 8]"
	B           string `json:"b,omitempty"`
	*ValuesDiff        // of a changed tensor, if the values were compared
}

// ValuesDiff measures the difference between the values of two tensors. A
// number that is not finite is nil: one of the values is NaN or infinite.
type ValuesDiff struct {
	Changed  int      `json:"changed"`            // elements
	MaxAbs   *float64 `json:"max_abs,omitempty"`  // the largest |b - a|
	Norm     *float64 `json:"norm,omitempty"`     // Euclidean length of b - a
	Relative *float64 `json:"relative,omitempty"` // that length over the one of a
}

// CompareOptions configure Compare. Without Values it does not read the tensors
// of two sealed files: their seals show which of them differ.
type CompareOptions struct {
	Values bool // read the tensors that differ, and report by how much
	Tell   Tell
}

// Compare compares two models of any kind: checkpoints, runs (the newest
// checkpoint), Hugging Face folders or ONNX files. It matches tensors by name. It
// compares graphs if both models have one.
func Compare(a, b string, o CompareOptions) (Comparison, error) {
	var x Comparison
	var sides [2]side
	for i, path := range []string{a, b} {
		s, err := openSide(path, o.Tell)
		if err != nil {
			return x, err
		}
		defer s.Close()
		sides[i] = s
	}
	return sides[0].compare(sides[1], o.Values)
}

// side is one of the two models.
type side struct {
	*format.Reader
	io.Closer
	path string
	file *onnx.Model // of an ONNX file
}

// openSide opens the model at a path. A Hugging Face folder has other tensor
// names, types and files than a checkpoint, and an ONNX file another format.
// Both are converted to a checkpoint in memory.
func openSide(path string, tell Tell) (s side, err error) {
	if huggingface.IsFolder(path) {
		c, _, err := find.ReadFolder(path, tell)
		if err != nil {
			return s, err
		}
		return inMemory(path, nil, c.Write)
	}
	path = find.ModelIn(path)
	err = find.Again(path, func() error {
		to, err := find.Resolve(path, tell)
		if err != nil {
			return err
		}
		kind, err := find.Expect(to, "a safetensors or ONNX file", find.Safetensors, find.ONNX)
		if err != nil {
			return err
		}
		if kind == find.ONNX {
			s, err = openSideONNX(to)
			return err
		}
		f, err := format.Open(to)
		if err == nil {
			s = side{Reader: f.Reader, Closer: f, path: to}
		}
		return err
	})
	return s, err
}

func openSideONNX(path string) (side, error) {
	m, err := find.ReadModelAs(path, onnx.CheckStructure)
	if err != nil {
		return side{}, err
	}
	return inMemory(path, m, func(w io.Writer) error {
		var tensors []format.Tensor
		for _, t := range m.Graph.Initializers {
			dtype, known := tensorTypes[t.DataType]
			if !known {
				return fmt.Errorf("%s: initializer %.80q: elements of type %s are not compared", path, t.Name, t.DataType)
			}
			raw, err := t.Load(filepath.Dir(path))
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			tensors = append(tensors, format.Tensor{Name: t.Name, DType: dtype, Shape: shapeOf(t.Dims), Data: raw})
		}
		return format.WriteSealed(w, m.Metadata, tensors)
	})
}

// tensorTypes are the types of initializers that have the same bytes in a
// safetensors file.
var tensorTypes = map[onnx.DataType]format.DType{
	onnx.Float: format.Float32, onnx.Double: format.Float64, onnx.Float16: format.Float16, onnx.BFloat16: format.BFloat16,
	onnx.Int64: format.Int64, onnx.Int32: format.Int32, onnx.Int16: format.Int16, onnx.Int8: format.Int8, onnx.Bool: format.Bool,
	onnx.Uint64: format.Uint64, onnx.Uint32: format.Uint32, onnx.Uint16: format.Uint16, onnx.Uint8: format.Uint8,
}

// inMemory returns a side that was written to memory.
func inMemory(path string, m *onnx.Model, write func(io.Writer) error) (s side, err error) {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return s, err
	}
	s = side{Closer: io.NopCloser(nil), path: path, file: m}
	s.Reader, err = format.NewMemoryReader(b.Bytes())
	return s, err
}

func (a side) compare(b side, values bool) (Comparison, error) {
	x := Comparison{A: a.path, B: b.path, BySeals: a.Seal() != nil && b.Seal() != nil, Metadata: []string{}, Tensors: []TensorDifference{}}
	if err := x.graphs(a, b); err != nil {
		return x, err
	}
	ma, mb := a.Metadata(), b.Metadata()
	for _, name := range slices.Sorted(maps.Keys(ma)) {
		if v, ok := mb[name]; !ok || v != ma[name] {
			x.Metadata = append(x.Metadata, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(mb)) {
		if _, ok := ma[name]; !ok {
			x.Metadata = append(x.Metadata, name)
		}
	}
	x.Equal = len(x.Metadata) == 0 && x.Graph != GraphChanged
	tensors, err := format.Diff(a.Reader, b.Reader, values)
	for _, d := range tensors {
		x.Equal = x.Equal && d.State == format.Equal
		x.Tensors = append(x.Tensors, newTensorDifference(d, values))
	}
	return x, err
}

// graphs compares the graphs: the nodes of two ONNX files (CompareONNX lists what
// differs), otherwise the graphs
// that both models contain.
func (x *Comparison) graphs(a, b side) error {
	if a.file != nil && b.file != nil {
		m, err := diff.Match(diff.File{Model: a.file, Dir: filepath.Dir(a.path)}, diff.File{Model: b.file, Dir: filepath.Dir(b.path)})
		if err != nil {
			return fmt.Errorf("%s and %s: %w", a.path, b.path, err)
		}
		found, err := m.Report()
		if err != nil {
			return fmt.Errorf("%s and %s: %w", a.path, b.path, err)
		}
		x.Graph = GraphEqual
		if !found.SameGraph() {
			x.Graph = GraphChanged
		}
		return nil
	}
	same, known, err := model.SameGraphs(a.Reader, b.Reader)
	if same {
		x.Graph = GraphEqual
	} else if known {
		x.Graph = GraphChanged
	}
	return err
}

func newTensorDifference(d format.Difference, values bool) TensorDifference {
	out := TensorDifference{Name: d.Name, State: d.State}
	if d.State != format.OnlyB {
		out.A = fmt.Sprintf("%s%v", d.A.DType, d.A.Shape)
	}
	if d.State != format.OnlyA {
		out.B = fmt.Sprintf("%s%v", d.B.DType, d.B.Shape)
	}
	if d.State == format.Changed && values {
		out.ValuesDiff = &ValuesDiff{d.Changed, finite(d.MaxAbs), finite(d.Norm), finite(d.Norm / d.NormA)}
	}
	return out
}

// finite returns a pointer to v for JSON, nil if v is NaN or infinite.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}
