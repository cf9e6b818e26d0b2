// Package ref is the oracle: it evaluates a graph in float64, with one plain
// function per operator. Every other runtime is compared with it.
//
// It follows the formulas and shares no code with what it judges. It computes
// composite operators by their definitions and not through graph.Decompose, so
// that it can judge Decompose too.
//
// # What it computes with
//
// Floating-point values are float64, whatever their type in the graph: the
// oracle computes the exact meaning of the graph and does not round to narrower
// types. Only a Cast rounds, to a type that cannot represent the number, as ONNX
// defines it. A float64 tensor is accepted where the graph declares float32.
// Integers are exact in every type, and wrap as in ONNX. Truth values are kept
// as they are.
//
// # How accurate it is
//
// Sums run in index order, and each step of a product is one fused multiply-add. With u = 2^-53, the error of a sum of n terms, and so
// of an element of a matrix product over n, is at most n·u/(1-n·u) times the sum
// of the terms' magnitudes (Higham, Accuracy and Stability of Numerical
// Algorithms, 2nd ed., section 3.1). For the widest sum of GPT-2, n = 3072, that
// is 3.4e-13; one rounding of float32 is 6.0e-8. Exp, Log and Tanh are those of
// the standard library, accurate to about one unit in the last place. Every
// other operation is rounded once. One goroutine computes an element, so results
// are the same in every run and for any number of processors.
//
// # What it refuses
//
// Ids count from 0. A negative id, which ONNX would count from the end, is out
// of range, like an id past the last row. A run that would need more than
// [MaxBytes] at once is refused before anything is allocated.
package ref
