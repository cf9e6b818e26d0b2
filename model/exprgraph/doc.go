// Package exprgraph reads networks that were written in Gorgonia: a
// gorgonia.ExprGraph with the values of its nodes becomes a graph with weights.
//
// Gorgonia does not export the types of its operators. They are recognized by
// what reflection shows of them: the name of the type, its fields, and what its
// String method returns. The table of rows names the fields that an operator has; one
// with other fields is from another version of Gorgonia and is refused by name,
// as is an operator that has no row.
//
// The graph computes what Gorgonia's tape machine computes with
// gorgonia.EvalMode, with these exceptions:
//
//   - Dropout passes its argument on, and BatchNorm uses its running mean and
//     variance, whatever mode the operator is in.
//   - Rectify is Relu. Gorgonia multiplies x by x ≥ 0, which gives NaN for -Inf.
//   - Conv2d is one Conv, not the columns, product and transposition of which
//     Gorgonia makes it.
//
// AveragePool2D divides by the width of its argument and not by the size of
// the window, as Gorgonia's does.
//
// What Gorgonia itself computes to wrong numbers is refused: At, sums and maxima
// over an inner dimension of four or more, and nodes whose value has another shape
// than the node.
//
// Element types are kept: a graph of float64 gives a float64 network, unless
// Network.Float32 is set. Sizes are Gorgonia's numbers, but for those that
// Network.Dims names.
package exprgraph
