package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/model/nn"
)

// activations holds the functions between the two layers of a feed-forward
// network, by transformers' names. Names of one function differ only in how
// PyTorch computes it.
var activations = map[string]func(b *nn.Builder, x *graph.Value) *graph.Value{
	"gelu":              gelu,
	"gelu_python":       gelu,
	"gelu_new":          geluTanh,
	"gelu_fast":         geluTanh,
	"gelu_pytorch_tanh": geluTanh,
	"gelu_python_tanh":  geluTanh,
	"gelu_accurate":     geluTanh,
	"quick_gelu":        func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Apply(graph.Swish{Alpha: 1.702}, 1, x)[0] },
	"relu":              func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Relu(x) },
	"relu2":             func(b *nn.Builder, x *graph.Value) *graph.Value { y := b.Relu(x); return b.Mul(y, y) },
	"relu6":             func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Min(b.Relu(x), b.Scalar(6)) },
	"silu":              silu,
	"swish":             silu,
	"tanh":              func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Tanh(x) },
	"sigmoid":           func(b *nn.Builder, x *graph.Value) *graph.Value { return b.Sigmoid(x) },
	"linear":            func(_ *nn.Builder, x *graph.Value) *graph.Value { return x },
}

func gelu(b *nn.Builder, x *graph.Value) *graph.Value     { return b.Gelu(x) }
func geluTanh(b *nn.Builder, x *graph.Value) *graph.Value { return b.GeluTanh(x) }
func silu(b *nn.Builder, x *graph.Value) *graph.Value     { return b.SiLU(x) }

// checkActivation reports a name that activations does not have.
func checkActivation(field, name string) error {
	if activations[name] == nil {
		return fmt.Errorf("%s is %.80q, supported are %s", field, name, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
	}
	return nil
}
