// Package ref is the oracle: it evaluates a graph in float64, one plain case
// an operator, and every other runtime is judged by its distance from it.
//
// It reads like the formulas and shares no code with anything that it judges.
// Composite operators are computed as their definitions say, not through
// graph.Decompose, so that Decompose can be judged too.
//
// # What it computes with
//
// Floating-point values are float64 whatever type the graph gives them: the
// oracle computes what the graph means, not what a narrower type would round
// it to. Only a Cast to a type that does not hold the number rounds it, as ONNX
// says. A float64 tensor is accepted where the graph says float32. Integers are
// exact in every type, and wrap as ONNX's do; truth values are kept as they are.
//
// # How far it can be trusted
//
// Sums run in index order. With u = 2^-53, a sum of n terms, and so an element
// of a matrix product over n, is off by at most n·u/(1-n·u) times the sum of
// the terms' magnitudes (Higham, Accuracy and Stability of Numerical
// Algorithms, 2nd ed., section 3.1). For the widest sum of GPT-2, n = 3072,
// that is 3.4e-13; one rounding of float32 is 6.0e-8. Exp, Log and Tanh are
// the standard library's, good to about one unit in the last place, and every
// other operation is rounded once. Results are the same from run to run and
// for any number of processors: an element is computed by one goroutine.
//
// # What it refuses
//
// Ids count from 0: a negative id, which ONNX would count from the end, is as
// much out of range as one past the last row. A run that would hold more than
// [MaxBytes] at once is refused before anything is allocated.
package ref
