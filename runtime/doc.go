// Package runtime runs models and compares their outputs.
//
// A Session computes the outputs of a network from its inputs. Examples are the
// float64 oracle, the training engine, ONNX Runtime on CPU or CUDA, and onnx-go.
// Each package below this one provides one kind of session; this package has
// what they share:
//
//   - Compare measures the difference between two tensors against the
//     tolerance table, the only place where tolerances are defined and
//     justified;
//   - Verify runs the cases of CasesOf on the oracle and on every candidate
//     and returns a Report with a verdict. A runtime that is not installed is
//     "unavailable": its error matches ErrUnavailable, and it never counts as
//     a pass. So is one without a kernel for a node of the file, a NoKernelError.
//
// Dimensions: B batch, T tokens of a sequence, V vocabulary.
package runtime
