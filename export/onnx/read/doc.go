// Package read turns an ONNX model into a graph with weights: whoever wrote the
// file, what attnx does with its own models works on it.
//
// Every value keeps the name that the file gives it. Inputs and outputs keep
// their order, their names and their named dimensions.
//
// # Operators
//
// An operator is one row of a table and one function. The tables are in the files
// of their families (elementwise.go, moving.go and so on); table.go lists the
// families. The function gets the node with its typed attributes, its arguments
// and the version of its operator set, and records operators of the graph. What
// changed between versions is in that function.
//
// # What is computed while reading
//
// A graph has sizes, where ONNX has tensors of sizes that are computed as data. So
// values that are known are carried along: integers as polynomials of named
// dimensions, small tensors of numbers as they are. Shape gives such a value,
// arithmetic keeps it, Reshape takes its sizes from it. A value that is known is
// recorded only if an operator needs it as data.
//
// Where a size is needed and not known, an [OpenError] names the dimensions and
// inputs that would help. The caller reads again, with the sizes and values of
// one case in the [Options].
//
// If with a known condition and Loop or Scan with a known number of rounds are
// unrolled, functions are inlined. Everything else is refused with an
// [UnsupportedError] that names the operator.
package read
