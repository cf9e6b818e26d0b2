// Package read converts an ONNX model of any tool to a graph with weights, so that
// everything attnx does with its own models works on it.
//
// Every value keeps its name in the file. Inputs and outputs keep their order,
// their names and their named dimensions.
//
// # Operators
//
// An operator is one row of a table and one function. The tables are in the files
// of their families (elementwise.go, moving.go and so on); table.go lists the
// families. The function gets the node with its typed attributes, its arguments
// and the version of its operator set, and records operators of the graph. The
// function also handles the differences between versions.
//
// # Constant evaluation while reading
//
// A graph has sizes where ONNX has tensors of sizes that are computed as data. The
// reader therefore tracks known values: integers as polynomials of named
// dimensions, small tensors of numbers as they are. Shape returns such a value,
// arithmetic preserves it, and Reshape takes its sizes from it. A known value is
// recorded only if an operator needs it as data: as a constant if it is exact, and as
// its operators if they round, so that who bounds roundings sees them.
//
// If a size is needed but not known, an [OpenError] names the dimensions and
// inputs that would determine it. The caller can then read the model again, with
// the sizes and values of one case in the [Options].
//
// If with a known condition, and Loop and Scan with a known number of rounds, are
// unrolled. Functions are inlined. Everything else is refused with an
// [UnsupportedError] that names the operator.
package read
