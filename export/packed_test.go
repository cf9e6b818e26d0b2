package export_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/precision"
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/runtime"
)

// inBlocks returns random blocks for a matrix, and their numbers.
func inBlocks(r *rand.Rand, rows, columns, size int, wide, offsets bool) (format.Blocks, []float32) {
	n := rows * columns / size
	b := format.Blocks{Rows: rows, Columns: columns, Size: size, Wide: wide, Integers: make([]byte, rows*columns/2), Scales: make([]float32, n)}
	most := float32(16)
	if wide {
		b.Integers, most = make([]byte, rows*columns), 256
	}
	for k := range b.Integers {
		b.Integers[k] = byte(r.Uint32())
	}
	for k := range b.Scales {
		b.Scales[k] = (0.3 + 0.5*r.Float32()) / most
	}
	if offsets {
		for range n {
			b.Offsets = append(b.Offsets, r.Float32()-0.5)
		}
	}
	dense := make([]float32, rows*columns)
	for k := range dense {
		row, column := k/columns, k%columns
		four := func(half, halves int) float32 {
			i := (row*halves+half)*columns + column
			return float32(b.Integers[i/2] >> (4 * (i % 2)) & 15)
		}
		q := four(0, 1) - 8
		if wide {
			q = 16*four(0, 2) + four(1, 2) - 128
		}
		dense[k] = b.Scales[k/size] * q
		if offsets {
			dense[k] += b.Offsets[column/size*rows+row]
		}
	}
	return b, dense
}

// A network with matrices in blocks of every kind computes what the same network with
// these numbers as float32 does: those of products, of looked up rows, and of both. A
// matrix that something else reads too is refused.
func TestPacked(t *testing.T) {
	const table = "embed_tokens.weight"
	r := rand.New(rand.NewPCG(3, 4))
	for _, tied := range []bool{true, false} {
		g, w := network(t, arch.Llama{
			Vocab: vocab, Context: longest, Width: 96, Inner: 160, Layers: 2, Heads: 3, KVHeads: 1, HeadWidth: 32, Activation: "silu", Epsilon: 1e-5,
			Rope: arch.Rope{Type: "default", Theta: 10000}, Tied: tied,
		})
		can := precision.Factors(g)
		if n := map[bool]int{true: 15, false: 16}[tied]; len(can) != n || !can[table] { // 7 in each of 2 layers, the table, a head of its own
			t.Fatalf("%d of %d: %v", len(can), n, can)
		}
		blocks, hollow := map[string]format.Blocks{}, append([]format.Tensor(nil), w...)
		kinds := map[[3]bool]bool{}
		for i, x := range w {
			if !can[x.Name] {
				continue
			}
			rows, columns := x.Shape[0], x.Shape[1]
			kind := [3]bool{i%2 == 0, i/2%2 == 0, i/4%2 == 0}
			kinds[kind] = true
			size := 32
			if kind[2] {
				size = 16
			}
			b, dense := inBlocks(r, rows, columns, size, kind[0], kind[1])
			blocks[x.Name] = b
			w[i] = format.FromFloat32s(x.Name, x.Shape, dense)
			hollow[i] = format.Tensor{Name: x.Name, DType: format.Float32, Shape: x.Shape}
		}
		if len(kinds) != 8 {
			t.Fatalf("of 8 kinds of blocks: %v", kinds)
		}
		present, err := graph.KeysAndValues(g)
		if err != nil {
			t.Fatal(err)
		}
		whole := oracle(t, present, w)
		for _, fuse := range []bool{false, true} {
			m, err := export.Packed(g, hollow, blocks, export.Cache{LastLogits: true, Fuse: fuse})
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, m)
			shape := runtime.CacheShape{Layers: 2, Heads: 1, HeadWidth: 32, Context: longest, Positions: true, Shared: fuse, DType: format.Float32}
			for _, way := range shape.Ways() {
				session := runtime.Cached(s, shape, way)
				for _, k := range someOf(runtime.Cases(vocab, longest, 1)) {
					want, got := run(t, whole, k.Inputs()), run(t, session, k.Inputs())
					within(t, fmt.Sprintf("tied %t, fused %t, %s: %s", tied, fuse, way, k), runtime.LastRows(want["logits"], got["logits"]), got["logits"])
				}
			}
		}
		const norm = "norm.weight"
		blocks[norm] = blocks[table]
		if _, err := export.Packed(g, hollow, blocks, export.Cache{}); err == nil {
			t.Error("a vector was taken in blocks")
		}
	}
}

// A matrix that something else reads than products and lookups cannot stay in blocks.
func TestPackedElsewhere(t *testing.T) {
	g, w := network(t, arch.GPT2{Vocab: vocab, Context: longest, Width: 64, Layers: 1, Heads: 2, Inner: 96, Epsilon: 1e-5})
	for i, x := range w {
		if len(x.Shape) != 2 || precision.Factors(g)[x.Name] {
			continue
		}
		b, _ := inBlocks(rand.New(rand.NewPCG(5, 6)), x.Shape[0], x.Shape[1], 32, false, false)
		w[i].Data = nil
		if _, err := export.Packed(g, w, map[string]format.Blocks{x.Name: b}, export.Cache{}); err == nil || !strings.Contains(err.Error(), "cannot stay in blocks") {
			t.Errorf("%s: %v", x.Name, err)
		}
		return
	}
	t.Fatal("no such matrix")
}
