package model

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/graph"
)

// Weights are the parameters of a network: float32 tensors in the order and
// with the names of Graph.Params.
type Weights []format.Tensor

// NewWeights draws initial weights for g from the distribution of each
// parameter. Element i of a parameter depends only on seed, its name and i.
func NewWeights(g *graph.Graph, seed uint64) Weights {
	w := make(Weights, len(g.Params))
	for i, p := range g.Params {
		shape, _ := p.Shape.Numbers() // Verify ensures that a parameter's shape is numbers
		n, _ := format.Elements(shape)
		v := make([]float32, n)
		param, _ := graph.Is[graph.Param](p)
		if param.Init.Std != 0 {
			NewStream(seed, p.Name).FillNormal(v, param.Init.Std)
		}
		if param.Init.Mean != 0 {
			for j := range v {
				v[j] += float32(param.Init.Mean)
			}
		}
		w[i] = format.FromFloat32s(p.Name, shape, v)
	}
	return w
}

// Check returns the first difference between w and the parameters of g.
func (w Weights) Check(g *graph.Graph) error {
	for _, t := range w {
		if err := t.Check(); err != nil {
			return fmt.Errorf("model: %w", err)
		}
	}
	return g.CheckParams(infos(w))
}

// Clone returns a copy that shares no memory with w.
func (w Weights) Clone() Weights {
	c := slices.Clone(w)
	for i := range c {
		c[i].Data = slices.Clone(c[i].Data)
	}
	return c
}

// Hash returns the SHA-256, in hexadecimal, of one line for each weight: its
// name, type, shape and the SHA-256 of its bytes. It does not depend on how
// the model is stored.
func (w Weights) Hash() string {
	sums := make([][sha256.Size]byte, len(w))
	each(len(w), func(i int) { sums[i] = sha256.Sum256(w[i].Data) })
	h := sha256.New()
	for i, t := range w {
		fmt.Fprintf(h, "%q %s %d %x\n", t.Name, t.DType, t.Shape, sums[i])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// each calls do for every i below n, on all processors.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				do(i)
			}
		})
	}
	wg.Wait()
}
