// Package runtime runs models and judges what they compute.
//
// A Session is anything that computes the outputs of a network from its inputs:
// the float64 oracle, the training engine, ONNX Runtime on CPU or CUDA, onnx-go.
// The packages below this one each bring one kind; this one
// holds what all of them share:
//
//   - Compare says how far one tensor is from another, against the tolerance
//     table, the one place where tolerances are written and justified;
//   - Verify runs the cases of CasesOf on the oracle and on every candidate and
//     gives a Report with a verdict. A runtime that is not there is
//     "unavailable", which is an error that ErrUnavailable matches and never a
//     pass.
//
// Letters: B batch, T tokens of a sequence, V vocabulary.
package runtime
