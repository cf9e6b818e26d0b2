package graph

import "github.com/attnx/attnx/format"

// countedOps are the operators with result sizes that depend on data.
var countedOps = []Op{NonZero{}}

// NonZero returns the positions of the nonzero elements, in row-major order:
// int64 (rank,Count). Count is bound when it has run.
type NonZero struct{ Count Dim }

// Name returns "NonZero".
func (NonZero) Name() string { return "NonZero" }

// Counts implements Counted.
func (n NonZero) Counts() []Dim { return []Dim{n.Count} }

// Infer returns int64 (rank,Count).
func (n NonZero) Infer(args []Type) ([]Type, error) {
	if err := expect(args, 1); err != nil {
		return nil, err
	}
	return one(format.Int64, Shape{N(len(args[0].Shape)), n.Count}), nil
}
