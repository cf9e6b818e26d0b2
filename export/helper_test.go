package export_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/ort/library"
	"github.com/attnx/attnx/runtime/ref"
)

const vocab, longest = 31, 12

// The architectures that attnx ships.
const gpt2, simple = "gpt2", "simple"

// config returns a small network of an architecture.
func config(name string, heads int) nn.Network { return sized(name, heads, 16, 24) }

func sized(name string, heads, width, inner int) nn.Network {
	if name == simple {
		return arch.Simple{Vocab: vocab, Context: longest, Width: width, Heads: heads, Inner: inner, Positions: true}
	}
	return arch.GPT2{Vocab: vocab, Context: longest, Width: width, Layers: 2, Heads: heads, Inner: inner, Epsilon: 1e-5}
}

// network returns the graph of a network and weights far enough from zero that
// every term counts: first weights of gpt2 leave its logits near zero.
func network(t testing.TB, n nn.Network) (*graph.Graph, model.Weights) {
	t.Helper()
	c, err := model.New(n, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range c.Weights {
		v, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		add := make([]float32, len(v))
		model.NewStream(6, x.Name).FillNormal(add, 0.2)
		for j := range v {
			v[j] += add[j]
		}
		c.Weights[i] = format.FromFloat32s(x.Name, x.Shape, v)
	}
	return c.Graph, c.Weights
}

// written returns a graph with its weights as an ONNX model.
func written(t testing.TB, g *graph.Graph, w []format.Tensor, p export.Profile) *onnx.Model {
	t.Helper()
	m, err := export.Model(g, w, p)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// onnxRuntime returns ONNX Runtime, or skips the test.
func onnxRuntime(t *testing.T) string {
	t.Helper()
	lib, err := library.FindOrInstall(context.Background(), "", nil)
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	return lib.Path
}

func run(t *testing.T, s runtime.Session, inputs map[string]format.Tensor) map[string]format.Tensor {
	t.Helper()
	out, err := s.Run(inputs)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func oracle(t *testing.T, g *graph.Graph, w []format.Tensor) *ref.Oracle {
	t.Helper()
	o, err := ref.New(g, w)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// within fails unless got is within runtime.Compare's bound of want.
func within(t *testing.T, what string, want, got format.Tensor) {
	t.Helper()
	if d := runtime.CompareWithin(1e-4, want, got); !d.Within {
		t.Errorf("%s: off by %g: %s %v", what, d.MaxAbs, d.Reason, d.FirstBad)
	}
}

// variant is a form in which the networks are exported.
type variant struct {
	name     string
	profile  export.Profile
	external bool
}

var variants = []variant{
	{"plain-17", export.Plain{}, false},
	{"plain-18", export.Plain{Opset: 18}, false},
	{"plain-21", export.Plain{Opset: 21}, false},
	{"flat-12", export.Flat{}, false},
	{"flat-9", export.Flat{Opset: 9, Length: 5}, false},
	{"external", export.Plain{}, true},
}

// write exports a network to a file in dir.
func (v variant) write(t *testing.T, dir string, g *graph.Graph, w []format.Tensor, metadata ...map[string]string) (string, export.Summary) {
	t.Helper()
	limit := int64(1 << 40)
	if v.external {
		limit = 1000
	}
	path := filepath.Join(dir, v.name+".onnx")
	sum, err := export.FileWithLimit(path, limit, g, w, v.profile, metadata...)
	if err != nil {
		t.Fatal(err)
	}
	return path, sum
}

// text returns a writer of the given bytes.
func text(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}
