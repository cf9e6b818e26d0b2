package graph

import (
	"fmt"
	"math"

	"github.com/attnx/attnx/format"
)

// RelativePositionBias is the term that T5 adds to the scores of an attention
// (arXiv:1910.10683, section 2.1), F (1,H,Queries,Keys), for a table (buckets,H) of
// learned numbers: each distance between a query and a key selects a bucket. The
// queries are the last of the keys, as in Attention: query i of T stands at place
// Keys-Queries+i.
//
// Half of the buckets hold one distance each, from 0 on. The others share the
// distances up to MaxDistance, in steps of equal ratio; the last one has all
// beyond. If Bidirectional, one half of the buckets is for keys up to the query, the
// other for keys behind it; otherwise these have the bucket of distance 0.
type RelativePositionBias struct {
	Queries, Keys Dim
	MaxDistance   int
	Bidirectional bool
}

// MaxRelativeDistance is the largest MaxDistance: a table of all distances up to it
// is part of the graph once the operator is decomposed.
const MaxRelativeDistance = 1 << 16

// Name returns "RelativePositionBias", the name of ONNX Runtime's operator for as
// many queries as keys.
func (RelativePositionBias) Name() string { return "RelativePositionBias" }

// Infer returns (1,H,Queries,Keys).
func (r RelativePositionBias) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	if err := expectFloat(args...); err != nil {
		return nil, err
	}
	table := args[0].Shape
	if len(table) != 2 {
		return nil, fmt.Errorf("its table is %s, expected (buckets,heads)", table)
	}
	buckets, known := table[0].Number()
	if !known {
		return nil, fmt.Errorf("its table has %s buckets: expected a number", table[0])
	}
	if _, exact := r.side(buckets); exact < 1 || r.MaxDistance <= exact || r.MaxDistance > MaxRelativeDistance {
		return nil, fmt.Errorf("%d buckets for distances up to %d: expected at least 2 on each side, and more distances than half of them, up to %d", buckets, r.MaxDistance, MaxRelativeDistance)
	}
	return one(args[0].DType, Shape{N(1), table[1], r.Queries, r.Keys}), nil
}

// side returns how many buckets the keys of one side have, and how many of them
// hold one distance.
func (r RelativePositionBias) side(buckets int) (n, exact int) {
	if r.Bidirectional {
		buckets /= 2
	}
	return buckets, buckets / 2
}

// Buckets returns the bucket of each place of a key relative to its query, from
// -MaxDistance to MaxDistance, of a table with so many of them. The logarithms are
// float32, as in PyTorch: another type puts some distances elsewhere.
func (r RelativePositionBias) Buckets(buckets int) []int64 {
	n, exact := r.side(buckets)
	of := make([]int64, 2*r.MaxDistance+1)
	ratio := float32(math.Log(float64(r.MaxDistance) / float64(exact)))
	for d := range r.MaxDistance + 1 {
		bucket := d
		if d >= exact {
			share := float32(math.Log(float64(float32(d)/float32(exact)))) / ratio
			bucket = min(exact+int(share*float32(n-exact)), n-1)
		}
		of[r.MaxDistance-d] = int64(bucket)
		if r.Bidirectional && d > 0 {
			of[r.MaxDistance+d] = int64(n + bucket)
		}
	}
	return of
}

// Decompose implements Composite.
func (r RelativePositionBias) Decompose(b *Builder, args []*Value) []*Value {
	table := args[0]
	buckets, _ := table.Shape[0].Number()
	rows := b.Reshape(b.Name("rows", b.Range(r.Keys.Sub(r.Queries), r.Keys)), r.Queries, N(1)) // (T,1): the place of each query
	columns := b.Name("columns", b.Range(N(0), r.Keys))                                        // (S)
	far := int64(r.MaxDistance)
	places := b.Min(b.Max(b.Sub(columns, rows), b.integer(-far)), b.integer(far)) // (T,S)
	of := b.Const(format.FromInt64s("", []int{2*r.MaxDistance + 1}, r.Buckets(buckets)))
	bias := b.Gather(table, b.Name("buckets", b.Gather(of, b.Add(places, b.integer(far))))) // (T,S,H)
	return []*Value{b.Reshape(b.Transpose(bias, 2, 0, 1), N(1), table.Shape[1], r.Queries, r.Keys)}
}

// RelativePositionBias returns the term that r adds to the scores, (1,H,T,S), for a
// table (buckets,H).
func (b *Builder) RelativePositionBias(r RelativePositionBias, table *Value) *Value {
	return b.apply(r, table)
}
